#!/bin/sh
# In the guest: run a list of GoogleTest programs, one after another, and print a summary. The guest has no ctest.
# usage: guest-run.sh LIST   a line a program: NAME PATH TIMEOUT_SECONDS (as on the host; the guest is given 20 times that)
# Programs read SANDBOXD_TIME_SCALE: by how much their own time limits are to be widened; SANDBOXD_GUEST: nothing of the
# kernel may be missing.
scale=20
export SANDBOXD_TIME_SCALE=$scale SANDBOXD_GUEST=1 SANDBOXD_ESCAPE_REPORT="$RESULTS"
# A checkout may lie where only root may go, /root say, and tests run its programs as ordinary users.
folder=$PWD
while [ "$folder" != / ]; do
  chmod o+x "$folder"
  folder=$(dirname "$folder")
done
modprobe loop # for a file system of a test's own; there is no udev to load it
# The unit is delegated to us (Delegate=): with its processes in a child, its cgroup can pass the controllers on to jails.
unit=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir "$unit/tests"
cat "$unit/cgroup.procs" >"$RESULTS/processes"
while read -r pid; do
  echo "$pid" >"$unit/tests/cgroup.procs" 2>/dev/null || [ ! -d "/proc/$pid" ] || exit 1
done <"$RESULTS/processes"
ran=0 failed='' skipped=0
while read -r name path timeout; do
  ran=$((ran + 1))
  log=$RESULTS/$name.log
  start=$(date +%s)
  if timeout -k 10 $((timeout * scale)) "$path" --gtest_brief=0 >"$log" 2>&1 </dev/null; then
    verdict=ok
  else
    verdict="FAILED ($?)"
    failed="$failed $name"
  fi
  s=$(grep -c '^\[  SKIPPED \] .* ms)' "$log")
  skipped=$((skipped + s))
  printf '%-32s %-12s %5s s  %s passed, %s skipped\n' "$name" "$verdict" $(($(date +%s) - start)) \
    "$(grep -c '^\[       OK \]' "$log")" "$s"
  case $verdict in ok) ;; *) grep -vE '^\[( RUN      |       OK |-+)\]' "$log" | tail -n 60 | sed 's/^/    /' ;; esac
done <"$1"
echo "kernel $(uname -r): $ran programs, failed:${failed:- none}; $skipped tests skipped"
[ -z "$failed" ] && [ "$ran" -gt 0 ]
