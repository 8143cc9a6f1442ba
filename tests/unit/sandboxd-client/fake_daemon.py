"""A daemon that has no jails: it speaks varlink over a real socket and runs the asked-for command as a plain child, so that
sandboxctl's streams, signals and exit statuses meet a real process. Its broker keeps what was handed in."""
import array
import base64
import contextlib
import fcntl
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading

BROKER = struct.Struct("=II16sII")


def encode(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def decode(value):
    return value.encode() if isinstance(value, str) else base64.b64decode(value["b64"])


def report(verdict="exited", **more):
    usage = {"wall": 1, "cpu_user": 0, "cpu_system": 0, "memory_peak": 0}
    return {"jail": "j-1", "job": 1, "survivors": 0, "profile": "default", "profile_hash": "00", "verdict": verdict, "detail": "", "usage": usage,
            "enforced_by": [], "unenforced": [], "audit_index": 7, **more}


def jail(**more):
    return {"jail": "j-1", "name": "", "profile": "default", "state": "running", "uid": 1000, "argv": ["true"],
            "argv_cut": False, "started": 1, "in_force": [], "session": False, "frozen": False, "labels": {}, "jobs": 1, "unenforced": [],
            "profile_hash": "cc", **more}


def job(**more):
    return {"jail": "j-1", "job": 2, "state": "running", "argv": ["true"], "argv_cut": False, "started": 1, "tty": False,
            "detached": False, "attached": 1, **more}


class Call:
    """One call, and its replies."""

    def __init__(self, connection, frame):
        self.connection = connection
        self.method, self.parameters, self.more = frame["method"], frame.get("parameters", {}), frame.get("more", False)

    def reply(self, parameters, continues=False, fds=()):
        frame = {"parameters": parameters, **({"continues": True} if continues else {})}
        self.send(frame, fds)

    def error(self, error, /, **parameters):
        self.send({"error": error, "parameters": parameters})

    def send(self, frame, fds=()):
        data = json.dumps(frame, ensure_ascii=False).encode() + b"\0"
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.connection.sendmsg([data], control)
        if sent < len(data):
            self.connection.sendall(data[sent:])


class FakeDaemon:
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="sandboxctl-test-")
        self.path = self.directory.name
        self.socket = os.path.join(self.path, "sandboxd.sock")
        self.calls, self.handed_in, self.kills = [], [], []
        self.taken = threading.Condition()
        self.answers = {}  # method -> function(call); default: run()
        self.terminal, self.sizes, self.detached = None, [], threading.Event()
        self.exec_argv = lambda argv: argv
        self.child = None
        self.hung_up = threading.Event()
        self.listeners = []
        self.listen("sandboxd.sock", socket.SOCK_STREAM, self.serve)
        self.listen("broker.sock", socket.SOCK_SEQPACKET, self.take_descriptors)

    def listen(self, name, kind, serve):
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(os.path.join(self.path, name))
        listener.listen(16)
        thread = threading.Thread(target=self.accept, args=(listener, name, serve), daemon=True)
        self.listeners.append((listener, thread))
        thread.start()

    def accept(self, listener, name, serve):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection, name), daemon=True).start()

    def close(self):
        for listener, thread in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread: one left in accept would take the next test's calls
            thread.join()
            listener.close()
        if self.child and self.child.poll() is None:
            self.child.kill()
        self.directory.cleanup()

    def wait_handed_in(self, count):
        """What has been handed in, once it is so many: it is taken beside the call that cites it."""
        with self.taken:
            self.taken.wait_for(lambda: len(self.handed_in) >= count, 60)
            return list(self.handed_in)

    def take_descriptors(self, connection, name):
        data, fds, _, _ = socket.recv_fds(connection, 4096, 16)
        magic, version, token, count, has_mount_ns = BROKER.unpack(data)
        taken = {"socket": name, "magic": magic, "version": version, "token": token.hex(), "count": count,
                 "has_mount_ns": has_mount_ns, "paths": [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]}
        with self.taken:
            self.handed_in.append(taken)
            self.taken.notify_all()
        with connection:
            connection.recv(1)  # until the client closes
        for fd in fds:
            os.close(fd)

    def serve(self, connection, name):
        data = b""
        with connection, contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                data += chunk
                while b"\0" in data:
                    frame, _, data = data.partition(b"\0")
                    call = Call(connection, json.loads(frame))
                    self.calls.append(call)
                    self.answer(call)

    def answer(self, call):
        if call.method in self.answers:
            self.answers[call.method](call)
        elif call.method == "org.sandboxd.Jail.Run":
            self.run(call)
        elif call.method == "org.sandboxd.Jail.Create":
            call.reply({"jail": jail(session=True, argv=[], jobs=0, expires=60_000_000)})
        elif call.method == "org.sandboxd.Jail.Exec":
            self.exec(call)
        elif call.method == "org.sandboxd.Jail.Resize":
            self.resize(call)
        elif call.method == "org.sandboxd.Jail.Detach":
            self.detached.set()
            call.reply({})
        elif call.method == "org.sandboxd.Jail.Kill":
            self.kills.append(call.parameters)
            self.child.send_signal(call.parameters["signal"])
            call.reply({})
        else:
            call.error("org.varlink.service.MethodNotFound", method=call.method)

    def run(self, call):
        spec = call.parameters["spec"]
        argv = [decode(word) for word in spec["argv"]]
        env = {decode(one["name"]): decode(one["value"]) for one in spec.get("env", [])}
        try:
            if spec.get("stdio", "relay") == "pass":
                self.run_passing(call, argv, env)
            else:
                self.run_relaying(call, argv, env, decode(spec.get("stdin_data") or ""))
        except FileNotFoundError:
            call.error("org.sandboxd.SetupFailed", step="exec", errno=2, detail=f"execute {argv[0]}")

    def exec(self, call):
        spec = call.parameters["spec"]
        argv = self.exec_argv([decode(word) for word in spec["argv"]])
        env = {"PATH": "/usr/bin:/bin", **{decode(one["name"]): decode(one["value"]) for one in spec.get("env", [])}}
        if spec.get("detach"):
            call.reply({"started": job(detached=True, attached=0)})
        elif spec.get("tty"):
            self.run_terminal(call, argv, env, spec["tty"])
        else:
            self.run_passing(call, argv, env, started=job())

    def run_terminal(self, call, argv, env, size):
        self.terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", size["rows"], size["columns"], 0, 0))
        take = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
        self.child = subprocess.Popen([sys.executable, "-c", take, *argv], env=env, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        self.offer_terminal(call)
        self.finish(call, self.child.wait())

    def offer_terminal(self, call):
        """Its two ends: what is typed, what is shown."""
        call.reply({"started": job(tty=True)}, continues=True, fds=[self.terminal, self.terminal])
        threading.Thread(target=self.watch, args=(call.connection, self.child), daemon=True).start()

    def resize(self, call):
        size = call.parameters["size"]
        self.sizes.append((size["rows"], size["columns"]))
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *self.sizes[-1], 0, 0))
        call.reply({})

    def run_passing(self, call, argv, env, started=None):
        pipes = [os.pipe() for _ in range(3)]
        self.child = subprocess.Popen(argv, env=env, stdin=pipes[0][0], stdout=pipes[1][1], stderr=pipes[2][1])
        outer = [pipes[0][1], pipes[1][0], pipes[2][0]]
        call.reply({"started": started or jail()}, continues=True, fds=outer)
        for fd in (*outer, pipes[0][0], pipes[1][1], pipes[2][1]):
            os.close(fd)
        threading.Thread(target=self.watch, args=(call.connection, self.child), daemon=True).start()
        self.finish(call, self.child.wait())

    def run_relaying(self, call, argv, env, data):
        call.reply({"started": jail()}, continues=True)
        self.child = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = self.child.communicate(data)
        for stream, text in (("stdout", out), ("stderr", err)):
            for start in range(0, len(text), 100_000):
                call.reply({"output": {"stream": stream, "data": encode(text[start:start + 100_000])}}, continues=True)
        self.finish(call, self.child.returncode)

    def watch(self, connection, child):
        """An attached run whose client goes is killed."""
        try:
            gone = connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            gone = True
        if gone and not self.detached.is_set():
            child.send_signal(signal.SIGKILL)
            self.hung_up.set()

    def finish(self, call, status):
        end = report("signalled", signal=-status) if status < 0 else report(exit_code=status)
        try:
            call.reply({"report": end})
        except OSError:
            pass
