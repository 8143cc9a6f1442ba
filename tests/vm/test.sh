#!/bin/bash
# The jail tests of a build, in the guest. usage: test.sh BUILD_DIR [LIST]
# LIST (default guest-tests.txt, that CMake writes) has a line a program: NAME PATH TIMEOUT_SECONDS.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "$1")
list=${2:-guest-tests.txt}
cp "$here/guest-run.sh" "$build/guest-run.sh"
parts=(-i bin -i guest-run.sh -i "$list")
[ ! -d "$build/share" ] || parts+=(-i share)
exec "$here/run.sh" -d "$build" "${parts[@]}" -o "$build/guest-results" -t "${VM_LIMIT:-2400}" "sh ./guest-run.sh ./$list"
