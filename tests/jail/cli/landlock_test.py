#!/usr/bin/env python3
"""What a profile says by Landlock, in real jails: what may be read, changed, truncated and run, which TCP ports reached and listened
on, which devices take ioctls; each beside a jail without the rule; and a kernel that can't hold it.

usage: landlock_test.py DIRECTORY_OF_THE_PROGRAMS"""
import ctypes
import json
import os
import socket
import unittest

from sandboxctl_test import Case, UID

PROFILES = {
    "ports": {"landlock": {"tcp_connect": [4001], "tcp_bind": [4001, 4002]}},
    "no-ports": {"landlock": {"tcp_connect": [], "tcp_bind": []}},
    "optional-ports": {"landlock": {"tcp_connect": [], "optional": ["tcp"]}},
    "programs": {"landlock": {"execute": ["/usr"]}},
    "reads": {"landlock": {"read": ["/usr", "/etc", "@workspace"]}},
    "writes": {"landlock": {"write": ["@scratch"]}},
    "writes-srv": {"landlock": {"write": ["/srv/out"]}},
    "truncates": {"landlock": {"truncate": ["@scratch"]}},
    "no-ioctl": {"landlock": {"ioctl": []}},
    "ptys": {"landlock": {"ioctl": ["/dev/pts"]}},
    "scoped": {"inherits": "host-network", "unix_sockets": "any", "landlock": {"scopes": ["abstract_unix", "signal"]}},
    "all-optional": {"landlock": {"truncate": [], "tcp_bind": [], "ioctl": [], "scopes": ["signal"], "optional": ["truncate", "tcp", "ioctl", "scopes"]}},
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
            text = json.dumps({"name": name, "description": "d", "inherits": "default", **keys})
            (top / "profiles.d" / f"{name}.json").write_text(text)
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

    def test_E05_programs_run_only_below_the_paths(self):
        script = self.work / "script"
        script.write_text("#!/bin/sh\necho ran\n")
        script.chmod(0o755)
        self.assertEqual(self.run_in("default", "./script").stdout, "ran\n")
        done = self.run_in("programs", "sh", "-c", "echo ok; ./script; cp /bin/echo /tmp/copy; /tmp/copy copied")
        self.assertEqual(done.stdout, "ok\n", done.stderr)
        self.assertEqual(done.stderr.count("Permission denied"), 2, done.stderr)
        self.assertEqual(self.run_in("programs", "./script").returncode, 126)

    def test_E05_what_a_rule_for_programs_does_not_reach(self):
        """A program handed to another one as data, or without a file system: docs/profiles.md says so. It is as confined as before."""
        loader = "/lib64/ld-linux-x86-64.so.2" if os.uname().machine == "x86_64" else "/lib/ld-linux-aarch64.so.1"
        script = ("import os\nfd = os.memfd_create('program', 0)\nwith open('/bin/grep', 'rb') as program:\n    os.write(fd, program.read())\n"
                  "os.execve(fd, ['grep', '-E', '^(Seccomp|NoNewPrivs):', '/proc/self/status'], {})")
        done = self.run_in("programs", "sh", "-c", "cp /bin/echo /tmp/copy; /tmp/copy ran || " + loader + " /tmp/copy by-the-loader")
        self.assertEqual(done.stdout, "by-the-loader\n", done.stderr)
        done = self.run_in("programs", "python3", "-c", script)
        self.assertEqual(done.stdout, "NoNewPrivs:\t1\nSeccomp:\t2\n", done.stderr)

    def refused_for_want_of(self, rule, abi, done):
        """True, and looked at, where this kernel can't hold the rule."""
        if ABI >= abi:
            return False
        self.assertEqual((done.returncode, done.stdout), (125, ""), done.stderr)
        self.assertIn(f"'landlock.{rule}' needs Landlock ABI {abi}, and this kernel has {ABI}", done.stderr)
        return True

    def test_files_are_read_only_below_the_paths(self):
        (self.work / "mine").write_text("mine\n")
        command = ("sh", "-c", "cat mine /etc/passwd > /dev/null && echo ok; echo x > /tmp/new; cat /tmp/new; ls / > /dev/null && echo root; cat /proc/self/comm")
        self.assertEqual(self.run_in("default", *command).stdout, "ok\nx\nroot\ncat\n")
        done = self.run_in("reads", *command)
        self.assertEqual(done.stdout, "ok\ncat\n", done.stderr)
        self.assertEqual(done.stderr.count("Permission denied"), 2, done.stderr)

    def test_changes_are_made_only_below_the_paths(self):
        command = ("sh", "-c", "touch /tmp/new && echo scratch; mkdir new && echo workspace")
        self.assertEqual(self.run_in("default", *command).stdout, "scratch\nworkspace\n")
        (self.work / "new").rmdir()
        done = self.run_in("writes", *command, options=("--at=/work",))
        self.assertEqual(done.stdout, "scratch\n", done.stderr)
        self.assertFalse((self.work / "new").exists())
        # The test's folder, and so the workspace, lies below /tmp.
        done = self.run_in("writes", *command)
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertIn(f"'landlock.write' can't be held: it grants '/tmp' (@scratch), and '{self.work}'", done.stderr)

    def test_a_place_for_changes_is_no_symlink(self):
        place = self.work / "place"
        for path in (place, place / "out", place / "other"):
            path.mkdir()
            os.chown(path, UID, UID)
        command = ("--bind", f"{place}:/srv", "--", "sh", "-c", "touch /srv/out/new && echo ok; touch /srv/other/new")
        done = self.ctl("run", "--profile", "writes-srv", *command)
        self.assertEqual(done.stdout, "ok\n", done.stderr)
        (place / "out/new").unlink()
        (place / "out").rmdir()
        (place / "out").symlink_to("/srv/other")
        done = self.ctl("run", "--profile", "writes-srv", *command)
        self.assertEqual((done.returncode, done.stdout), (125, ""))
        self.assertRegex(done.stderr, r"landlock.*/srv/out.*ELOOP")

    def test_files_are_truncated_only_below_the_paths(self):
        (self.work / "log").write_text("old\n")
        os.chown(self.work / "log", UID, UID)
        command = ("sh", "-c", "echo more >> log && echo appended; for f in /tmp/log log; do echo x > $f; : > $f && echo $f; done")
        done = self.run_in("truncates", *command, options=("--at=/work",))
        if not self.refused_for_want_of("truncate", 3, done):
            self.assertEqual(done.stdout, "appended\n/tmp/log\n", done.stderr)
            self.assertEqual((self.work / "log").read_text(), "old\nmore\n")
        self.assertEqual(self.run_in("default", *command).stdout, "appended\n/tmp/log\nlog\n")

    def test_devices_take_no_ioctl_but_those_that_are_listed(self):
        text = ("import errno, fcntl, os\nfor path in ('/dev/null', '/dev/ptmx'):\n    try:\n"
                "        fcntl.ioctl(os.open(path, os.O_RDWR | os.O_NOCTTY), 0x80045430, bytes(4))\n        print('ok')\n"  # TIOCGPTN
                "    except OSError as error:\n        print(errno.errorcode[error.errno])\n")
        for profile, wanted in (("no-ioctl", "EACCES\nEACCES\n"), ("ptys", "EACCES\nok\n")):
            with self.subTest(profile):
                done = self.run_in(profile, "python3", "-c", text)
                if not self.refused_for_want_of("ioctl", 5, done):
                    self.assertEqual(done.stdout, wanted, done.stderr)
        self.assertEqual(self.run_in("default", "python3", "-c", text).stdout, "ENOTTY\nok\n")

    def test_a_strangers_abstract_socket_is_out_of_reach_on_the_hosts_network(self):
        name = f"sandboxd-landlock-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as control:
            server.bind("\0" + name)
            server.listen()
            control.connect("\0" + name)
            text = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')"
            done = self.run_in("scoped", "python3", "-c", text, options=("--network=host",))
        if ABI < 6:
            self.assertEqual(done.returncode, 125)
            self.assertIn(f"Landlock ABI 6, and this kernel has {ABI}" if "landlock.scopes" in done.stderr else "Landlock ABI 6", done.stderr)
            return
        self.assertIn("PermissionError", done.stderr)

    def test_what_is_held_and_what_is_not_is_shown(self):
        jail = self.ctl("create", "--profile", "all-optional", "--workspace=rw").stdout.strip()
        self.addCleanup(self.ctl, "rm", "-f", jail)
        shown = json.loads(self.ctl("inspect", "--json", jail).stdout)
        facts = {fact["name"]: fact["value"] for fact in shown["in_force"]}
        lacking = [rule for rule, abi in (("truncate", 3), ("tcp_bind", 4), ("ioctl", 5), ("scopes", 6)) if abi > ABI]
        self.assertEqual(facts.get("landlock_unenforced", ""), " ".join(lacking))
        self.assertEqual([one for one in shown["unenforced"] if one.startswith("landlock.")], [f"landlock.{rule}" for rule in lacking])
        self.assertEqual("landlock_truncate" in facts, ABI >= 3)
        self.assertEqual(facts["landlock_probe"], "refused")
        report = json.loads(self.ctl("run", "--json", "--profile", "all-optional", "--", "true").stdout.splitlines()[-1])
        self.assertEqual([one for one in report["report"].get("unenforced", []) if one.startswith("landlock.")], [f"landlock.{rule}" for rule in lacking])

    def test_the_profile_is_shown_with_its_rules(self):
        shown = json.loads(self.ctl("profile", "show", "all-optional").stdout)
        self.assertEqual(shown["landlock"], PROFILES["all-optional"]["landlock"])
        self.assertEqual(json.loads(self.ctl("profile", "show", "default").stdout)["landlock"], {})

    def test_a_session_and_its_files_are_held_too(self):
        jail = self.ctl("create", "--profile", "programs", "--workspace=rw").stdout.strip()
        self.assertEqual(self.ctl("exec", jail, "--", "echo", "ok").stdout, "ok\n")
        self.assertEqual(self.ctl("files", "write", f"{jail}:/tmp/new", input="x", stdin=None).returncode, 0)
        self.assertEqual(self.ctl("files", "cat", f"{jail}:/tmp/new").stdout, "x")
        self.assertEqual(self.ctl("rm", "-f", jail).returncode, 0)


if __name__ == "__main__":
    unittest.main()
