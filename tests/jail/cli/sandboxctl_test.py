#!/usr/bin/env python3
"""sandboxctl with real jails: a daemon of the test's own, and a caller who is not root.

usage: sandboxctl_test.py DIRECTORY_OF_THE_PROGRAMS"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
DEADLINE = 60
UID = 47113


def start_daemon(top, more=None):
    """Returns once it says that it is ready."""
    # A host without controllers can't hold every limit of the defaults.
    missing = subprocess.run([BIN / "sandboxd-doctor", "--unenforceable"], check=True, capture_output=True, text=True).stdout
    config = top / "sandboxd.json"
    config.write_text(json.dumps({"unenforced_limits": json.loads(missing), **(more or {})}))
    command = [BIN / "sandboxd", "--standalone", "--config", config, "--runtime-dir", top / "run", "--state-dir", top / "state"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    ready, log = threading.Event(), []

    def read():
        with process.stderr:
            for line in process.stderr:
                log.append(line.decode(errors="replace"))
                if line.startswith(b"sandboxd: ready"):
                    ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(DEADLINE):
        process.terminate()
        process.wait(DEADLINE)
        raise RuntimeError("no daemon: " + "".join(log))
    return process


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="sandboxctl-jail-")
        cls.addClassCleanup(holder.cleanup)
        cls.top = pathlib.Path(holder.name)
        cls.top.chmod(0o755)
        for name in ("run", "state"):
            (cls.top / name).mkdir(mode=0o755)
        # The build tree may lie where others can't look.
        cls.ctl_path = shutil.copy(BIN / "sandboxctl", cls.top)
        cls.daemon = start_daemon(cls.top, cls.daemon_config(cls.top))
        cls.addClassCleanup(cls.daemon.wait, DEADLINE)
        cls.addClassCleanup(cls.daemon.terminate)
        cls.env = {"PATH": "/usr/bin:/bin", "SANDBOXD_SOCKET": str(cls.top / "run/sandboxd.sock")}

    @classmethod
    def daemon_config(cls, top):
        """For a class whose daemon has more in its configuration."""
        return {}

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=self.top))
        os.chown(self.work, UID, UID)

    def options(self, uid=UID):
        who = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        return {"cwd": self.work, "env": self.env, **who}

    def ctl(self, *words, uid=UID, **more):
        return subprocess.run([self.ctl_path, *words], capture_output=True,
                              **{"timeout": DEADLINE, "stdin": subprocess.DEVNULL, "text": True, **self.options(uid), **more})

    def start(self, *words):
        process = subprocess.Popen([self.ctl_path, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, **self.options())
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        return process


class Run(Case):
    def test_is_the_callers_uid_without_groups_or_capabilities(self):
        done = self.ctl("run", "--", "sh", "-c", "id -u; id -g; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status")
        lines = done.stdout.split("\n")
        self.assertEqual(lines[:2], [str(UID), str(UID)], done.stderr)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertIn(f"{name}:\t0000000000000000", lines)
        self.assertIn("NoNewPrivs:\t1", lines)
        self.assertIn("Seccomp:\t2", lines)

    def test_shows_uid_0_when_asked(self):
        self.assertEqual(self.ctl("run", "--user", "root", "--", "id", "-u").stdout, "0\n")

    def test_workspace_is_the_callers(self):
        done = self.ctl("run", "--workspace=rw", "--", "sh", "-c", "pwd; echo made > made")
        self.assertEqual(done.stdout, f"{self.work}\n", done.stderr)
        self.assertEqual((self.work / "made").stat().st_uid, UID)

    def test_workspace_is_read_only_by_default(self):
        done = self.ctl("run", "--workspace", "--", "touch", "made")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Read-only file system", done.stderr)

    def test_places(self):
        (self.work / "given").write_text("given\n")
        done = self.ctl("run", "--ro-bind", "given:/data/given", "--tmpfs", "/scratch:1M", "--dir", "/empty", "--hostname", "box",
                        "--workdir", "/scratch", "--", "sh", "-c", "cat /data/given; ls /empty; pwd; hostname; touch x && echo ok")
        self.assertEqual(done.stdout, "given\n/scratch\nbox\nok\n", done.stderr)

    def test_statuses(self):
        (self.work / "text").write_text("no program")
        for command, status in [(["sh", "-c", "exit 7"], 7), (["no-such-command"], 127), (["/etc"], 126),
                                (["sh", "-c", "kill -SEGV $$"], 139)]:
            with self.subTest(command):
                self.assertEqual(self.ctl("run", "--", *command).returncode, status)

    def test_timeout(self):
        done = self.ctl("run", "--timeout", "300ms", "--", "sleep", "100")
        self.assertEqual(done.returncode, 124)
        self.assertIn("timeout_wall", done.stderr)

    def test_denial_is_one_line(self):
        done = self.ctl("run", "--network", "host", "--", "true")
        self.assertEqual(done.returncode, 125)
        self.assertRegex(done.stderr, r"^sandboxctl: run: denied by rule '[^\n]+\n$")

    def test_large_streams(self):
        blob = os.urandom(6_000_000)
        (self.work / "in").write_bytes(blob)
        with open(self.work / "in", "rb") as given:
            done = self.ctl("run", "--", "cat", stdin=given, text=False)
        self.assertEqual(done.stdout, blob)

    def test_each_kind_of_stdio(self):
        (self.work / "in").write_text("given\n")
        for stdio in ("pass", "relay", "inherit"):
            with self.subTest(stdio), open(self.work / "in", encoding="ascii") as given:
                done = self.ctl("run", f"--stdio={stdio}", "--", "sh", "-c", "cat; echo err >&2", stdin=given)
                self.assertEqual((done.stdout, done.stderr, done.returncode), ("given\n", "err\n", 0))

    def test_the_reader_of_a_pipeline_may_go(self):
        process = self.start("run", "--", "yes")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGPIPE)

    def test_interrupt_ends_the_job(self):
        process = self.start("run", "--", "sh", "-c", "echo ready; sleep 1000")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGTERM)

    def test_many_that_are_ended_at_once_all_end(self):
        """More than a user's 64 connections are wanted: each run has one, and asks for another to pass the signal on."""
        runs = [self.start("run", "--", "sh", "-c", "echo up; exec sleep 1000") for _ in range(60)]
        for run in runs:
            self.assertEqual(run.stdout.readline(), "up\n")
        for run in runs:
            run.send_signal(signal.SIGTERM)
        for run in runs:
            self.assertEqual(run.wait(DEADLINE), 128 + signal.SIGTERM)

    def test_json_ends_with_the_report(self):
        lines = [json.loads(line) for line in self.ctl("run", "--json", "--", "echo", "hi").stdout.splitlines()]
        self.assertEqual([list(line)[0] for line in lines], ["started", "output", "report"])
        self.assertEqual(lines[2]["report"]["verdict"], "exited")

    def test_root_uses_the_admins_sockets(self):
        os.chown(self.work, 0, 0)
        done = self.ctl("run", "--workspace=rw", "--", "pwd", uid=0)
        self.assertEqual(done.stdout, f"{self.work}\n", done.stderr)


class Verbs(Case):
    def test_a_jails_life(self):
        process = self.start("run", "--name", "long-one", "--", "sh", "-c", "echo ready; exec sleep 1000")
        self.assertEqual(process.stdout.readline(), "ready\n")
        rows = [row.split("\t") for row in self.ctl("ps").stdout.splitlines()]
        self.assertIn(("long-one", "running"), [(row[1], row[3]) for row in rows])
        facts = self.ctl("inspect", "long-one").stdout
        self.assertRegex(facts, r"(?i)in force: .*seccomp")
        self.assertEqual(self.ctl("kill", "-s", "KILL", "long-one").returncode, 0)
        self.assertEqual(self.ctl("wait", "long-one").returncode, 137)
        self.assertEqual(process.wait(DEADLINE), 137)
        self.assertEqual(self.ctl("rm", "long-one").returncode, 0)
        self.assertIn("no jail 'long-one'", self.ctl("inspect", "long-one").stderr)

    def test_a_jail_is_its_users_own(self):
        process = self.start("run", "--name", "mine", "--", "sh", "-c", "echo ready; exec sleep 1000")
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.assertIn("no jail 'mine'", self.ctl("kill", "mine", uid=UID + 1).stderr)
        self.assertNotIn("mine", self.ctl("ps", uid=UID + 1).stdout)
        self.assertIn("mine", self.ctl("ps", uid=0).stdout)

    def test_events(self):
        self.ctl("run", "--", "true")
        done = self.ctl("events")
        self.assertEqual(done.returncode, 0, done.stderr)
        kinds = [line.split("\t")[1] for line in done.stdout.splitlines()]
        self.assertIn("started", kinds)
        self.assertIn("exited", kinds)

    def test_explain_starts_nothing(self):
        before = self.ctl("ps").stdout.count("\n")
        plan = json.loads(self.ctl("explain", "--workspace=rw", "--", "true").stdout)
        self.assertIn(str(self.work), json.dumps(plan))
        self.assertEqual(self.ctl("ps").stdout.count("\n"), before)

    def test_profiles_and_info(self):
        self.assertLessEqual({"default", "strict"}, {line.split("\t")[0] for line in self.ctl("profile", "list").stdout.splitlines()})
        self.assertEqual(json.loads(self.ctl("profile", "show", "strict").stdout)["name"], "strict")
        self.assertTrue(re.search(r"^version\t", self.ctl("info").stdout, re.M))

    def offline(self, *words):
        """The programs behind these verbs are found beside the real sandboxctl."""
        return subprocess.run([BIN / "sandboxctl", *words], capture_output=True, text=True, timeout=DEADLINE)

    def test_profile_check_and_explain(self):
        file = self.work / "mine.json"
        profile = json.loads((BIN / "../share/sandboxd/profiles/strict.json").read_text())
        file.write_text(json.dumps({**profile, "name": "mine"}))
        lines = self.offline("profile", "check", "--json", file).stdout.splitlines()
        self.assertEqual([json.loads(line)["profile"] for line in lines], ["mine"])
        self.assertIn("profile 'mine'", self.offline("profile", "check", file).stdout)
        self.assertIn("mount", self.offline("profile", "explain", "--profile=strict", "mount").stdout)
        self.assertEqual(json.loads(self.offline("profile", "show", file).stdout)["name"], "mine")
        self.assertEqual(self.offline("profile", "diff", file, "strict").stdout, "")
        differences = json.loads(self.offline("profile", "diff", "--json", "default", file).stdout)
        self.assertIn({"key": "proc", "before": "full", "after": "pid"}, differences["keys"])
        self.assertIn("connect", [call for one in differences["calls"] for call in one["syscalls"]])
        self.assertIn("ret 0x7fff0000  ; allow", self.offline("profile", "compile", "--text", file).stdout)
        wrong = self.offline("profile", "check")
        self.assertEqual((wrong.returncode, wrong.stderr), (2, "sandboxd-profile: FILE is required; see --help\n"))

    def test_audit_verify(self):
        self.ctl("run", "--", "true")
        answer = json.loads(self.offline("audit", "verify", "--json", self.top / "state/audit").stdout)
        self.assertIn(answer["verdict"], ("good", "unfinished"))  # it is written to meanwhile
        self.assertGreater(answer["records"], 2)
        wrong = self.offline("audit", "verify", "--nope")
        self.assertEqual((wrong.returncode, wrong.stdout), (3, ""))

    def test_doctor(self):
        done = subprocess.run([BIN / "sandboxctl", "doctor", "--json"], capture_output=True, text=True, timeout=DEADLINE)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["enforceable"], done.returncode), ("yes", 0), done.stdout)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root, to start a daemon")
        sys.exit(77)
    unittest.main()
