#!/bin/bash
# Build the guest for run.sh, once; print the paths of its kernel and its root image.
# usage: build-image.sh [MODULE.pp ...]   SELinux modules to have in the image
# env:   VM_CACHE     cache folder (default ~/.cache/sandboxd-vm); delete it to take up Debian's updates
#        VM_PACKAGES  further Debian packages for the guest
set -euo pipefail
cache=${VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sandboxd-vm}
packages=(systemd systemd-sysv dbus polkitd kmod procps iproute2 nftables util-linux openssl strace python3-minimal
  selinux-policy-default policycoreutils selinux-utils linux-image-cloud-amd64
  # what our programs and their tests load at run time
  libstdc++6 libasan8 libubsan1 libtsan2 libseccomp2 libcap2 libcap2-bin libspdlog1.10 libfmt9 libssl3 libsystemd0 libnl-3-200
  libnl-route-3-200)
read -ra more <<<"${VM_PACKAGES:-}"
packages+=("${more[@]}")

# The key is everything that decides what is in the image: this script, the packages' names, the modules.
key=$( (cat "$0"; echo "${packages[@]}") | sha256sum | cut -c1-12)
base=$cache/base.$key # the bootstrapped tree, kept for images with other modules
image=$cache/root.$key.$(cat /dev/null "$@" | sha256sum | cut -c1-12).img
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
report() {
  printf '%s\n' "$base"/boot/vmlinuz-* "$image"
  exit 0
}
[ ! -f "$image" ] || report

for tool in mmdebstrap qemu-system-x86_64 setfiles mke2fs; do
  command -v "$tool" >/dev/null || { echo "build-image.sh: '$tool' is missing: install the packages of section 'vm' in packaging/apt-packages.txt" >&2; exit 1; }
done

configure() { # the tree in $PWD
  echo vmtest >etc/hostname
  : >etc/fstab
  echo 5b6c1b0b6f4c4c7e9d6f3b1d2a3c4d5e >etc/machine-id # a fixed one: no first-boot work
  sed -i 's/^SELINUX=.*/SELINUX=enforcing/' etc/selinux/config
  printf '[Journal]\nStorage=volatile\n' >etc/systemd/journald.conf
  # devtmpfs makes the device nodes; udev's coldplug would be half of the boot. The rest is what a guest that lives for one
  # command does without.
  mkdir -p etc/systemd/system-generators
  local unit generator
  for unit in systemd-udevd{,-control,-kernel}.{service,socket} systemd-udev-{trigger,settle}.service \
    modprobe@.service kmod-static-nodes.service systemd-{sysusers,binfmt,random-seed,firstboot}.service \
    systemd-{update-utmp,update-utmp-runlevel,journal-flush,pcrphase,pcrphase-sysinit}.service \
    systemd-{hwdb-update,machine-id-commit,update-done,journal-catalog-update,remount-fs,repart,pstore}.service \
    systemd-ask-password-{console,wall}.path proc-sys-fs-binfmt_misc.automount ldconfig.service \
    sys-{kernel-config,kernel-debug,kernel-tracing,fs-fuse-connections}.mount dev-hugepages.mount \
    getty.target serial-getty@ttyS0.service fstrim.timer dpkg-db-backup.timer e2scrub_reap.service; do
    ln -sf /dev/null "etc/systemd/system/$unit"
  done
  for generator in cryptsetup gpt-auto hibernate-resume integritysetup veritysetup rc-local sysv getty system-update debug; do
    ln -sf /dev/null "etc/systemd/system-generators/systemd-$generator-generator"
  done
  ln -sf /dev/null etc/systemd/system-generators/selinux-autorelabel-generator.sh
  ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target

  cat >etc/systemd/system/vmtest.service <<'UNIT'
[Unit]
Description=Run the host's command
After=basic.target dbus.socket systemd-logind.service
[Service]
SELinuxContext=-unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Delegate=yes
ExecStart=/usr/local/sbin/vmtest
UNIT
  ln -sf ../vmtest.service etc/systemd/system/multi-user.target.wants/
  cat >usr/local/sbin/vmtest <<'GUEST'
#!/bin/sh
# nvme2n1 brings a tar (cmd, dir) and takes one back (rc, results/); nvme1n1 is the host's directory, mounted at the path
# that it has there; ttyS1 is the host's stdout.
w=/run/vmtest; mkdir -p $w/results; cd $w
tar xf /dev/nvme2n1
dir=$(cat dir)
o=rw; [ -e /sys/fs/selinux/enforce ] && o=rw,context=system_u:object_r:bin_t:s0
mkdir -p "$dir"; mount -o $o /dev/nvme1n1 "$dir"
stty -F /dev/ttyS1 raw -echo
export RESULTS=$w/results
: >output
(cd "$dir" && exec sh $w/cmd) >output 2>&1 </dev/null & pid=$!
tail -n +1 -s 0.2 -f --pid=$pid output >/dev/ttyS1
wait $pid; echo $? >rc
journalctl -b --no-pager >results/journal.log
tar cf /dev/nvme2n1 rc results
sync
echo o >/proc/sysrq-trigger
GUEST
  chmod 755 usr/local/sbin/vmtest
}

if [ ! -d "$base" ]; then
  rm -rf "$cache"/base.* "$cache"/root.* # other keys: an image is 2 GB, sparse
  mmdebstrap --quiet --mode=root --variant=essential --aptopt='Acquire::Languages "none"' \
    --dpkgopt=path-exclude=/usr/share/{man,doc,locale}/'*' \
    --include="$(IFS=,; echo "${packages[*]}")" bookworm "$base.tmp" >&2
  (cd "$base.tmp" && configure)
  mv "$base.tmp" "$base"
fi

root=$base
if [ $# -gt 0 ]; then # semodule is four times as fast here as in the guest
  root=$cache/tree
  rm -rf "$root"
  cp -a "$base" "$root"
  mkdir "$root/pp"
  cp "$@" "$root/pp/"
  chroot "$root" sh -c 'semodule -n -i /pp/*.pp' >&2
  rm -r "$root/pp"
fi
setfiles -F -m -r "$root" "$root/etc/selinux/default/contexts/files/file_contexts" "$root"
rm -f "$image.tmp"
truncate -s 2G "$image.tmp"
mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$root" "$image.tmp"
[ "$root" = "$base" ] || rm -rf "$root"
mv "$image.tmp" "$image"
report
