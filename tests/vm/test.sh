#!/bin/bash
# The unit and jail tests of a build, in the guest. usage: test.sh BUILD_DIR [LIST]
# BUILD_DIR lies in the checkout. LIST (default guest-tests.txt, that CMake writes there) has a line a program: NAME PATH
# TIMEOUT_SECONDS. Results and the guest's journal are left in BUILD_DIR/guest-results.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=$(realpath "$1")
list=${2:-guest-tests.txt}
case $build in "$top"/*) ;; *) echo "test.sh: '$build' is not in the checkout '$top'" >&2; exit 1 ;; esac
inside=${build#"$top"/}
# The programs, and the files of the tree that tests read: at the same paths as here.
parts=("$inside/bin" "$inside/$list" seccomp-profiles protocol daemon/confine/filters docs tests)
[ ! -d "$build/share" ] || parts+=("$inside/share")
# The guest has no mke2fs; the test of a frozen file system needs one of its own.
image=$inside/guest-ext4.img
rm -f "$top/$image"
truncate -s 32M "$top/$image"
mke2fs -q -F -t ext4 -O ^has_journal "$top/$image"
parts+=("$image")
names=()
for part in "${parts[@]}"; do names+=(-i "$part"); done
exec "$here/run.sh" -d "$top" "${names[@]}" -o "$build/guest-results" -t "${VM_LIMIT:-2700}" \
  "cd $inside && SANDBOXD_EXT4_IMAGE=$top/$image sh $top/tests/vm/guest-run.sh $list"
