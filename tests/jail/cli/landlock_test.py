#!/usr/bin/env python3
"""What a profile says by Landlock, in real jails: which programs may be run, which TCP ports reached and listened on; and a kernel
that can't hold it.

usage: landlock_test.py DIRECTORY_OF_THE_PROGRAMS"""
import ctypes
import json
import unittest

from sandboxctl_test import Case

PROFILES = {
    "ports": {"landlock": {"tcp_connect": [4001], "tcp_bind": [4001, 4002]}},
    "no-ports": {"landlock": {"tcp_connect": [], "tcp_bind": []}},
    "optional-ports": {"landlock": {"tcp_connect": [], "optional": ["tcp"]}},
    "programs": {"landlock": {"execute": ["/usr"]}},
}
ABI = ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset(LANDLOCK_CREATE_RULESET_VERSION)
TRY = """
import errno, socket
for port in (4001, 4002, 65535):
    server = socket.socket()
    answers = []
    for call in (lambda: server.bind(('127.0.0.1', port)), lambda: socket.socket().connect(('127.0.0.1', port))):
        try:
            call()
            answers.append('ok')
        except OSError as error:
            answers.append(errno.errorcode[error.errno])
    print(port, *answers)
"""


class Landlock(Case):
    @classmethod
    def daemon_config(cls, top):
        (top / "profiles.d").mkdir(mode=0o755)
        for name, keys in PROFILES.items():
            (top / "profiles.d" / f"{name}.json").write_text(json.dumps({"name": name, "description": "d", "inherits": "default", **keys}))
        for path in (top / "profiles.d").iterdir():
            path.chmod(0o644)
        return {"profile_dirs": [str(top / "profiles.d")]}

    def run_in(self, profile, *command, options=()):
        return self.ctl("run", "--profile", profile, "--workspace=rw", *options, "--", *command)

    def test_ports_that_are_not_listed_are_refused(self):
        done = self.run_in("ports", "python3", "-c", TRY)
        if ABI < 4:
            self.assertIn(f"needs Landlock ABI 4, and this kernel has {ABI}", done.stderr)
            return
        self.assertEqual(done.stdout, "4001 ok ECONNREFUSED\n4002 ok EACCES\n65535 EACCES EACCES\n", done.stderr)

    def test_an_empty_list_refuses_every_port(self):
        done = self.run_in("no-ports" if ABI >= 4 else "default", "python3", "-c", TRY)
        if ABI < 4:
            self.assertNotIn("EACCES", done.stdout)
            return
        self.assertEqual(done.stdout, "4001 EACCES EACCES\n4002 EACCES EACCES\n65535 EACCES EACCES\n", done.stderr)

    def test_what_is_optional_is_listed_where_it_is_not_held(self):
        jail = self.ctl("create", "--profile", "optional-ports").stdout.strip()
        self.addCleanup(self.ctl, "rm", "-f", jail)
        shown = self.ctl("inspect", "--json", jail).stdout
        self.assertEqual("landlock_unenforced" in shown, ABI < 4, shown)
        done = self.ctl("exec", jail, "--", "python3", "-c", TRY)
        self.assertEqual(done.stdout.count("EACCES"), 3 if ABI >= 4 else 0, done.stderr)

    def test_without_the_key_nothing_is_refused(self):
        done = self.run_in("default", "python3", "-c", TRY)
        self.assertNotIn("EACCES", done.stdout)
        self.assertEqual(done.stdout.count("ECONNREFUSED"), 3, done.stderr)

    def test_programs_run_only_below_the_paths(self):
        script = self.work / "script"
        script.write_text("#!/bin/sh\necho ran\n")
        script.chmod(0o755)
        self.assertEqual(self.run_in("default", "./script").stdout, "ran\n")
        done = self.run_in("programs", "sh", "-c", "echo ok; ./script; cp /bin/echo /tmp/copy; /tmp/copy copied")
        self.assertEqual(done.stdout, "ok\n", done.stderr)
        self.assertEqual(done.stderr.count("Permission denied"), 2, done.stderr)
        self.assertEqual(self.run_in("programs", "./script").returncode, 126)

    def test_a_session_and_its_files_are_held_too(self):
        jail = self.ctl("create", "--profile", "programs", "--workspace=rw").stdout.strip()
        self.assertEqual(self.ctl("exec", jail, "--", "echo", "ok").stdout, "ok\n")
        self.assertEqual(self.ctl("files", "write", f"{jail}:/tmp/new", input="x", stdin=None).returncode, 0)
        self.assertEqual(self.ctl("files", "cat", f"{jail}:/tmp/new").stdout, "x")
        self.assertEqual(self.ctl("rm", "-f", jail).returncode, 0)


if __name__ == "__main__":
    unittest.main()
