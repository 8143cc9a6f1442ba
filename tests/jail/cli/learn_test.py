#!/usr/bin/env python3
"""sandboxctl learn: a command runs again under the profile that was learned of it, and what it did not do is refused; only the
administrator may learn.

usage: learn_test.py DIRECTORY_OF_THE_PROGRAMS"""
import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

from sandboxctl_test import BIN, DEADLINE, Case

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
# Threads and a child, and what each leaves.
PYTHON = """
import subprocess, threading
lines = []
threads = [threading.Thread(target=lines.append, args=(str(i),)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
lines.append(subprocess.run(['echo', 'child'], capture_output=True, text=True, check=True).stdout)
open('out', 'w').write(' '.join(sorted(lines)))
print(open('out').read(), end='')
"""
GIT = "git init -q r && cd r && echo a > a && git add a && git -c user.name=u -c user.email=u@h commit -qm m && git log --format=%s"
# What a filter file must say beside its rules.
ENDS = {"default": {"action": "errno", "errno": "ENOSYS", "why": "the test"},
        "foreign_abi": {"action": "errno", "errno": "ENOSYS", "why": "the test"}}
# A name, the command, and what it prints at least.
COMMANDS = (
    ("ls", ["ls", "-laR", "."], "text"),
    ("grep", ["grep", "-r", "needle", "."], "needle"),
    ("tar", ["sh", "-c", "tar -cf t.tar tree && tar -tf t.tar"], "tree/leaf"),
    ("gcc", ["sh", "-c", "gcc -o hello hello.c && ./hello"], "hello"),
    ("python", ["python3", "script.py"], "0 1 2 3 child"),
    ("git", ["sh", "-c", GIT], "m\n"),
    ("sed", ["sed", "-i", "s/needle/needle/", "text"], ""),
    ("sort", ["sort", "-r", "text"], "straw\nneedle\n"),
    ("find", ["find", "tree", "-type", "f", "-exec", "cat", "{}", ";"], "leaf"),
    ("gzip", ["sh", "-c", "gzip -k text && gzip -dc text.gz"], "needle"),
)


class Learn(Case):
    @classmethod
    def daemon_config(cls, top):
        for name in ("profiles.d", "filters.d"):
            (top / name).mkdir(mode=0o755)
        return {"profile_dirs": [str(top / "profiles.d")]}

    def setUp(self):
        super().setUp()
        os.chown(self.work, 0, 0)
        self.fill()

    def fill(self):
        """The workspace as it is before each run: gzip, say, calls more where its output is there."""
        for path in self.work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.work / "text").write_text("needle\nstraw\n")
        (self.work / "hello.c").write_text(HELLO)
        (self.work / "script.py").write_text(PYTHON)
        (self.work / "tree").mkdir()
        (self.work / "tree/leaf").write_text("leaf\n")

    def admin(self, *words, **more):
        return subprocess.run([BIN / "sandboxctl", "--socket", self.top / "run/admin.sock", *words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=DEADLINE, cwd=self.work, env={"PATH": "/usr/bin:/bin", **more}, check=False)

    def learn(self, name, *command):
        done = self.admin("learn", "--workspace=rw", "-o", self.top / f"profiles.d/{name}.json", "--", *command)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def reload(self, name):
        """The set is swapped by SIGHUP; a mistake in it would be told, and leave the former."""
        self.daemon.send_signal(signal.SIGHUP)
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            done = self.admin("profile", "show", name)
            if done.returncode == 0:
                return
        self.fail(done.stderr)

    def profile(self, name):
        return json.loads((self.top / f"profiles.d/{name}.json").read_text())

    def run_again(self, name, *command):
        return self.admin("run", "--profile", name, "--workspace=rw", "--", *command)

    def test_ten_commands_run_again_under_what_was_learned(self):
        for name, command, printed in COMMANDS:
            self.assertTrue(shutil.which(command[0], path="/usr/bin:/bin"), command[0])
            self.fill()
            self.assertIn(printed, self.learn(f"l-{name}", *command).stdout)
        self.reload("l-gzip")
        for name, command, printed in COMMANDS:
            with self.subTest(name):
                self.fill()
                done = self.run_again(f"l-{name}", *command)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn(printed, done.stdout)

    def test_what_was_not_done_is_refused(self):
        self.learn("c-sort", "sort", "text")
        self.reload("c-sort")
        self.assertEqual(self.run_again("c-sort", "sort", "text").returncode, 0)
        # Another program; another file; a file that is made; a socket.
        self.assertNotEqual(self.run_again("c-sort", "ls").returncode, 0)
        self.assertIn("Permission denied", self.run_again("c-sort", "sort", "/etc/passwd").stderr)
        self.assertNotEqual(self.run_again("c-sort", "sort", "-o", "made", "text").returncode, 0)
        self.assertFalse((self.work / "made").exists())

    def test_each_call_says_where_it_was_seen(self):
        self.learn("w-ls", "ls", "-l", ".")
        rules = json.loads((self.top / "filters.d/w-ls.json").read_text())["rules"]
        whys = {rule["syscalls"][0]: rule["why"] for rule in rules if rule.get("action") == "allow"}
        self.assertRegex(whys["getdents64"], r"^seen in /usr/bin/ls, [0-9]+ times$")
        self.assertNotIn("socket", whys)
        profile = self.profile("w-ls")
        self.assertEqual(profile["landlock"]["write"], [])
        self.assertIn("/usr/bin/ls", profile["landlock"]["execute"])
        self.assertEqual((profile["learn"], profile["users"]), (False, []))

    def test_what_was_learned_has_a_hash_that_its_jails_show(self):
        self.learn("h-true", "true")
        self.reload("h-true")
        self.addCleanup(self.admin, "rm", "-f", "hashed")
        self.assertEqual(self.admin("run", "--profile", "h-true", "--name", "hashed", "--", "true").returncode, 0)
        told = json.loads(self.admin("profile", "show", "h-true").stdout)["hash"]
        self.assertIn(f'"profile_hash":"{told}"', self.admin("--json", "inspect", "hashed").stdout)

    def test_ports_are_learned(self):
        code = ("import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); c = socket.socket()\n"
                "try: c.connect(('127.0.0.1', 4711))\nexcept OSError: pass")
        self.learn("p-python", "python3", "-c", code)
        landlock = self.profile("p-python")["landlock"]
        self.assertEqual((landlock["tcp_connect"], landlock["tcp_bind"]), ([4711], [0]))

    def test_each_path_and_port_says_where_it_was_seen(self):
        self.learn("s-cat", "sh", "-c", "cat text >copy")
        reasons = {key: reason["boundary"] for key, reason in self.profile("s-cat")["reasons"].items()}
        self.assertIn("/usr/bin/cat in /usr/bin/dash", reasons["landlock.execute"])
        self.assertIn("/etc/ld.so.cache in /usr/bin/", reasons["landlock.read"])
        self.assertEqual(reasons["landlock.write"], "first seen: @workspace in /usr/bin/dash")

    def test_a_reader_of_its_own_is_what_no_job_gets(self):
        """Whose filter is newer is asked first, so a job with a listener could let go on what the daemon's refuses: also where the plan's
        filter allows it. Without a program the kernel would say EFAULT."""
        (self.top / "filters.d/listener.json").write_text(json.dumps({"name": "listener", "description": "x", "rules": [
            {"syscalls": ["seccomp"], "action": "allow", "why": "the test"}, {"include": "default-rules"}], **ENDS}))
        for name, base in (("listen-l", "learn"), ("listen-e", "default")):
            (self.top / f"profiles.d/{name}.json").write_text(json.dumps({"name": name, "description": "x", "inherits": base, "filter": "listener"}))
        self.reload("listen-e")
        number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
        code = (f"import ctypes; libc = ctypes.CDLL(None, use_errno=True); r = libc.syscall({number}, 1, 8, None); "
                "print(r, ctypes.get_errno())")
        for options in (["--profile", "listen-l"], ["--profile", "listen-e", "--explain-denials"]):
            done = self.admin("run", *options, "--", "python3", "-c", code)
            self.assertEqual(done.stdout, f"-1 {errno.EBUSY}\n", done.stderr)

    def test_a_host_where_nobody_reads_says_so_first(self):
        script = ("mount -t tmpfs none /proc/sys/kernel && mkdir /proc/sys/kernel/yama && echo 1 >/proc/sys/kernel/yama/ptrace_scope && "
                  'exec "$@"')
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", BIN / "sandboxctl", "--socket", self.top / "run/admin.sock",
                               "learn", "-o", self.top / "profiles.d/y.json", "--", "true"], capture_output=True, text=True, timeout=DEADLINE,
                              check=False)
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("kernel.yama.ptrace_scope is 1", done.stderr)
        self.assertFalse((self.top / "profiles.d/y.json").exists())

    def test_a_command_that_floods_is_bounded(self):
        """Names and sockets without end: what there is no room for is counted, and the jail and the daemon go on."""
        code = ("import os, socket\n"
                "for i in range(6000):\n"
                "  try: os.open('/tmp/' + 'x' * (i % 200) + str(i), os.O_CREAT | os.O_RDWR, 0o600) and os.closerange(3, 50)\n"
                "  except OSError: pass\n"
                "for i in range(256):\n"
                "  try: socket.socket(2, 3, i)\n"
                "  except OSError: pass\n"
                "print('through')")
        done = self.admin("learn", "-o", self.top / "profiles.d/f-flood.json", "--", "python3", "-c", code)
        self.assertIn("through", done.stdout, done.stderr)
        self.assertLess((self.top / "profiles.d/f-flood.json").stat().st_size, 1 << 18)
        rules = json.loads((self.top / "filters.d/f-flood.json").read_text())["rules"]
        self.assertLessEqual(len([rule for rule in rules if rule.get("syscalls") == ["socket"]]), 49)
        self.assertEqual(self.admin("run", "--", "true").returncode, 0)

    def test_the_python_module_tells_the_same(self):
        done = self.admin("learn", "--name", "known", "-o", self.top / "profiles.d/k-true.json", "--", "true")
        self.assertEqual(done.returncode, 0, done.stderr)
        code = ("import sandboxd, sys\nwith sandboxd.Client(sys.argv[1]) as client:\n"
                "    learned = client.learned('known', 'k-true')\n    print(learned.profile, learned.unread, learned.lost, sep='')")
        told = subprocess.run([sys.executable, "-B", "-c", code, self.top / "run/admin.sock"], capture_output=True, text=True, check=False,
                              timeout=DEADLINE, env={"PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[3] / "sandboxd-client/python")})
        self.assertEqual(told.stdout, (self.top / "profiles.d/k-true.json").read_text() + "00\n", told.stderr)

    def test_files_that_are_there_stay(self):
        (self.top / "profiles.d/mine.json").write_text("{}")
        done = self.admin("learn", "-o", self.top / "profiles.d/mine.json", "--", "true")
        self.assertEqual(done.returncode, 125)
        self.assertIn("is there", done.stderr)
        self.assertEqual((self.top / "profiles.d/mine.json").read_text(), "{}")
        (self.top / "profiles.d/mine.json").unlink()

    def test_is_the_administrators(self):
        output = self.work / "mine.json"
        os.chmod(self.work, 0o777)
        done = self.ctl("learn", "-o", output, "--", "true")
        self.assertEqual(done.returncode, 125)
        self.assertIn("denied by rule 'learn'", done.stderr)
        self.assertFalse(output.exists())
        done = self.ctl("run", "--profile", "learn", "--", "true")
        self.assertIn("denied by rule 'learn'", done.stderr)


if __name__ == "__main__":
    os.umask(0o022)
    unittest.main()
