#!/usr/bin/env bash
# Build the images of the server and of the agent, from this checkout: callsheet and callsheet-agentd.
#
#     BASE=python:3.13-slim packaging/container/build.sh
#     BASE=debootstrap packaging/container/build.sh      a base made here, where no registry is in reach
#
# BUILDAH says how buildah is called. BUILD_OPTIONS are more options of `buildah bud`, such as
# "--volume /etc/ssl/certs:/etc/ssl/certs:ro" where the authorities of this machine are its own.
set -eu
cd "$(dirname "$0")/../.."
base=${BASE:-python:3.13-slim}
read -ra buildah <<<"${BUILDAH:-buildah}"
read -ra options <<<"${BUILD_OPTIONS:-}"

if [ "$base" = debootstrap ]; then
    base=localhost/callsheet-base
    "${buildah[@]}" inspect --type image "$base" >/dev/null 2>&1 || packaging/container/base.sh "$base"
fi
for target in server=callsheet agent=callsheet-agentd; do
    "${buildah[@]}" bud --layers --isolation chroot --build-arg "BASE=$base" --target "${target%%=*}" \
        --tag "localhost/${target##*=}" "${options[@]}" --file packaging/container/Containerfile .
done
