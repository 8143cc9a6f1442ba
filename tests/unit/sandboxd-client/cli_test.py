#!/usr/bin/env python3
"""sandboxctl as a program, against a fake daemon on a real socket."""
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from fake_daemon import FakeDaemon, jail, report

SANDBOXCTL = sys.argv.pop(1)
DEADLINE = 30
BLOB = b"".join(hashlib.sha256(i.to_bytes(4)).digest() for i in range(100_000))  # 3.2 MB: many pipes full


class Case(unittest.TestCase):
    def setUp(self):
        self.daemon = FakeDaemon()
        self.addCleanup(self.daemon.close)
        self.env = {"PATH": "/usr/bin:/bin", "SANDBOXD_SOCKET": self.daemon.socket, "HOME": "/nowhere", "SECRET": "x"}

    def ctl(self, *words, input=b"", **more):
        return subprocess.run([SANDBOXCTL, *words], input=input, capture_output=True, timeout=DEADLINE,
                              **{"env": self.env, **more})

    def start(self, *words, **more):
        process = subprocess.Popen([SANDBOXCTL, *words], env=self.env, stderr=subprocess.PIPE,
                                   **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **more})
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                self.addCleanup(pipe.close)
        return process

    def spec(self):
        return self.daemon.calls[0].parameters["spec"]


class RunStreams(Case):
    def test_output_and_status_are_the_jobs(self):
        done = self.ctl("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
        self.assertEqual((done.stdout, done.stderr, done.returncode), (b"out\n", b"err\n", 3))

    def test_large_output_comes_whole(self):
        done = self.ctl("run", "--", "sh", "-c", "cat; cat /dev/null", input=BLOB)
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(BLOB).digest())
        self.assertEqual(done.returncode, 0)

    def test_input_and_output_may_be_files(self):
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as got:
            given.write(BLOB)
            given.seek(0)
            got.write(b"head ")
            got.flush()
            subprocess.run([SANDBOXCTL, "run", "--", "cat"], stdin=given, stdout=got, env=self.env, timeout=DEADLINE, check=True)
            got.seek(0)
            self.assertEqual(got.read(), b"head " + BLOB)

    def test_output_may_be_a_file_in_append_mode(self):
        with tempfile.NamedTemporaryFile("ab") as got:  # splice(2) refuses those
            subprocess.run([SANDBOXCTL, "run", "--", "sh", "-c", "seq 1 50000"], stdout=got, env=self.env, timeout=DEADLINE, check=True)
            with open(got.name, "rb") as file:
                self.assertEqual(len(file.read().split()), 50000)

    def test_a_job_that_reads_nothing_holds_nobody_up(self):
        done = self.ctl("run", "--", "sh", "-c", "echo done", input=BLOB)
        self.assertEqual((done.stdout, done.returncode), (b"done\n", 0))

    def test_an_input_without_an_end_holds_nobody_up(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        with open(reader, "rb") as stdin:
            done = subprocess.run([SANDBOXCTL, "run", "--", "true"], stdin=stdin, env=self.env, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0)

    def test_the_end_of_input_reaches_the_job(self):
        self.assertEqual(self.ctl("run", "--", "wc", "-c", input=b"12345").stdout.strip(), b"5")

    def test_errors_pass_while_output_is_blocked(self):
        # The job has filled standard output's pipes, which nobody reads, before it writes to standard error.
        job = ("import fcntl, os, select; os.set_blocking(1, False)\n"
               "while select.select([], [1], [], 0.2)[1]: os.write(1, b'x' * 4096)\n"
               "os.write(2, b'now\\n')")
        process = self.start("run", "--", sys.executable, "-c", job)
        self.assertTrue(select.select([process.stderr], [], [], DEADLINE)[0])
        self.assertEqual(process.stderr.readline(), b"now\n")
        self.assertGreater(len(process.stdout.read()), 65536)
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_a_reader_that_goes_ends_the_job_as_in_a_pipeline(self):
        process = self.start("run", "--", "yes")
        process.stdout.read(100)
        process.stdout.close()
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")

    def test_a_full_disk_is_our_failure(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([SANDBOXCTL, "run", "--", "echo", "hi"], stdout=full, stderr=subprocess.PIPE, env=self.env,
                                  timeout=DEADLINE)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"No space left on device", done.stderr)

    def test_closed_standard_descriptors_are_no_danger(self):
        done = subprocess.run(["sh", "-c", '"$0" run -- sh -c "exit 4" <&- >&- 2>&-', SANDBOXCTL], env=self.env, timeout=DEADLINE)
        self.assertEqual(done.returncode, 4)

    def test_relayed_streams(self):
        done = self.ctl("run", "--stdio=relay", "--", "sh", "-c", "cat; printf '\\377' >&2", input=BLOB[:300_000])
        self.assertEqual(done.stdout, BLOB[:300_000])
        self.assertEqual(done.stderr, b"\xff")

    def test_relay_refuses_more_input_than_a_call_holds(self):
        done = self.ctl("run", "--stdio=relay", "--", "cat", input=BLOB)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"--stdio=pass", done.stderr)

    def test_json_is_a_line_for_each_thing(self):
        done = self.ctl("run", "--json", "--", "sh", "-c", "printf a; printf '\\377' >&2; exit 2")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 2)
        self.assertEqual(list(lines[0]), ["started"])
        self.assertIn({"output": {"stream": "stdout", "data": "a"}}, lines)
        self.assertIn({"output": {"stream": "stderr", "data": {"b64": "/w=="}}}, lines)
        self.assertEqual([line["report"]["exit_code"] for line in lines if "report" in line], [2])


class RunEnds(Case):
    def refuse(self, error, *options, **fields):
        self.daemon.answers["org.sandboxd.Jail.Run"] = lambda call: call.error("org.sandboxd." + error, **fields)
        return self.ctl("run", *options, "--", "x")

    def end(self, **fields):
        def run(call):
            call.reply({"started": jail()}, continues=True)
            call.reply({"report": report(**fields)})
        self.daemon.answers["org.sandboxd.Jail.Run"] = run
        return self.ctl("run", "--stdio=null", "--", "x")

    def test_statuses(self):
        for fields, status in [({"exit_code": 77}, 77), ({"verdict": "signalled", "signal": 11}, 139),
                               ({"verdict": "timeout_wall", "signal": 9}, 124), ({"verdict": "seccomp", "signal": 31}, 159),
                               ({"verdict": "stuck"}, 125)]:
            with self.subTest(fields):
                self.assertEqual(self.end(**fields).returncode, status)

    def test_a_clock_is_told(self):
        self.assertEqual(self.end(verdict="timeout_wall").stderr, b"sandboxctl: run: the job ended by 'timeout_wall'\n")

    def test_a_command_that_is_not_there(self):
        done = self.refuse("SetupFailed", step="exec", errno=2, detail="execute 'x'")
        self.assertEqual(done.returncode, 127)
        self.assertTrue(done.stderr.startswith(b"sandboxctl: run: failed at 'exec': execute 'x': No such file or directory (ENOENT); "))
        self.assertEqual(done.stderr.count(b"\n"), 1)

    def test_json_has_the_refusal_too(self):
        done = self.refuse("Denied", "--json", rule="network", allowed="none")
        self.assertEqual(json.loads(done.stdout.splitlines()[-1]),
                         {"error": {"name": "org.sandboxd.Denied", "parameters": {"allowed": "none", "rule": "network"}}})
        self.assertIn(b"denied by rule 'network'", done.stderr)

    def test_a_denial_says_what_to_do(self):
        done = self.refuse("Denied", rule="network", allowed="none")
        self.assertEqual(done.returncode, 125)
        self.assertEqual(done.stderr.count(b"\n"), 1)
        self.assertIn(b"denied by rule 'network': allowed is none; see 'sandboxctl explain'", done.stderr)

    def test_a_daemon_that_goes_away(self):
        self.daemon.answers["org.sandboxd.Jail.Run"] = lambda call: call.connection.shutdown(2)
        done = self.ctl("run", "--", "x")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"closed the connection before the job's end", done.stderr)

    def test_an_answer_that_is_none(self):
        for frame in ({"parameters": {"started": {"jail": 5}}}, {"parameters": {}, "surprise": 1}, {"parameters": {"report": []}}):
            with self.subTest(frame):
                self.daemon.answers["org.sandboxd.Jail.Run"] = lambda call: call.send(frame)
                done = self.ctl("run", "--", "x")
                self.assertEqual(done.returncode, 125)
                self.assertIn(b"the daemon's answer", done.stderr)

    def test_what_the_daemon_says_can_not_steer_a_terminal(self):
        done = self.refuse("Denied", rule="\x1b[2J", allowed="\u202e\x07")
        self.assertNotIn(b"\x1b", done.stderr)
        self.assertNotIn("\u202e".encode(), done.stderr)


class RunSignals(Case):
    HANDLES = "import os, signal; signal.signal({}, lambda *_: {}); os.write(1, b'ready\\n')\nwhile True: signal.pause()"

    def started(self, signal_name, handler):
        process = self.start("run", "--", sys.executable, "-c", self.HANDLES.format("signal." + signal_name, handler))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def test_a_signal_goes_to_the_job(self):
        process = self.started("SIGINT", r"(os.write(1, b'caught\n'), os._exit(9))")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 9)
        self.assertEqual(process.stdout.read(), b"caught\n")
        self.assertEqual(self.daemon.kills, [{"jail": "j-1", "signal": signal.SIGINT}])

    def test_a_second_one_kills_at_once(self):
        process = self.started("SIGTERM", r"os.write(1, b'caught\n')")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.stdout.readline(), b"caught\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGKILL)
        self.assertEqual(self.daemon.kills[1], {"jail": "j-1", "signal": signal.SIGKILL, "grace": 0})

    def test_when_the_kill_is_refused_it_hangs_up(self):
        self.daemon.answers["org.sandboxd.Jail.Kill"] = lambda call: call.error(
            "org.sandboxd.LimitReached", limit="connections", most=64, scope="user")
        process = self.started("SIGTERM", "None")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGTERM)
        self.assertTrue(self.daemon.hung_up.wait(DEADLINE))

    def test_before_the_start_it_hangs_up(self):
        reader, writer = os.pipe()
        self.daemon.answers["org.sandboxd.Jail.Run"] = lambda call: os.write(writer, b"x")
        process = self.start("run", "--", "x")
        os.read(reader, 1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGTERM)

    def test_a_client_that_dies_takes_the_job_along(self):
        process = self.started("SIGTERM", "None")
        process.kill()
        self.assertTrue(self.daemon.hung_up.wait(DEADLINE))


class RunRequest(Case):
    def test_the_environment_is_cleared(self):
        self.ctl("run", "--env", "A=1", "-e", "SECRET", "--", "true")
        names = {one["name"]: one["value"] for one in self.spec()["env"]}
        self.assertEqual(names, {"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "A": "1", "SECRET": "x"})
        self.daemon.calls.clear()
        self.ctl("run", "--", "true")
        self.assertNotIn("SECRET", [one["name"] for one in self.spec()["env"]])

    def test_files_are_handed_in_under_the_cited_token(self):
        with tempfile.TemporaryDirectory() as work, tempfile.NamedTemporaryFile() as file:
            work, name = os.path.realpath(work), os.path.realpath(file.name)
            done = self.ctl("run", "--workspace=rw", "--ro-bind", f"{name}:/data", "--root", "/usr", "--mount-namespace", "--", "true",
                            cwd=work)
            self.assertEqual(done.returncode, 0, done.stderr)
            handed, spec = self.daemon.wait_handed_in(1)[0], self.spec()
            self.assertEqual(handed["paths"][:3], [work, name, "/usr"])
            self.assertTrue(handed["paths"][3].startswith("mnt:["))
            self.assertEqual((handed["count"], handed["has_mount_ns"], handed["socket"]), (4, 1, "broker.sock"))
            self.assertEqual(spec["token"], handed["token"])
            self.assertEqual(spec["workspace"], {"fd": 0, "target": work, "access": "rw"})
            self.assertEqual(spec["binds"][0]["target"], "/data")
            self.assertEqual(spec["root_fd"], 2)

    def test_each_token_is_new(self):
        for _ in range(2):
            self.ctl("run", "--workspace", "--", "true")
        first, second = self.daemon.wait_handed_in(2)
        self.assertNotEqual(first["token"], second["token"])

    def test_without_files_nothing_is_handed_in(self):
        self.ctl("run", "--", "true")
        self.assertEqual(self.daemon.handed_in, [])
        self.assertIsNone(self.spec().get("token"))

    def test_with_a_named_profile_the_broker_is_told_who_asks(self):
        self.ctl("run", "--profile", "mine", "--", "true")
        handed = self.daemon.wait_handed_in(1)[0]
        self.assertEqual((handed["count"], handed["has_mount_ns"]), (0, 0))
        self.assertEqual(self.spec()["token"], handed["token"])

    def test_what_follows_the_command_is_the_commands(self):
        self.ctl("run", "--name", "n", "printf", "--", "--json")
        self.assertEqual(self.spec()["argv"], ["printf", "--", "--json"])
        self.daemon.calls.clear()
        self.ctl("run", "--", "-weird", "--help")
        self.assertEqual(self.spec()["argv"], ["-weird", "--help"])

    def test_arguments_may_be_any_bytes(self):
        done = subprocess.run([SANDBOXCTL.encode(), b"run", b"--", b"printf", b"\xff"], env=self.env, capture_output=True, timeout=DEADLINE)
        self.assertEqual(done.stdout, b"\xff")

    def test_mistakes_are_one_line_and_125(self):
        for words in (["run"], ["run", "--"], ["run", "--nonsense", "--", "x"], ["run", "--network", "some", "--", "x"], ["nosuch"],
                      ["run", "--at", "/x", "--", "x"], ["run", "--workspace=rx", "--", "x"], ["run", "--timeout", "0", "--", "x"],
                      ["run", "--bind", "/nonexistent", "--", "x"], ["ps", "more"], ["kill", "-s", "NOSUCH", "j"], []):
            with self.subTest(words):
                done = self.ctl(*words)
                self.assertEqual(done.returncode, 125)
                self.assertRegex(done.stderr, rb"^sandboxctl: [^\n]+\n$")
                self.assertEqual(self.daemon.calls, [])

    def test_a_verb_that_is_unknown_is_named(self):
        self.assertEqual(self.ctl("nosuch", "--json").stderr, b"sandboxctl: unknown verb 'nosuch'; see --help\n")

    def test_a_command_may_be_called_like_a_verb(self):
        self.ctl("run", "kill", "-l")
        self.assertEqual(self.spec()["argv"], ["kill", "-l"])

    def test_root_takes_the_admins_pair(self):
        if os.geteuid() != 0:
            self.skipTest("needs uid 0")
        import socket
        self.daemon.listen("admin.sock", socket.SOCK_STREAM, self.daemon.serve)
        self.daemon.listen("broker-admin.sock", socket.SOCK_SEQPACKET, self.daemon.take_descriptors)
        self.ctl("run", "--workspace", "--", "true")
        self.assertEqual(self.daemon.wait_handed_in(1)[0]["socket"], "broker-admin.sock")

    def test_explain_starts_nothing(self):
        self.daemon.answers["org.sandboxd.Jail.Explain"] = lambda call: call.reply({"plan": {"profile": "default"}})
        done = self.ctl("explain", "--workspace", "--json", "--", "true")
        self.assertEqual(json.loads(done.stdout), {"profile": "default"})
        self.assertEqual([call.method for call in self.daemon.calls], ["org.sandboxd.Jail.Explain"])
        self.assertEqual(self.daemon.handed_in, [])


class Verbs(Case):
    def answer(self, method, *replies):
        def send(call):
            for i, parameters in enumerate(replies):
                call.reply(parameters, continues=i + 1 < len(replies))
        self.daemon.answers["org.sandboxd." + method] = send

    def test_ps_joins_all_replies(self):
        self.answer("Jail.List", {"jails": [jail()], "complete": False}, {"jails": [jail(jail="j-2", name="b\x1b")], "complete": True})
        rows = self.ctl("ps").stdout.decode().splitlines()
        self.assertEqual([row.split("\t")[0] for row in rows], ["j-1", "j-2"])
        self.assertEqual(rows[1].split("\t")[1], "b\\x1b")
        self.assertEqual([one["jail"] for one in json.loads(self.ctl("ps", "--json").stdout)], ["j-1", "j-2"])

    def test_inspect_shows_what_is_in_force(self):
        self.answer("Jail.Inspect", {"jail": jail(in_force=[{"name": "Seccomp", "value": "2"}])})
        self.assertIn(b"in force: Seccomp\t2\n", self.ctl("inspect", "j-1").stdout)
        self.assertEqual(json.loads(self.ctl("inspect", "--json", "j-1").stdout)["in_force"][0]["value"], "2")

    def test_wait_ends_as_the_job_did(self):
        self.answer("Jail.Wait", {"report": report(exit_code=5)})
        done = self.ctl("wait", "j-1")
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"verdict\texited 5\n", done.stdout)

    def test_kill_names_the_signal_and_the_grace(self):
        self.answer("Jail.Kill", {})
        self.assertEqual(self.ctl("kill", "-s", "USR1", "--grace", "500ms", "j-1").returncode, 0)
        self.assertEqual(self.daemon.calls[0].parameters, {"jail": "j-1", "signal": 10, "grace": 500_000})

    def test_rm_forces_when_asked(self):
        self.answer("Jail.Remove", {})
        self.ctl("rm", "-f", "j-1")
        self.assertEqual(self.daemon.calls[0].parameters, {"jail": "j-1", "force": True})

    def test_events_end_unless_followed(self):
        event = {"cursor": 4, "time": 1, "epoch": "e", "jail": "j-1", "kind": "started", "detail": {}, "uid": 1000}
        self.answer("Jail.Events", {"event": event}, {})
        self.assertEqual(self.ctl("events", "--after", "3").stdout.split(b"\t")[:3], [b"4", b"started", b"j-1"])
        self.assertEqual(self.daemon.calls[0].parameters, {"after": 3, "follow": False})
        self.assertEqual([json.loads(line) for line in self.ctl("events", "--json").stdout.splitlines()], [event])

    def test_profiles(self):
        self.answer("Host.Profiles", {"profiles": [{"name": "strict", "description": "little", "may_use": "everybody"}]})
        self.assertEqual(self.ctl("profile", "list").stdout, b"strict\tlittle\teverybody\n")
        self.assertEqual(json.loads(self.ctl("profile", "show", "strict").stdout)["name"], "strict")
        self.assertEqual(self.daemon.calls[1].parameters, {"name": "strict"})

    def test_info(self):
        self.answer("Host.Info", {"info": {"version": "1", "pool": {"first": 5}}})
        self.assertEqual(self.ctl("info").stdout, b"pool.first\t5\nversion\t1\n")

    def test_not_found_names_the_list(self):
        self.daemon.answers["org.sandboxd.Jail.Wait"] = lambda call: call.error("org.sandboxd.NotFound", what="jail", name="x")
        self.assertEqual(self.ctl("wait", "x").stderr, b"sandboxctl: wait: no jail 'x'; see 'sandboxctl ps'\n")

    def test_a_method_that_the_daemon_lacks(self):
        self.assertIn(b"older than this client", self.ctl("info").stderr)



class Tools(Case):
    """The verbs of other programs, in a prefix of their own."""

    def setUp(self):
        super().setUp()
        prefix = os.path.join(self.daemon.path, "prefix")
        os.makedirs(os.path.join(prefix, "libexec/sandboxd"))
        os.makedirs(os.path.join(prefix, "bin"))
        self.bin = os.path.join(prefix, "bin")
        self.libexec = os.path.join(prefix, "libexec/sandboxd")
        shutil.copy(SANDBOXCTL, self.bin)

    def put(self, directory, name, status):
        path = os.path.join(directory, name)
        with open(path, "w") as file:
            file.write(f'#!/bin/sh\necho "$0" "$@"\nexit {status}\n')
        os.chmod(path, 0o755)
        return path

    def tool(self, *words):
        return subprocess.run([os.path.join(self.bin, "sandboxctl"), *words], env=self.env, capture_output=True, timeout=DEADLINE)

    def test_are_found_in_libexec_with_their_arguments(self):
        self.put(self.libexec, "sandboxd-profile", 3)
        done = self.tool("profile", "check", "--json", "a.json", "--strict")
        self.assertTrue(done.stdout.endswith(b"/sandboxd-profile check --json a.json --strict\n"), done)
        self.assertEqual(done.returncode, 3)

    def test_beside_our_own_binary_come_first(self):
        self.put(self.libexec, "sandboxd-doctor", 3)
        path = self.put(self.bin, "sandboxd-doctor", 1)
        done = self.tool("doctor", "--state-dir", "/x")
        self.assertEqual(done.stdout.decode(), f"{path} --state-dir /x\n")
        self.assertEqual(done.returncode, 1)

    def test_are_never_looked_up_in_path(self):
        self.put(self.daemon.path, "sandboxd-audit-verify", 0)
        self.env["PATH"] = self.daemon.path
        done = self.tool("audit", "verify")
        self.assertEqual(done.returncode, 125)
        self.assertRegex(done.stderr, rb"^sandboxctl: audit verify: find 'sandboxd-audit-verify' in [^\n]+\n$")


if __name__ == "__main__":
    unittest.main()
