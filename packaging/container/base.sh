#!/usr/bin/env bash
# Make an image of a bare Debian with Python 3, from Debian's packages alone, for where no registry of
# images can be reached. As root.
#
#     packaging/container/base.sh NAME [SUITE [MIRROR]]
#
# BUILDAH says how buildah is called, such as "buildah --storage-driver vfs".
set -eu
name=${1:?"usage: base.sh NAME [SUITE [MIRROR]]"}
suite=${2:-bookworm}
mirror=${3:-$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -v security | head -n 1 || true)}
read -ra buildah <<<"${BUILDAH:-buildah}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$work/system" $mirror >"$work/log" 2>&1 \
    || { tail -n 20 "$work/log" >&2; exit 1; }
rm -rf "$work"/system/var/cache/apt/archives/*.deb "$work"/system/var/lib/apt/lists/*

container=$("${buildah[@]}" from scratch)
"${buildah[@]}" add --quiet "$container" "$work/system" / >/dev/null
"${buildah[@]}" config --cmd python3 --env LANG=C.UTF-8 "$container"
"${buildah[@]}" commit --quiet --rm "$container" "$name"
