#!/usr/bin/env python3
"""The profile `nested`: bubblewrap and unshare run in a jail of it, for whom it names only; what a program that is root in a namespace
of its own still can't do; and `default` refuses it all.

usage: nested_test.py DIRECTORY_OF_THE_PROGRAMS"""
import json
import os
import shutil
import unittest

from sandboxctl_test import UID, Case

BWRAP = ("bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--hostname", "inner",
         "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--die-with-parent")
# Each line: what was tried, and the error or "through". Numbers of x86-64 and aarch64, by the name.
PROBE = """
import ctypes, errno, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
def tell(name, result):
    print(name, 'through' if result >= 0 else errno.errorcode[ctypes.get_errno()])
X, A = range(2)
column = X if platform.machine() == 'x86_64' else A
for name, numbers, arguments in (
        ('setns', (308, 268), (os.open('/proc/self/ns/mnt', os.O_RDONLY), 0)), ('unshare-net', (272, 97), (0x40000000,)),
        ('unshare-time', (272, 97), (0x80,)), ('clone-net', (56, 220), (0x40000000 | 17, 0, 0, 0, 0)), ('clone3', (435, 435), (0, 0)),
        ('bpf', (321, 280), (0, 0, 0)), ('keyctl', (250, 219), (0, -3, 0)), ('ptrace', (101, 117), (16, 1, 0, 0)),
        ('io_uring_setup', (425, 425), (1, 0)), ('perf_event_open', (298, 241), (0, 0, -1, -1, 0)), ('userfaultfd', (323, 282), (1,)),
        ('open_tree', (428, 428), (-100, b'/', 1)), ('fsopen', (430, 430), (b'tmpfs', 0)), ('mount_setattr', (442, 442), (-100, b'/', 0, 0, 0)),
        ('open_by_handle_at', (304, 265), (-100, 0, 0)), ('init_module', (175, 105), (0, 0, b'')), ('swapon', (167, 224), (b'/x', 0)),
        ('syslog', (103, 116), (3, 0, 0)), ('settimeofday', (164, 170), (0, 0)), ('reboot', (169, 142), (0, 0, 0, 0))):
    ctypes.set_errno(0)
    tell(name, libc.syscall(numbers[column], *arguments))
for name, family, kind, protocol in (('packet', 17, 3, 0), ('raw', 2, 3, 1), ('netfilter', 16, 3, 12), ('xfrm', 16, 3, 6), ('alg', 38, 5, 0),
                                     ('vsock', 40, 1, 0), ('unix', 1, 1, 0)):
    tell('socket-' + name, libc.socket(family, kind, protocol))
for name, call in (('setuid-file', lambda: os.chmod(os.open('/tmp/s', os.O_CREAT | os.O_RDWR), 0o4755)),
                   ('device', lambda: os.mknod('/tmp/d', 0o20600, os.makedev(1, 3))), ('whiteout', lambda: os.mknod('/tmp/w', 0o20600, 0)),
                   ('usr', lambda: open('/usr/nested', 'w')), ('cgroup', lambda: open('/sys/fs/cgroup/cgroup.procs', 'w').write('0')),
                   ('sysrq', lambda: open('/proc/sysrq-trigger', 'w')), ('core_pattern', lambda: open('/proc/sys/kernel/core_pattern', 'w'))):
    try:
        call()
        print(name, 'through')
    except (OSError, TypeError) as error:
        print(name, errno.errorcode.get(getattr(error, 'errno', 0), error))
"""
# In a user and mount namespace of its own, as root there.
REMOUNT = """
for words in '-o remount,bind,rw /usr' '-o remount,bind,suid,dev /usr' '-o remount,bind,rw /dev' '-t sysfs x /run' '-t ext4 /dev/vda /run' \\
    '-o remount,bind,rw /proc/sys'; do
  mount $words 2>/dev/null && echo "through $words"
done
for covered in /proc/keys /proc/sys /dev/shm /usr /proc; do
  umount $covered 2>/dev/null && echo "through umount $covered"
done
mkdir -p /tmp/group && mount -t cgroup2 x /tmp/group 2>/dev/null && echo 0 2>/dev/null >/tmp/group/cgroup.procs && echo 'through cgroup2'
mount -t tmpfs x /run && touch /run/file && echo mounted
"""


class Nested(Case):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("bwrap", path="/usr/bin"):
            raise AssertionError("not installed: bwrap (Debian package bubblewrap)")
        super().setUpClass()

    @classmethod
    def daemon_config(cls, top):
        (top / "profiles.d").mkdir(mode=0o755)
        path = top / "profiles.d/nested.json"
        path.write_text(json.dumps({"name": "nested", "inherits": "nested", "description": "for one user", "users": [UID]}))
        path.chmod(0o644)
        return {"profile_dirs": [str(top / "profiles.d")]}

    def run_in(self, profile, *command, **more):
        return self.ctl("run", "--profile", profile, "--", *command, **more)

    def test_E63_bubblewrap_runs(self):
        done = self.run_in("nested", *BWRAP, "sh", "-c", "id -u; hostname; ls -d /proc/[0-9]* | wc -l; touch /tmp/x && echo made")
        self.assertEqual(done.stdout.split("\n")[:2], [str(UID), "inner"], done.stderr)
        self.assertTrue(done.stdout.endswith("made\n"), done.stdout)
        self.assertLessEqual(int(done.stdout.split()[2]), 6)
        done = self.run_in("nested", "bwrap", "--unshare-all", "--share-net", "--ro-bind", "/", "/", "echo", "inside")
        self.assertEqual(done.stdout, "inside\n", done.stderr)

    def test_E63_unshare_runs(self):
        self.assertEqual(self.run_in("nested", "unshare", "--map-root-user", "id", "-u").stdout, "0\n")
        done = self.run_in("nested", "unshare", "-rpf", "--mount-proc", "sh", "-c", "echo $$; ls -d /proc/[0-9]* | wc -l")
        self.assertEqual(done.stdout.split()[0], "1", done.stderr)

    def test_E63_a_network_namespace_is_refused(self):
        self.assertNotEqual(self.run_in("nested", "unshare", "-rn", "true").returncode, 0)
        self.assertNotEqual(self.run_in("nested", "bwrap", "--unshare-all", "--ro-bind", "/", "/", "true").returncode, 0)

    def test_E63_default_refuses_both(self):
        for command in (("bwrap", "--ro-bind", "/", "/", "true"), ("unshare", "-r", "true"), ("unshare", "-m", "true")):
            self.assertNotEqual(self.run_in("default", *command).returncode, 0, command)
        # The wall behind the filter's.
        self.assertEqual(self.run_in("default", "cat", "/proc/sys/user/max_user_namespaces").stdout, "0\n")

    def test_it_is_for_whom_it_names(self):
        done = self.run_in("nested", "true", uid=UID + 1)
        self.assertEqual(done.returncode, 125, done.stdout)
        self.assertIn("nested", done.stderr)

    def test_E20_E63_root_of_a_namespace_gets_nothing_more(self):
        for wrapper in (BWRAP, (*BWRAP, "--uid", "0", "--gid", "0", "--cap-add", "ALL"), ("unshare", "-rmpiu", "--fork", "--mount-proc")):
            done = self.run_in("nested", *wrapper, "python3", "-c", PROBE)
            lines = done.stdout.splitlines()
            self.assertEqual(len(lines), 34, done.stdout + done.stderr)
            self.assertEqual([line for line in lines if line.endswith("through")], [], wrapper)
            for name in ("clone3", "io_uring_setup", "open_tree", "fsopen", "mount_setattr"):
                self.assertIn(f"{name} ENOSYS", lines)
            self.assertIn("unshare-net EPERM", lines)

    def test_E14_the_jails_mounts_stay_as_they_are(self):
        done = self.run_in("nested", "unshare", "-rm", "sh", "-c", REMOUNT)
        self.assertEqual(done.stdout, "mounted\n", done.stderr)

    def test_E46_namespaces_are_bounded_for_the_whole_jail(self):
        code = ("import os\nmade = 0\n"
                "while made < 400:\n"
                " r, w = os.pipe()\n"
                " if os.fork() == 0:\n"
                "  import ctypes\n"
                "  os.write(w, b'y' if ctypes.CDLL(None).unshare(0x10000000) == 0 else b'n')\n"
                "  os.close(w)\n"
                "  __import__('signal').pause()\n"
                " if os.read(r, 1) == b'n': break\n"
                " os.close(r); os.close(w)\n"
                " made += 1\n"
                "print(made)\n")
        done = self.run_in("nested", "python3", "-c", code)
        self.assertEqual(done.stdout, "256\n", done.stderr)


if __name__ == "__main__":
    os.umask(0o022)
    unittest.main()
