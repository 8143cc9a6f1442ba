#!/usr/bin/env python3
"""The Python module without a daemon: frames, bytes, descriptors, deadlines and errors, against a stub that says what a test wants."""
import array
import asyncio
import json
import os
import pathlib
import socket
import struct
import tempfile
import threading
import unittest

import sandboxd
import sandboxd.aio
from sandboxd import _bytes, _frames, _paths, _spec
from sandboxd._capture import Capture

DEADLINE = 30
REPORT = {"jail": "j-1", "job": 2, "profile": "default", "profile_hash": "00", "verdict": "exited", "exit_code": 0, "detail": "",
          "usage": {"wall": 1, "cpu_user": 2, "cpu_system": 3, "memory_peak": 4}, "enforced_by": [], "unenforced": [], "audit_index": 0, "survivors": 0}
JAIL = {"jail": "j-1", "name": "", "profile": "default", "state": "running", "uid": 1, "argv": [{"b64": "/w=="}], "argv_cut": False,
        "started": 1, "session": True, "frozen": False, "labels": {"a": "b"}, "jobs": 0, "in_force": [], "unenforced": [], "profile_hash": "cc"}
JOB = {"jail": "j-1", "job": 2, "state": "running", "argv": ["x"], "argv_cut": False, "started": 1, "tty": False, "detached": False,
       "attached": 0}


def own_fds():
    return sorted(os.listdir("/proc/self/fd"))


class Stub:
    """Listens in a folder of its own as the daemon and its broker. script(connection, call) answers one call."""

    def __init__(self, test, script):
        holder = tempfile.TemporaryDirectory()
        self.path = os.path.join(holder.name, "sandboxd.sock")
        self.calls, self.handed_in = [], []
        self.was_handed_in = threading.Event()
        self.refuse = None
        self._script = script
        self._sockets, self._threads = [], []
        self._listen("sandboxd.sock", socket.SOCK_STREAM, self._serve)
        self._listen("broker.sock", socket.SOCK_SEQPACKET, self._take)
        test.addCleanup(holder.cleanup)
        test.addCleanup(self._end)

    def _listen(self, name, kind, serve):
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(os.path.join(os.path.dirname(self.path), name))
        listener.listen()
        self._sockets.append(listener)
        self._start(self._accept, listener, serve)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener, serve):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._sockets.append(connection)
            self._start(serve, connection)

    def _serve(self, connection):
        with connection:
            try:
                self._answer(connection)
            except OSError:
                return  # the client has gone

    def _answer(self, connection):
        pending = b""
        while data := connection.recv(65536):
            *calls, pending = (pending + data).split(b"\0")
            for text in calls:
                call = json.loads(text)
                self.calls.append(call)
                if self._script(connection, call) == "close":
                    return

    def _take(self, connection):
        with connection:
            try:
                data, fds, _, _ = socket.recv_fds(connection, 64, 16)
            except OSError:
                return
            self.handed_in.append((data, [os.fstat(fd).st_mode for fd in fds]))
            for fd in fds:
                os.close(fd)
            if self.refuse is not None:
                connection.send(bytes([self.refuse]))
            self.was_handed_in.set()

    def _end(self):
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        for thread in self._threads:
            thread.join(DEADLINE)
        assert not any(thread.is_alive() for thread in self._threads)


def reply(connection, parameters, continues=False, error=None, fds=()):
    message = {"parameters": parameters, **({"continues": True} if continues else {}), **({"error": error} if error else {})}
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    data = json.dumps(message).encode() + b"\0"
    connection.sendall(data[connection.sendmsg([data], ancillary):])
    for fd in fds:
        os.close(fd)  # the client's now


def pipes():
    """((the job's ends), (the client's)): standard input, output, error."""
    (in_read, in_write), (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe(), os.pipe()
    return (in_read, out_write, err_write), (in_write, out_read, err_read)


def run_cat(connection, call):
    """A job that copies its input to both outputs, and ends."""
    (given, out, err), theirs = pipes()
    started = JAIL if call["method"].endswith("Run") else JOB
    reply(connection, {"started": started}, continues=True, fds=theirs)
    with open(given, "rb") as given, open(out, "wb") as out, open(err, "wb") as err:
        data = given.read()
        out.write(data)
        out.flush()
        err.write(data)
    reply(connection, {"report": REPORT})


class Case(unittest.TestCase):
    def setUp(self):
        before = own_fds()
        self.addCleanup(lambda: self.assertEqual(own_fds(), before))

    def start(self, script, **options):
        """A stub and a client of it."""
        stub = Stub(self, script)
        client = sandboxd.Client(stub.path, **options)
        self.addCleanup(client.close)
        return stub, client


class Bytes(unittest.TestCase):
    def test_are_text_where_that_is_shorter(self):
        for raw, written in [(b"text", "text"), ("gr\u00fcn".encode(), "gr\u00fcn"), (b"\xff", {"b64": "/w=="}),
                             (b"\0" * 9, {"b64": "AAAAAAAAAAAA"}), (b"", "")]:
            with self.subTest(raw):
                self.assertEqual(_bytes.to_json(raw), written)
                self.assertEqual(_bytes.from_json(written), raw)

    def test_of_names_that_are_not_utf8(self):
        self.assertEqual(_bytes.to_json(os.fsdecode(b"/x\xff")), {"b64": "L3j/"})
        self.assertEqual(_bytes.to_json(pathlib.Path("/x")), "/x")

    def test_that_are_none(self):
        for wrong in (None, 1, [], {"b64": "!"}, {"b64": 1}, {"b64": "", "more": 1}, {"b64": "/w"}):
            with self.subTest(wrong), self.assertRaises(ValueError):
                _bytes.from_json(wrong)


class Frames(unittest.TestCase):
    def test_come_in_any_pieces(self):
        text = b'{"parameters":{"a":1},"continues":true}\0{"error":"e.F"}\0{}\0'
        for size in (1, 7, len(text)):
            reader = _frames.FrameReader()
            found = []
            for start in range(0, len(text), size):
                reader.feed(text[start:start + size])
                while (frame := reader.next()) is not None:
                    found.append(_frames.decode_reply(frame))
            self.assertEqual(found, [_frames.Reply({"a": 1}, True), _frames.Reply({}, False, "e.F"), _frames.Reply({})])
            self.assertTrue(reader.is_empty)

    def test_are_bounded(self):
        reader = _frames.FrameReader(most=10)
        reader.feed(b"1234567890\0")
        with self.assertRaises(sandboxd.ProtocolError):
            reader.feed(b"12345678901")
        with self.assertRaises(ValueError):
            _frames.encode_call("a.B", {"data": "x" * (1 << 20)})

    def test_that_make_no_sense(self):
        for wrong in (b"", b"x", b"[]", b'{"parameters":1}', b'{"continues":1}', b'{"error":1}', b"\xff", b"[" * 100000):
            with self.subTest(wrong[:20]), self.assertRaises(sandboxd.ProtocolError):
                _frames.decode_reply(wrong)


class Parts(unittest.TestCase):
    def test_capture_keeps_both_ends(self):
        for data in (b"", b"0123", b"01234567", b"0123456789abcdef" * 3):
            for size in (1, 3, 100):
                capture = Capture(8)
                for start in range(0, len(data), size):
                    capture.add(data[start:start + size])
                wanted = (data, b"", 0) if len(data) <= 8 else (data[:6], data[-2:], len(data) - 8)
                self.assertEqual(capture.result(), wanted, (data, size))

    def test_sockets(self):
        tried = [pair.calls for pair in _paths.sockets_to_try("/x/sandboxd.sock", is_root=True)]
        self.assertEqual(tried, ["/x/admin.sock", "/x/sandboxd.sock"])
        self.assertEqual(_paths.socket_paths("/x/admin.sock").broker, "/x/broker-admin.sock")
        self.assertEqual(_paths.sockets_to_try("/x/other", is_root=True), [_paths.SocketPaths("/x/other", "/x/broker.sock")])

    def test_specs(self):
        with _spec.job_spec(["a", b"\xff"], {"env": {"X": "y"}, "timeout": 1.5, "tty": (3, 4), "labels": {"l": "v"}, "tmpfs": ["/t"]},
                            stdio="pass") as spec:
            self.assertEqual(spec.json, {"argv": ["a", {"b64": "/w=="}], "env": [{"name": "X", "value": "y"}], "wall_time": 1_500_000,
                                         "tty": {"rows": 3, "columns": 4}, "labels": {"l": "v"}, "tmpfs": [{"path": "/t"}],
                                         "stdio": "pass"})
        for argv, options, error in [("ls -l", {}, TypeError), ([], {}, TypeError), (["a"], {"tiemout": 1}, TypeError),
                                     (["a"], {"timeout": 0}, ValueError), (["a"], {"workspace": "/dev/null"}, NotADirectoryError),
                                     (["a"], {"binds": ["/dev/null"]}, ValueError)]:
            before = own_fds()
            with self.subTest(options), self.assertRaises(error):
                _spec.job_spec(argv, options)
            self.assertEqual(own_fds(), before)


class Plain(Case):
    def test_errors_have_types_and_fields(self):
        fields = {"Denied": {"rule": "r", "allowed": "a"}, "SetupFailed": {"step": "exec", "errno": 2, "detail": "d"},
                  "InvalidArgument": {"path": "/p", "value": "v", "expected": "e"}, "NotFound": {"what": "jail", "name": "n"},
                  "LimitReached": {"limit": "jails", "most": 3, "scope": "user"}, "Unavailable": {"what": "audit", "detail": "d"},
                  "Files.Failed": {"operation": "open", "path": {"b64": "/w=="}, "errno": 2, "detail": ""},
                  "Files.Refused": {"limit": "size", "path": "/p", "detail": "d"}}
        _, client = self.start(lambda connection, call: reply(connection, fields[call["parameters"]["jail"]],
                                                              error="org.sandboxd." + call["parameters"]["jail"]))
        kinds = {"Files.Failed": sandboxd.FileFailed, "Files.Refused": sandboxd.FileRefused}
        for name in fields:
            with self.subTest(name), self.assertRaises(kinds.get(name) or getattr(sandboxd, name)) as caught:
                client.inspect(name)
            for field, value in fields[name].items():
                found = getattr(caught.exception, "missing" if name == "NotFound" and field == "name" else field)
                wanted = _bytes.from_json(value) if name.startswith("Files.") and field == "path" else value
                self.assertEqual(found, wanted)
            self.assertTrue(str(caught.exception))

    def test_a_connection_is_used_again(self):
        peers = set()
        _, client = self.start(lambda connection, call: (peers.add(connection.fileno()), reply(connection, {"jail": JAIL})))
        for _ in range(5):
            self.assertEqual(client.inspect("x").argv, (b"\xff",))
        self.assertEqual(len(peers), 1)

    def test_a_connection_that_was_closed_is_not(self):
        closed = threading.Event()

        def script(connection, _):
            reply(connection, {"jail": JAIL})
            connection.shutdown(socket.SHUT_RDWR)
            closed.set()
            return "close"

        stub, client = self.start(script)
        client.inspect("x")
        self.assertTrue(closed.wait(DEADLINE))
        client.inspect("x")
        self.assertEqual(len(stub.calls), 2)

    def test_files_are_handed_in(self):
        stub, client = self.start(lambda connection, call: reply(connection, {"jail": JAIL}))
        with tempfile.TemporaryDirectory() as folder:
            client.create(workspace=sandboxd.Bind(folder, "/work", writable=True), binds=["/etc/passwd"])
        self.assertTrue(stub.was_handed_in.wait(DEADLINE))
        spec = stub.calls[0]["parameters"]["spec"]
        self.assertEqual(spec["workspace"], {"fd": 0, "target": "/work", "access": "rw"})
        self.assertEqual(spec["binds"], [{"fd": 1, "target": "/etc/passwd", "access": "ro"}])
        magic, version, token, count, namespace = struct.unpack("=II16sII", stub.handed_in[0][0])
        self.assertEqual((magic, version, token.hex(), count, namespace), (0x42584253, 1, spec["token"], 2, 0))
        self.assertEqual([mode >> 12 for mode in stub.handed_in[0][1]], [4, 8])

    def test_the_brokers_refusal_is_the_error(self):
        def script(connection, _):
            stub.was_handed_in.wait(DEADLINE)
            reply(connection, {"step": "files", "errno": 0, "detail": ""}, error="org.sandboxd.SetupFailed")

        stub, client = self.start(script)
        stub.refuse = 4
        with self.assertRaisesRegex(sandboxd.BrokerRefused, "hand in no files"):
            client.create(workspace=".")

    def test_descriptors_of_a_reply_that_is_wrong_are_closed(self):
        def script(connection, _):
            null = os.open("/dev/null", os.O_RDONLY)
            try:
                connection.sendmsg([json.dumps({"parameters": {"started": JOB}, "continues": True}).encode() + b"\0"],
                                   [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 5))])
            finally:
                os.close(null)

        _, client = self.start(script)
        for _ in range(3):
            with self.assertRaises(sandboxd.ProtocolError):
                client.popen(["x"])

    def test_run_copies_any_bytes_any_size(self):
        _, client = self.start(run_cat)
        for data in (b"", b"x\xff\0", os.urandom(3 << 20)):
            done = client.run(["cat"], stdin=data)
            self.assertEqual((done.stdout, done.stderr, done.ok), (data, data, True))

    def test_descriptors_are_close_on_exec(self):
        _, client = self.start(run_cat)
        with client.popen(["cat"]) as job:
            for stream in (job.stdin, job.stdout, job.stderr):
                self.assertFalse(os.get_inheritable(stream.fileno()))
            job.communicate()
            self.assertTrue(job.poll().ok)

    def test_what_is_in_the_buffer_comes_first(self):
        _, client = self.start(run_cat)
        with client.popen(["cat"]) as job:
            job.stdin.write(b"one\ntwo\n")
            job.stdin.close()
            self.assertEqual(job.stdout.readline(), b"one\n")
            self.assertEqual(job.communicate().stdout, b"two\n")

    def test_pipes_that_nobody_closes(self):
        held = []

        def script(connection, _):
            (given, out, err), theirs = pipes()
            os.close(given)
            held.extend((out, err))
            reply(connection, {"started": JAIL}, continues=True, fds=theirs)
            os.write(out, b"all")
            reply(connection, {"report": REPORT})

        _, client = self.start(script)
        self.assertEqual(client.run(["x"], timeout=DEADLINE).stdout, b"all")
        for fd in held:
            os.close(fd)

    def test_deadlines(self):
        _, client = self.start(lambda connection, call: None, call_timeout=0.05)
        for call in (client.info, client.list, lambda: client.run(["x"]), lambda: client.wait("x", timeout=0.05)):
            with self.assertRaises(sandboxd.DeadlineExpired):
                call()

    def test_a_daemon_that_goes(self):
        _, client = self.start(lambda connection, call: "close")
        with self.assertRaises(sandboxd.ConnectionLost):
            client.info()
        with self.assertRaises(ConnectionError):
            sandboxd.Client("/no/such/socket").info()

    def test_events(self):
        event = {"cursor": 7, "time": 1, "epoch": "e", "jail": "j", "kind": "started", "detail": {}, "uid": 1}

        def script(connection, _):
            reply(connection, {"gap": 3}, continues=True)
            reply(connection, {"event": event}, continues=True)
            reply(connection, {})

        stub, client = self.start(script)
        with client.events(after=1, epoch="d", follow=False) as events:
            gap, seen = list(events)
            self.assertEqual((gap, seen.kind, events.cursor, events.epoch), (sandboxd.Gap(3), "started", 7, "e"))
        self.assertEqual(stub.calls[0]["parameters"], {"follow": False, "after": 1, "epoch": "d"})

    def test_lists_in_several_replies(self):
        def script(connection, _):
            reply(connection, {"jails": [JAIL, JAIL], "complete": False}, continues=True)
            reply(connection, {"jails": [JAIL], "complete": True})

        _, client = self.start(script)
        self.assertEqual(len(client.list()), 3)

    def test_fields_that_are_of_another_type(self):
        for wrong in ({"uid": "1"}, {"uid": True}, {"argv": [1]}, {"labels": []}, {"jail": None}):
            _, client = self.start(lambda connection, call, wrong=wrong: reply(connection, {"jail": {**JAIL, **wrong}}))
            with self.subTest(wrong), self.assertRaises(sandboxd.ProtocolError):
                client.inspect("x")


class Asyncio(Case):
    def run_with(self, script, work, **options):
        stub = Stub(self, script)

        async def main():
            async with sandboxd.aio.Client(stub.path, **options) as client:
                await work(client)

        asyncio.run(main(), debug=True)
        return stub

    def test_run_copies_any_bytes_any_size(self):
        async def work(client):
            for data in (b"", b"x\xff\0", os.urandom(3 << 20)):
                done = await client.run(["cat"], stdin=data)
                self.assertEqual((done.stdout, done.stderr, done.ok), (data, data, True))

        self.run_with(run_cat, work)

    def test_errors_and_deadlines(self):
        async def work(client):
            with self.assertRaises(sandboxd.NotFound):
                await client.inspect("x")
            with self.assertRaises(sandboxd.DeadlineExpired):
                await client.wait("x", timeout=0.05)

        def script(connection, call):
            if call["method"].endswith("Inspect"):
                reply(connection, {"what": "jail", "name": "x"}, error="org.sandboxd.NotFound")

        self.run_with(script, work)

    def test_files_are_handed_in(self):
        async def work(client):
            self.assertEqual((await client.create(workspace=".")).id, "j-1")

        stub = self.run_with(lambda connection, call: reply(connection, {"jail": JAIL}), work)
        self.assertTrue(stub.was_handed_in.wait(DEADLINE))

    def test_cancelling_hangs_up(self):
        started, gone = threading.Event(), threading.Event()

        def script(connection, _):
            (given, out, err), theirs = pipes()
            reply(connection, {"started": JAIL}, continues=True, fds=theirs)
            started.set()
            for fd in (given, out, err):
                os.close(fd)
            try:
                self.assertEqual(connection.recv(1), b"")
            except ConnectionResetError:
                pass  # it went without having read all
            gone.set()
            return "close"

        async def work(client):
            task = asyncio.ensure_future(client.run(["x"]))
            await asyncio.get_running_loop().run_in_executor(None, started.wait, DEADLINE)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        self.run_with(script, work)
        self.assertTrue(gone.wait(DEADLINE))

    def test_events(self):
        event = {"cursor": 7, "time": 1, "epoch": "e", "jail": "j", "kind": "started", "detail": {}, "uid": 1}

        async def work(client):
            async with await client.events() as events:
                async for one in events:
                    self.assertEqual(one.kind, "started")
                    break

        self.run_with(lambda connection, call: reply(connection, {"event": event}, continues=True), work)


if __name__ == "__main__":
    unittest.main()
