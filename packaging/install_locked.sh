#!/usr/bin/env bash
# Install callsheet from this checkout with exactly the versions and files that the locks name.
#
#     packaging/install_locked.sh FOLDER [LOCK]   into a new environment; LOCK is extras or callsheet
#     packaging/install_locked.sh --try           into one that is thrown away, and ask it something
#
# Nothing is installed whose checksum is not in a lock, and nothing of others is built here: wheels
# only. What builds callsheet's own wheel is in an environment of its own, gone afterwards.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

case ${1:-} in
    --try) into=$work/tried lock=extras ;;
    ""|-*) sed -n 's/^# \{0,1\}//; 3,7p' "$0" >&2; exit 2 ;;
    *) into=$1 lock=${2:-callsheet} ;;
esac
[ -f "packaging/locks/$lock.txt" ] || { echo "no lock is called $lock: expected extras or callsheet" >&2; exit 2; }

install() {
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --only-binary :all: -r "packaging/locks/$2.txt"
}

"$python" -m venv "$work/build"
install "$work/build" build
mkdir "$work/source"
# All that is under version control here, changed or not; of an unpacked sdist all there is.
{ git ls-files -z --cached --others --exclude-standard 2>/dev/null || find . -type f -not -path './.*' -print0; } \
    | tar -c --null --files-from - | tar -x -C "$work/source"
"$work/build/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir "$work/dist" "$work/source"

"$python" -m venv "$into"
install "$into" "$lock"
"$into/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$work"/dist/callsheet-*.whl
"$into/bin/python" -m pip --disable-pip-version-check check
echo "$("$into/bin/callsheet" --version), as packaging/locks/$lock.txt says, on $("$into/bin/python" --version)"
