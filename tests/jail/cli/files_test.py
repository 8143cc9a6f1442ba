#!/usr/bin/env python3
"""Files into live jails and out of them, by sandboxctl cp and files, where the jail helps and where it does not.

usage: files_test.py DIRECTORY_OF_THE_PROGRAMS"""
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import unittest

from sandboxctl_test import DEADLINE, UID, Case

OTHER_UID = UID + 1


def tree_of(top):
    """Everything below, by name: kind, permission bits, content."""
    found = {}
    for directory, names, files in os.walk(os.fsencode(top)):
        for name in names + files:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                what = ("link", os.readlink(path))
            elif stat.S_ISDIR(info.st_mode):
                what = ("directory", stat.S_IMODE(info.st_mode))
            else:
                with open(path, "rb") as file:
                    what = ("file", stat.S_IMODE(info.st_mode), int(info.st_mtime), file.read())
            found[os.path.relpath(path, os.fsencode(top))] = what
    return found


def tar_of(*members):
    """(name, type, content, more fields) each."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content, more in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode = kind, len(content), 0o644
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class FilesCase(Case):
    """A session with the workspace at its own path, so that the test sees what the jail sees."""

    workspace = "rw"

    def setUp(self):
        super().setUp()
        self.inside = self.work / "inside"
        self.outside = self.work / "outside"
        for path in (self.inside, self.outside):
            path.mkdir()
            os.chown(path, UID, UID)
        done = self.ctl("create", f"--workspace={self.workspace}", "--workspace-dir", str(self.inside), "--tmpfs", "/memory")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.jail = done.stdout.strip()
        self.addCleanup(self.ctl, "kill", "--grace", "0", self.jail)

    def good(self, *words, **more):
        done = self.ctl(*words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def bad(self, *words, **more):
        done = self.ctl(*words, **more)
        self.assertEqual(done.returncode, 125, done.stdout)
        return done.stderr if isinstance(done.stderr, str) else done.stderr.decode()

    def there(self, path):
        return f"{self.jail}:{path}"

    def own(self, top):
        for directory, names, files in os.walk(os.fsencode(top)):
            for name in [b"."] + names + files:
                os.lchown(os.path.join(directory, name), UID, UID)

    def wait_until(self, holds, what):
        end = time.monotonic() + DEADLINE
        while not holds():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)


class Copies(FilesCase):
    def make_tree(self):
        top = self.outside / "tree"
        for i in range(1000):
            (top / f"d{i % 20}" / "e").mkdir(parents=True, exist_ok=True)
            (top / f"d{i % 20}" / "e" / f"f{i}").write_bytes(bytes([i % 256]) * (i * 13 % 5000))
        with open(os.path.join(os.fsencode(top), b"\xff\xfe not utf-8 \n\x1b"), "wb") as file:
            file.write(b"binary")
        (top / ("n" * 255)).write_text("long")
        (top / "d1/link").symlink_to("../d2/e/f2")
        (top / "program").write_text("#!/bin/sh\n")
        (top / "program").chmod(0o755)
        self.own(self.outside)
        return top

    def test_a_tree_comes_back_as_it_went_in(self):
        top = self.make_tree()
        answer = json.loads(self.good("cp", "--json", str(top), self.there(self.inside)))
        self.assertEqual(answer["files"], 1004)
        self.assertEqual(tree_of(self.inside / "tree"), tree_of(top))
        self.good("cp", self.there(self.inside / "tree"), str(self.outside / "back"))
        self.assertEqual(tree_of(self.outside / "back"), tree_of(top))
        self.assertEqual(os.lstat(self.outside / "back").st_uid, UID)

    def test_where_things_go(self):
        (self.outside / "f").write_text("one")
        (self.outside / "d").mkdir()
        (self.outside / "d/g").write_text("two")
        self.own(self.outside)
        self.good("cp", "outside/f", self.there(self.inside))
        self.good("cp", "outside/f", self.there(self.inside / "named"))
        self.good("cp", "outside/d", self.there(self.inside))
        self.good("cp", "outside/d", self.there(self.inside / "other"))
        self.good("cp", "outside/d/.", self.there(self.inside / "other"))
        self.assertEqual({name.decode() for name in tree_of(self.inside)}, {"f", "named", "d", "d/g", "other", "other/g"})
        self.good("cp", self.there("/etc/passwd"), "outside/f")
        self.assertIn("root:", (self.outside / "f").read_text())
        self.assertIn("ENOTDIR", self.bad("cp", self.there(self.inside / "d"), "outside/f"))
        self.assertIn("ENOTDIR", self.bad("cp", self.there(self.inside / "f"), "outside/x/"))
        self.assertIn("no directory", self.bad("cp", "outside/d", self.there(self.inside / "f")))

    def test_streams(self):
        stream = self.good("cp", self.there("/usr/include/linux"), "-", text=False)
        names = tarfile.open(fileobj=io.BytesIO(stream)).getnames()
        self.assertIn("linux/fs.h", names)
        self.good("cp", "-", self.there(self.inside), text=False, input=stream, stdin=None)
        self.assertTrue((self.inside / "linux/fs.h").exists())

    def test_a_large_file_streams_through(self):
        size = 1 << 30
        self.good("exec", self.jail, "--", "truncate", "-s", str(size), "/memory/large")
        seen = 0
        process = subprocess.Popen([self.ctl_path, "cp", self.there("/memory/large"), "-"], stdout=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, **self.options())
        with process.stdout:
            while piece := process.stdout.read(1 << 20):
                seen += len(piece)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertGreater(seen, size)
        self.assertLess(usage.ru_maxrss, 64 << 10)


class Refused(FilesCase):
    def test_hostile_streams_leave_nothing(self):
        (self.work / "victim").write_text("untouched")
        rows = {
            "name": [("../victim", tarfile.REGTYPE, b"x", {})],
            "link": [("l", tarfile.SYMTYPE, b"", {"linkname": "/etc"})],
            "type": [("fifo", tarfile.FIFOTYPE, b"", {})],
            "duplicate": [("f", tarfile.REGTYPE, b"x", {}), ("f", tarfile.REGTYPE, b"y", {})],
            "size": [("f", tarfile.REGTYPE, b"x" * 2000, {})],
            "entries": [(f"f{i}", tarfile.REGTYPE, b"", {}) for i in range(30)],
            "depth": [("a/" * 10 + "f", tarfile.REGTYPE, b"", {})],
        }
        for limit, members in rows.items():
            with self.subTest(limit=limit):
                stream = tar_of(("first", tarfile.REGTYPE, b"good", {}), *members)
                said = self.bad("cp", "--size-max", "1K", "--entries-max", "20", "--depth-max", "5", "-", self.there(self.inside),
                                text=False, input=stream, stdin=None)
                self.assertIn(f"'{limit}'", said)
                self.assertEqual(os.listdir(self.inside), [])
        cut = tar_of(("first", tarfile.REGTYPE, b"good" * 1000, {}))[:2000]
        self.assertIn("'format'", self.bad("cp", "-", self.there(self.inside), text=False, input=cut, stdin=None))
        self.assertEqual(os.listdir(self.inside), [])
        self.assertEqual((self.work / "victim").read_text(), "untouched")

    def test_setuid_bits_and_owners_are_dropped(self):
        stream = tar_of(("f", tarfile.REGTYPE, b"x", {"mode": 0o6755, "uid": 0, "gid": 0}))
        self.good("cp", "-", self.there(self.inside), text=False, input=stream, stdin=None)
        info = os.lstat(self.inside / "f")
        self.assertEqual((stat.S_IMODE(info.st_mode), info.st_uid), (0o755, UID))

    def test_a_link_of_the_jail_does_not_lead_the_caller(self):
        (self.inside / "tree").mkdir()
        (self.inside / "tree/l").symlink_to("/etc/passwd")
        self.own(self.inside)
        self.assertIn("'link'", self.bad("cp", self.there(self.inside / "tree"), "outside"))
        self.assertEqual(os.listdir(self.outside), [])

    def test_devices_fifos_and_proc_are_harmless(self):
        os.mkfifo(self.inside / "fifo")
        self.own(self.inside)
        for path in (self.inside / "fifo", "/dev/zero"):
            self.assertIn("'type'", self.bad("cp", self.there(path), "outside"))
            self.assertIn("'type'", self.bad("files", "cat", self.there(path)))
        self.assertIn("ENXIO", self.bad("files", "write", "-a", self.there(self.inside / "fifo")))
        self.assertIn("Name:", self.good("files", "cat", self.there("/proc/self/status")))
        self.bad("files", "write", self.there("/proc/self/comm"))
        self.bad("cp", self.there("/proc/1"), "outside")
        self.assertEqual(os.listdir(self.outside), [])

    def test_only_the_owner(self):
        for words in (("cp", self.there("/etc/passwd"), "-"), ("files", "ls", self.there("/"))):
            self.assertIn("no jail", self.bad(*words, uid=OTHER_UID))


class ReadOnly(FilesCase):
    workspace = "ro"

    def test_a_read_only_workspace_is_read_only_here_too(self):
        (self.outside / "f").write_text("x")
        (self.inside / "g").write_text("x")
        for words in (("cp", "outside/f", self.there(self.inside)), ("files", "rm", self.there(self.inside / "g")),
                      ("files", "write", self.there(self.inside / "f"))):
            self.assertIn("EROFS", self.bad(*words))
        self.assertEqual(os.listdir(self.inside), ["g"])


class Single(FilesCase):
    def test_verbs(self):
        path = self.there(self.inside / "f")
        self.good("files", "write", path, input="hello\n", stdin=None)
        self.good("files", "write", "-a", path, input="more\n", stdin=None)
        self.assertIn("EEXIST", self.bad("files", "write", "-x", path, input="", stdin=None))
        self.assertEqual(self.good("files", "cat", path), "hello\nmore\n")
        entries = json.loads(self.good("files", "ls", "--json", self.there(self.inside)))
        self.assertEqual([(e["name"], e["type"], e["size"]) for e in entries], [("f", "file", 11)])
        self.assertEqual(json.loads(self.good("files", "stat", "--json", path))["mode"], 0o644)
        self.good("files", "rm", path)
        self.assertIn("ENOENT", self.bad("files", "rm", path))
        self.assertEqual(os.listdir(self.inside), [])

    def test_a_call_is_on_record(self):
        self.bad("files", "cat", self.there("/etc/not-there"))
        log = b"".join(path.read_bytes() for path in (self.top / "state/audit").rglob("*.seg"))
        self.assertIn(b'"argv":["sandboxd-files","read","/etc/not-there"', log)


class Hostile(FilesCase):
    """A job of the jail has the program's own id, and may signal it; but the program can't be read, so to it /proc shows nothing of it."""

    # Puts a stream of its own in front of what the program says.
    FORGER = r"""
import os, sys
stream = bytes.fromhex(sys.argv[1])
print("looking", flush=True)
while True:
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and open(f"/proc/{pid}/cmdline", "rb").read().startswith(b"sandboxd-files\0archive"):
                with open(f"/proc/{pid}/fd/1", "wb", 0) as out:
                    out.write(stream)
        except OSError:
            pass
"""
    KILLER = r"""
import os
print("looking", flush=True)
while True:
    for pid in range(2, 4096):
        try:
            if pid != os.getpid():
                os.kill(pid, 9)
        except OSError:
            pass
"""

    def attack(self, program, *arguments):
        process = self.start("exec", self.jail, "--", "/usr/bin/python3", "-c", program, *arguments)
        self.assertEqual(process.stdout.readline(), "looking\n")

    def test_a_job_can_not_write_into_the_programs_stream(self):
        (self.work / "victim").write_text("untouched")
        forged = tar_of(("../victim", tarfile.REGTYPE, b"forged", {}))
        self.attack(self.FORGER, forged.hex())
        # Large: the forger has the time to look while it works.
        self.good("cp", self.there("/usr/include"), "outside")
        self.assertEqual((self.work / "victim").read_text(), "untouched")
        self.assertEqual(os.listdir(self.outside), ["include"])

    def test_a_program_that_the_jail_kills_is_an_error(self):
        self.attack(self.KILLER)
        failed = 0
        for _ in range(20):
            done = self.ctl("cp", self.there("/usr/include"), "outside/copy")
            failed += done.returncode == 125
            if done.returncode == 125:
                self.assertEqual(os.listdir(self.outside), [])
                break
        self.assertGreater(failed, 0)


class Interrupted(FilesCase):
    def begin(self, *words):
        process = subprocess.Popen([self.ctl_path, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   **self.options())
        for stream in (process.stdin, process.stdout, process.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        return process

    def test_a_client_that_is_killed_leaves_nothing_in_the_jail(self):
        process = self.begin("cp", "-", self.there(self.inside))
        process.stdin.write(tar_of(("f", tarfile.REGTYPE, b"x" * 100000, {}))[:50000])
        process.stdin.flush()
        self.wait_until(lambda: any(self.inside.glob(".sandboxd-*/f")), "nothing was unpacked")
        process.kill()
        self.wait_until(lambda: os.listdir(self.inside) == [], "something stays")

    def begin_out(self):
        """A copy that takes long, begun."""
        self.good("exec", self.jail, "--", "truncate", "-s", "8G", "/memory/large")
        process = self.begin("cp", "--size-max", "8G", self.there("/memory/large"), "outside")
        self.wait_until(lambda: any(self.outside.glob(".sandboxd-*/large")), "nothing was unpacked")
        return process

    def test_a_client_that_is_interrupted_takes_back_what_it_has(self):
        process = self.begin_out()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGINT)
        self.assertEqual(os.listdir(self.outside), [])

    def test_what_a_killed_one_left_goes_with_the_next(self):
        process = self.begin_out()
        process.kill()
        process.wait(DEADLINE)
        self.assertNotEqual(os.listdir(self.outside), [])
        self.good("cp", self.there("/etc/passwd"), "outside")
        self.assertEqual(os.listdir(self.outside), ["passwd"])


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    unittest.main()
