#!/usr/bin/env python3
"""Calls every method of ours on a running daemon, with a varlink client that we did not write.

SANDBOXD_SOCKET is the daemon's public socket; the broker's lies beside it. Run as an ordinary user, with a Python that has the
package 'varlink'.
"""

import array
import base64
import json
import os
import secrets
import socket
import struct
import tempfile
import threading
import unittest

import varlink

SOCKET = os.environ["SANDBOXD_SOCKET"]
ADDRESS = "unix:" + SOCKET
INTERFACES = ["org.sandboxd", "org.sandboxd.Jail", "org.sandboxd.Host", "org.sandboxd.Files"]
DEADLINE = 60
CALLED = set()


class Recorder:
    """A client's handle of an interface that remembers which methods were called."""

    def __init__(self, interface, handle):
        self._interface = interface
        self._handle = handle

    def __getattr__(self, name):
        if name[0].isupper():
            CALLED.add(f"{self._interface}.{name}")
        return getattr(self._handle, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._handle.close()


def connect(interface="org.sandboxd.Jail"):
    client = varlink.Client(ADDRESS)
    connection = client.open_connection()
    connection.settimeout(DEADLINE)
    return Recorder(interface, client.open(interface, connection=connection))


def shell(script, *arguments, **fields):
    return {"argv": ["/bin/sh", "-c", script, "sh", *arguments], **fields}


def text_of(value):
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


class Attached:
    """A jail that another connection runs while a test looks at it."""

    def __init__(self, spec):
        self.connection = connect()
        self.replies = self.connection.Run(spec, _more=True)
        self.jail = next(self.replies)["started"]["jail"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def report(self):
        return list(self.replies)[-1]["report"]


def lend(*fds):
    """Sends descriptors to the broker under a new token; the connection has to stay open until they are claimed."""
    token = secrets.token_bytes(16)
    broker = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    broker.connect(os.path.join(os.path.dirname(SOCKET), "broker.sock"))
    message = struct.pack("=II16sII", 0x42584253, 1, token, len(fds), 0)
    broker.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    return broker, token.hex()


class TestService(unittest.TestCase):
    def test_introspection(self):
        with varlink.Client(ADDRESS) as client:
            self.assertEqual(sorted(client.get_interfaces()), sorted([*INTERFACES, "org.varlink.service"]))
            self.assertEqual(client.info["product"], "sandboxd")
            for name in INTERFACES:
                self.assertIn("interface " + name, client.get_interface(name).get_description())

    def test_what_is_not_there(self):
        with varlink.Client(ADDRESS) as client:
            self.assertRaises(varlink.InterfaceNotFound, client.open, "org.sandboxd.Nothing")

    def test_version(self):
        with connect("org.sandboxd") as service:
            self.assertEqual(service.Version()["protocol"], 1)


class TestHost(unittest.TestCase):
    def test_info_and_features(self):
        with connect("org.sandboxd.Host") as host:
            self.assertIn("version", host.Info()["info"])
            self.assertIsInstance(host.Features()["features"], dict)

    def test_profiles(self):
        with connect("org.sandboxd.Host") as host:
            names = [profile["name"] for profile in host.Profiles()["profiles"]]
            self.assertIn("default", names)
            self.assertEqual([profile["name"] for profile in host.Profiles("strict")["profiles"]], ["strict"])
            with self.assertRaises(varlink.VarlinkError) as caught:
                host.Profiles("no-such-profile")
            self.assertEqual(caught.exception.error(), "org.sandboxd.NotFound")


class TestRun(unittest.TestCase):
    def test_one_reply(self):
        with connect() as jails:
            reply = jails.Run(shell("echo out; echo err >&2; exit 3"))
        self.assertEqual(text_of(reply["stdout"]), b"out\n")
        self.assertEqual(text_of(reply["stderr"]), b"err\n")
        self.assertEqual((reply["report"]["verdict"], reply["report"]["exit_code"]), ("exited", 3))
        self.assertFalse(reply["stdout_cut"])

    def test_many_replies(self):
        with connect() as jails:
            first, *outputs, last = list(jails.Run(shell("printf one; printf two >&2"), _more=True))
        self.assertEqual(first["started"]["uid"], os.getuid())
        got = {"stdout": b"", "stderr": b""}
        for reply in outputs:
            got[reply["output"]["stream"]] += text_of(reply["output"]["data"])
        self.assertEqual(got, {"stdout": b"one", "stderr": b"two"})
        self.assertEqual(last["report"]["exit_code"], 0)

    def test_large_output_to_a_slow_reader(self):
        with connect() as jails:
            size = 0
            for reply in jails.Run(shell("head -c 20000000 /dev/zero"), _more=True):
                size += len(text_of(reply["output"]["data"])) if "output" in reply else 0
        self.assertEqual(size, 20_000_000)

    def test_input_and_bytes_that_are_not_utf8(self):
        strange = bytes([0xFF, 0x0A, 0x80])
        data = {"b64": base64.b64encode(strange).decode()}
        with connect() as jails:
            self.assertEqual(text_of(jails.Run({"argv": ["cat"], "stdin_data": data})["stdout"]), strange)
            self.assertEqual(text_of(jails.Run(shell('printf %s "$1"', data))["stdout"]), strange)
            env = [{"name": "STRANGE", "value": data}]
            self.assertEqual(text_of(jails.Run(shell('printf %s "$STRANGE"', env=env))["stdout"]), strange)

    def test_wall_clock(self):
        with connect() as jails:
            self.assertEqual(jails.Run(shell("sleep 60", wall_time=300_000))["report"]["verdict"], "timeout_wall")

    def test_passed_descriptors(self):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(DEADLINE)
            raw.connect(SOCKET)
            spec = {"argv": ["cat"], "stdio": "pass"}
            call = {"method": "org.sandboxd.Jail.Run", "more": True, "parameters": {"spec": spec}}
            raw.sendall(json.dumps(call).encode() + b"\0")
            reply, fds, _, _ = socket.recv_fds(raw, 65536, 4)
            self.assertIn("started", json.loads(reply.split(b"\0")[0])["parameters"])
            self.assertEqual(len(fds), 3)
            with open(fds[0], "wb") as stdin, open(fds[1], "rb") as stdout, open(fds[2], "rb") as stderr:
                stdin.write(b"through the pipes")
                stdin.close()
                self.assertEqual((stdout.read(), stderr.read()), (b"through the pipes", b""))
            rest = b""
            while not rest.endswith(b"\0"):
                rest += raw.recv(65536)
            self.assertEqual(json.loads(rest[:-1])["parameters"]["report"]["exit_code"], 0)

    def test_workspace_through_the_broker(self):
        with tempfile.TemporaryDirectory() as directory, connect() as jails:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            broker, token = lend(fd)
            workspace = {"fd": 0, "target": "/work", "access": "rw"}
            with broker:
                report = jails.Run(shell("echo made > made", token=token, workspace=workspace))["report"]
            os.close(fd)
            self.assertEqual(report["exit_code"], 0, report)
            made = os.path.join(directory, "made")
            with open(made, encoding="utf-8") as file:
                self.assertEqual(file.read(), "made\n")
            self.assertEqual(os.stat(made).st_uid, os.getuid())

    def test_errors_say_what_is_wrong(self):
        wrong = {"env": [{"name": "A=B", "value": ""}]}
        cases = [
            (shell("true", **wrong), "InvalidArgument", {"path": "/parameters/spec/env/0/name"}),
            (shell("true", wall_time=0), "InvalidArgument", {"path": "/parameters/spec/wall_time", "value": "0"}),
            (shell("true", workdir="/a/../b"), "InvalidArgument", {"path": "/parameters/spec/workdir"}),
            (shell("true", profile="no-such-profile"), "NotFound", {"what": "profile", "name": "no-such-profile"}),
            (shell("true", profile="strict", network="host"), "Denied", {}),
        ]
        with connect() as jails:
            for spec, error, fields in cases:
                with self.assertRaises(varlink.VarlinkError) as caught:
                    jails.Run(spec)
                self.assertEqual(caught.exception.error(), "org.sandboxd." + error)
                self.assertLessEqual(fields.items(), caught.exception.parameters().items())

    def test_explain_starts_nothing(self):
        with connect() as jails:
            before = len(jails.List()["jails"])
            plan = jails.Explain(shell("true"))["plan"]
            self.assertIsInstance(plan, dict)
            self.assertEqual(len(jails.List()["jails"]), before)


class TestJail(unittest.TestCase):
    def test_list_and_inspect(self):
        name = "nap-" + secrets.token_hex(4)
        with Attached(shell("sleep 60", name=name)) as run, connect() as jails:
            found = [jail for jail in jails.List()["jails"] if jail["jail"] == run.jail]
            self.assertEqual([(jail["name"], jail["state"]) for jail in found], [(name, "running")])
            self.assertTrue(list(jails.List(_more=True))[-1]["complete"])
            info = jails.Inspect(name)["jail"]
            self.assertEqual(info["jail"], run.jail)
            self.assertTrue(info["in_force"])

    def test_kill_wait_and_remove(self):
        with Attached(shell("sleep 60")) as run, connect() as jails, connect() as waiting:
            reports = []
            waiter = threading.Thread(target=lambda: reports.append(waiting.Wait(run.jail)["report"]))
            waiter.start()
            jails.Kill(run.jail, 15, 1_000_000)
            waiter.join(DEADLINE)
            self.assertEqual([report["jail"] for report in reports], [run.jail])
            self.assertEqual(run.report(), reports[0])
            jails.Remove(run.jail)
            with self.assertRaises(varlink.VarlinkError) as caught:
                jails.Inspect(run.jail)
            self.assertEqual(caught.exception.error(), "org.sandboxd.NotFound")

    def test_remove_by_force(self):
        with Attached(shell("sleep 60")) as run, connect() as jails:
            jails.Remove(run.jail, True)
            self.assertNotIn(run.jail, [jail["jail"] for jail in jails.List()["jails"]])

    def test_a_client_that_goes_takes_its_jail_along(self):
        with connect() as jails:
            with Attached(shell("sleep 60")) as run:
                pass
            self.assertEqual(jails.Wait(run.jail)["report"]["verdict"], "killed")

    def test_events(self):
        with connect() as jails, connect() as listener, connect() as single:
            jail = jails.Run(shell("true"))["report"]["jail"]
            kinds = []
            for reply in listener.Events(0, _more=True):
                if reply["event"]["jail"] == jail:
                    kinds.append(reply["event"]["kind"])
                if kinds and kinds[-1] == "ended":
                    break
            self.assertLess(kinds.index("started"), kinds.index("ended"))
            self.assertGreater(single.Events(0)["event"]["cursor"], 0)


class TestFiles(unittest.TestCase):
    """The streams' descriptors don't come through this client, and are closed at once: that is an error like any other."""

    def setUp(self):
        with connect() as jails:
            self.jail = jails.Create({"tmpfs": [{"path": "/work"}]})["jail"]["jail"]

    def tearDown(self):
        with connect() as jails:
            jails.Remove(self.jail, True)

    def test_write_read_list_stat_remove(self):
        with connect("org.sandboxd.Files") as files:
            files.Write(self.jail, "/work/f", "hello")
            files.Write(self.jail, "/work/f", " more", None, True)
            self.assertEqual(text_of(files.Read(self.jail, "/work/f")["data"]), b"hello more")
            self.assertEqual(files.Read(self.jail, "/work/f", 6, 2)["end"], False)
            self.assertEqual([entry["name"] for entry in files.List(self.jail, "/work")["entries"]], ["f"])
            self.assertEqual(files.Stat(self.jail, "/work/f")["stat"]["size"], 10)
            files.Remove(self.jail, "/work/f")
            with self.assertRaises(varlink.VarlinkError) as caught:
                files.Read(self.jail, "/work/f")
            self.assertEqual(caught.exception.error(), "org.sandboxd.Files.Failed")

    def test_streams(self):
        with connect("org.sandboxd.Files") as files:
            files.Write(self.jail, "/work/f", "x" * 300000)
            for method in (files.Get, files.Put):
                replies = method(self.jail, "/work", _more=True)
                self.assertTrue(next(replies)["started"])
                with self.assertRaises(varlink.VarlinkError) as caught:
                    next(replies)
                self.assertIn(caught.exception.error(), ("org.sandboxd.Files.Failed", "org.sandboxd.Files.Refused"))


class TestSession(unittest.TestCase):
    def setUp(self):
        self.jails = connect()
        self.jail = self.jails.Create({"labels": {"of": "a test"}})["jail"]["jail"]

    def tearDown(self):
        self.jails.Remove(self.jail, True)
        self.jails._handle.close()

    def test_exec_and_jobs(self):
        done = self.jails.Exec(self.jail, shell("echo out; exit 3"))
        self.assertEqual((text_of(done["stdout"]), done["report"]["exit_code"]), (b"out\n", 3))
        self.assertEqual([job["state"] for job in self.jails.Jobs(self.jail)["jobs"]], ["ended"])

    def test_a_detached_job_with_a_terminal_and_a_log(self):
        spec = shell("echo first; read line", tty={"rows": 24, "columns": 80}, detach=True, log=True)
        job = self.jails.Exec(self.jail, spec)["started"]["job"]
        self.jails.Resize(self.jail, job, {"rows": 30, "columns": 90})
        self.jails.Detach(self.jail, job)
        with connect() as other:
            self.assertEqual(next(other.Attach(self.jail, job, _more=True))["started"]["job"], job)
        # It has printed once that is in the log; a signal that comes before would end it without.
        logged = b""
        with connect() as other:
            for reply in other.Logs(self.jail, job, True, _more=True):
                logged += text_of(reply["output"]["data"]) if reply.get("output") else b""
                if b"first" in logged:
                    break
        self.assertIn(b"first", logged)
        self.jails.Signal(self.jail, job, 9)
        self.assertEqual(self.jails.Wait(self.jail, job)["report"]["signal"], 9)

    def test_stats_and_update(self):
        stats = self.jails.Stats(self.jail)["stats"]
        self.assertEqual([row["jail"] for row in stats], [self.jail])
        self.assertEqual(self.jails.Jobs(self.jail)["jobs"], [])
        why = self.jails.Why(self.jail)
        self.assertEqual((why["denials"], why["forgotten"], why["untold"]), ([], 0, 0))
        with self.assertRaises(varlink.VarlinkError) as caught:
            self.jails.Update(self.jail, {"pids_max": 1 << 40})
        self.assertEqual(caught.exception.error(), "org.sandboxd.Denied")

    def test_what_was_learned_is_the_administrators(self):
        with self.assertRaises(varlink.VarlinkError) as caught:
            self.jails.Learned(self.jail, "mine")
        self.assertEqual(caught.exception.error(), "org.sandboxd.Denied")

    def test_freeze_thaw_and_extend(self):
        self.jails.Freeze(self.jail)
        self.assertTrue(self.jails.Inspect(self.jail)["jail"]["frozen"])
        self.jails.Thaw(self.jail)
        before = self.jails.Inspect(self.jail)["jail"]["expires"]
        self.assertGreater(self.jails.Extend(self.jail, 7_200_000_000)["expires"], before)


class TestZEveryMethod(unittest.TestCase):
    """Runs last: unittest sorts by name."""

    def test_was_called(self):
        with varlink.Client(ADDRESS) as client:
            methods = set()
            for name in INTERFACES:
                members = client.get_interface(name).members.values()
                methods |= {f"{name}.{m.name}" for m in members if type(m).__name__ == "_Method"}
        self.assertEqual(methods - CALLED, set())


if __name__ == "__main__":
    unittest.main()
