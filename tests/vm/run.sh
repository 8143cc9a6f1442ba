#!/bin/bash
# Run a shell command as root in a virtual machine with Debian 12's kernel, systemd, D-Bus and cgroup v2 (and SELinux).
# usage: run.sh [-d DIR [-i NAME]...] [-o RESULTS] [-p MODULE.pp]... [-s] [-t SECONDS] 'COMMAND'
#   -d DIR      copied into the guest at the same path, the command's working folder (writable there; changes are lost)
#   -i NAME     only this file or folder of DIR (may be given several times)
#   -o RESULTS  gets what COMMAND left in $RESULTS, the guest's journal and console.log
#   -p FILE     an SELinux module to have in the image        -s  SELinux enforcing
#   -t SECONDS  limit for boot and command (default 600)
# The command's output is on stdout. Exit status: the command's; 124 at the time limit, 125 if the guest gave no result (its
# console is then on stderr).
# env: VM_CACHE, VM_PACKAGES (see build-image.sh), VM_ACCEL (default tcg), VM_MEM, VM_CPUS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage() {
  sed -n '2,12s/^# \?//p' "$0" >&2
  exit 125
}
dir='' results='' limit=600 modules=() names=()
kernel_args='lsm=landlock,lockdown,yama,bpf'
while getopts d:i:o:p:st: flag; do
  case $flag in
    d) dir=$(realpath "$OPTARG") ;;
    i) names+=("$OPTARG") ;;
    o) mkdir -p "$OPTARG"; results=$(realpath "$OPTARG") ;;
    p) modules+=("$OPTARG") ;;
    s) kernel_args='lsm=landlock,lockdown,yama,selinux,bpf selinux=1 enforcing=1' ;;
    t) limit=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
paths=$("$here/build-image.sh" "${modules[@]}") || exit 125
{ read -r kernel; read -r image; } <<<"$paths"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/in" "$work/part"
printf '%s\n' "$1" >"$work/in/cmd"
printf '%s\n' "${dir:-/mnt}" >"$work/in/dir"
tar cf "$work/io.img" -C "$work/in" cmd dir
truncate -s 256M "$work/io.img"
source=${dir:-$work/part}
if [ ${#names[@]} -gt 0 ]; then
  tar cf - -C "$dir" "${names[@]}" | tar xpf - -C "$work/part"
  source=$work/part
fi
size=$(du -sm --apparent-size "$source" | cut -f1)
truncate -s $((size * 5 / 4 + 64))M "$work/dir.img"
mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$source" "$work/dir.img"

disks=()
disk() { # NAME FILE SNAPSHOT
  disks+=(-drive "if=none,id=$1,file=$2,format=raw,cache=unsafe,snapshot=$3" -device "nvme,drive=$1,serial=$1")
}
disk root "$image" on
disk dir "$work/dir.img" on
disk io "$work/io.img" off
status=0
timeout -k 5 "$limit" qemu-system-x86_64 -M q35 -accel "${VM_ACCEL:-tcg,thread=multi}" -cpu max \
  -smp "${VM_CPUS:-2}" -m "${VM_MEM:-2048}" -nodefaults -display none -no-reboot \
  -serial "file:$work/console.log" -chardev stdio,id=out,signal=off -serial chardev:out \
  -kernel "$kernel" \
  -append "root=/dev/nvme0n1 rw console=ttyS0 quiet panic=-1 mitigations=off no_timer_check systemd.show_status=0 $kernel_args" \
  "${disks[@]}" </dev/null || status=$?

[ -z "$results" ] || cp "$work/console.log" "$results/"
mkdir "$work/out"
tar xf "$work/io.img" -C "$work/out" 2>/dev/null || :
if [ ! -f "$work/out/rc" ]; then
  tail -n 40 "$work/console.log" >&2
  case $status in 124 | 137) echo "run.sh: no result in $limit s" >&2; exit 124 ;; esac
  echo "run.sh: the guest gave no result (qemu: $status)" >&2
  exit 125
fi
[ -z "$results" ] || cp -r "$work/out/results/." "$results/"
exit "$(cat "$work/out/rc")"
