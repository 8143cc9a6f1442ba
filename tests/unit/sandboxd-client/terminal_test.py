#!/usr/bin/env python3
"""sandboxctl on a real terminal, against a fake daemon: raw mode and its end, sizes, detach keys, and what logs may do to it."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

from fake_daemon import FakeDaemon, job, report

SANDBOXCTL = sys.argv.pop(1)
DEADLINE = 30


class Terminal:
    """A process that has this terminal for its own."""

    def __init__(self, words, env, size=(31, 97)):
        self.fd, self.inner = pty.openpty()
        self.resize(*size)
        self.process = subprocess.Popen([SANDBOXCTL, *words], env=env, stdin=self.inner, stdout=self.inner, stderr=self.inner,
                                        preexec_fn=self.take)
        self.seen = b""

    def take(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data):
        os.write(self.fd, data)

    def await_text(self, pattern):
        end = time.monotonic() + DEADLINE
        while not re.search(pattern, self.seen):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern!r} in {self.seen!r}")
            self.seen += os.read(self.fd, 65536)
        return self.seen

    def rest(self):
        while select.select([self.fd], [], [], 0)[0]:
            self.seen += os.read(self.fd, 65536)
        return self.seen

    def is_raw(self):
        return termios.tcgetattr(self.inner)[3] & (termios.ICANON | termios.ECHO | termios.ISIG) == 0

    def await_mode(self, raw):
        end = time.monotonic() + DEADLINE
        while self.is_raw() != raw:
            if time.monotonic() > end:
                raise AssertionError(f"the terminal is {'not ' if raw else ''}in raw mode")
            select.select([], [], [], 0.01)  # no event tells of a terminal's mode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self.fd)
        os.close(self.inner)


class Case(unittest.TestCase):
    def setUp(self):
        self.daemon = FakeDaemon()
        self.addCleanup(self.daemon.close)
        self.env = {"PATH": "/usr/bin:/bin", "SANDBOXD_SOCKET": self.daemon.socket, "TERM": "xterm"}

    def start(self, *words):
        terminal = Terminal(words, self.env)
        self.addCleanup(terminal.close)
        return terminal

    def shell(self, *options):
        terminal = self.start("exec", "-t", *options, "j-1", "--", "sh", "-c", "echo ready; exec cat -v")
        terminal.await_text(b"ready")
        terminal.await_mode(raw=True)
        return terminal


class Raw(Case):
    def test_the_terminal_is_raw_while_the_job_has_it_and_as_before_after(self):
        terminal = self.start("exec", "-t", "j-1", "--", "sh", "-c", "echo ready; read line; exit 7")
        before = termios.tcgetattr(terminal.inner)
        terminal.await_text(b"ready")
        terminal.await_mode(raw=True)
        terminal.type(b"\n")
        self.assertEqual(terminal.process.wait(DEADLINE), 7)
        self.assertEqual(termios.tcgetattr(terminal.inner), before)

    def test_it_is_as_before_when_the_client_is_killed(self):
        terminal = self.shell()
        terminal.process.kill()
        terminal.process.wait(DEADLINE)
        terminal.await_mode(raw=False)
        self.assertTrue(self.daemon.hung_up.wait(DEADLINE))  # and the guard keeps no connection open

    def test_it_is_as_before_when_a_signal_ends_it(self):
        terminal = self.shell()
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.process.wait(DEADLINE), 128 + signal.SIGTERM)
        terminal.await_mode(raw=False)

    def test_a_stop_gives_it_back_until_the_client_goes_on(self):
        terminal = self.shell()
        terminal.process.send_signal(signal.SIGTSTP)
        self.assertTrue(os.WIFSTOPPED(os.waitpid(terminal.process.pid, os.WUNTRACED)[1]))
        terminal.await_mode(raw=False)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.await_mode(raw=True)

    def test_nothing_of_it_is_left_running(self):
        terminal = self.shell()
        terminal.type(b"\x04")
        self.assertEqual(terminal.process.wait(DEADLINE), 0)
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and self.holds(pid, os.fstat(terminal.inner))]
        self.assertEqual(left, [])

    @staticmethod
    def holds(pid, wanted):  # a path would be that of any devpts
        if int(pid) == os.getpid():
            return False
        try:
            return any(os.path.samestat(wanted, os.stat(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            return False

    def test_keys_are_the_jobs(self):
        terminal = self.start("exec", "-t", "j-1", "--", "sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 1; done")
        terminal.await_text(b"ready")
        terminal.await_mode(raw=True)
        terminal.type(b"\x03")
        terminal.await_text(b"caught")
        self.assertEqual(terminal.process.wait(DEADLINE), 3)

    def test_standard_input_must_be_one(self):
        for words in (["run", "-t", "--", "x"], ["exec", "-t", "j-1", "--", "x"]):
            done = subprocess.run([SANDBOXCTL, *words], stdin=subprocess.DEVNULL, capture_output=True, env=self.env, timeout=DEADLINE)
            self.assertEqual(done.returncode, 125)
            self.assertIn(b"--tty: standard input is not a terminal", done.stderr)
        self.assertEqual(self.daemon.calls, [])


class Size(Case):
    def test_it_is_ours_from_the_start(self):
        terminal = self.start("exec", "-t", "j-1", "--", "stty", "size")
        terminal.await_text(b"31 97")
        self.assertEqual(terminal.process.wait(DEADLINE), 0)

    def test_it_follows_ours(self):
        terminal = self.start("exec", "-t", "j-1", "--", "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do read x; done")
        terminal.await_text(b"ready")
        terminal.await_mode(raw=True)
        terminal.resize(40, 120)
        terminal.await_text(b"40 120")
        self.assertIn((40, 120), self.daemon.sizes)


class DetachKeys(Case):
    def detach(self, terminal, keys):
        terminal.type(keys)
        self.assertEqual(terminal.process.wait(DEADLINE), 0)
        self.assertIn(b"detached; 'sandboxctl attach j-1/2' comes back", terminal.rest())
        self.assertFalse(terminal.is_raw())
        self.assertEqual([call.parameters for call in self.daemon.calls if call.method.endswith("Detach")], [{"jail": "j-1", "job": 2}])
        self.assertIsNone(self.daemon.child.poll())  # it lives

    def test_leave_the_job_alone(self):
        self.detach(self.shell(), b"\x10\x11")

    def test_may_be_others(self):
        self.detach(self.shell("--detach-keys", "~,."), b"~.")

    def test_that_are_no_sequence_reach_the_job(self):
        terminal = self.shell()
        terminal.type(b"a\x10b\n")
        terminal.await_text(rb"a\^Pb\r?\n.*a\^Pb")

    def test_may_be_turned_off(self):
        terminal = self.shell("--detach-keys", "none")
        terminal.type(b"\x10q\n")
        terminal.await_text(rb"\^Pq")

    def test_leave_what_is_attached_without_a_word_to_the_daemon(self):
        self.shell()
        self.daemon.answers["org.sandboxd.Jail.Attach"] = self.daemon.offer_terminal
        terminal = self.start("attach", "j-1/2")
        terminal.await_mode(raw=True)
        terminal.type(b"\x10\x11")
        self.assertEqual(terminal.process.wait(DEADLINE), 0)
        self.assertNotIn("org.sandboxd.Jail.Detach", [call.method for call in self.daemon.calls])


HOSTILE = "a\x1b[2Jb\x9bc\x07é\x1b]0;title\x07\r\nnext\n"


class Logs(Case):
    def setUp(self):
        super().setUp()

        def logs(call):
            for half in (HOSTILE[:3], HOSTILE[3:]):
                call.reply({"output": {"stream": "stdout", "data": half}}, continues=True)
            call.reply({"dropped": 5, "output": {"stream": "stderr", "data": "last\x1b"}})
        self.daemon.answers["org.sandboxd.Jail.Logs"] = logs

    def test_can_not_steer_a_terminal(self):
        terminal = self.start("logs", "j-1/2")
        self.assertEqual(terminal.process.wait(DEADLINE), 0)
        seen = terminal.rest()
        for bad in (b"\x1b", b"\x07", "\x9b".encode()):
            self.assertNotIn(bad, seen)
        self.assertIn("é".encode(), seen)
        self.assertIn(b"\\x1b[2Jb", seen)
        self.assertIn(b"\r\nnext\r\n", seen)
        self.assertIn(b"5 bytes are missing here", seen)

    def test_are_bytes_elsewhere_and_where_they_are_asked_for(self):
        done = subprocess.run([SANDBOXCTL, "logs", "j-1/2"], env=self.env, capture_output=True, timeout=DEADLINE)
        self.assertEqual(done.stdout, HOSTILE.encode())
        self.assertTrue(done.stderr.endswith(b"last\x1b"))
        terminal = self.start("logs", "--raw", "j-1/2")
        self.assertEqual(terminal.process.wait(DEADLINE), 0)
        self.assertIn(b"a\x1b[2Jb", terminal.rest())

    def test_tables_and_failures_can_not_either(self):
        self.daemon.answers["org.sandboxd.Jail.Jobs"] = lambda call: call.reply({"jobs": [job(argv=["\x1b[2J"])]})
        self.daemon.answers["org.sandboxd.Jail.Wait"] = lambda call: call.reply({"report": report(detail="\x1b[2J", exit_code=1)})
        for words in (["jobs", "j-1"], ["wait", "j-1/2"], ["extend", "j-1", "\x1b[2J"], ["logs", "\x1b[2J/x"]):
            terminal = self.start(*words)
            terminal.process.wait(DEADLINE)
            self.assertNotIn(b"\x1b[2J", terminal.rest(), words)
            self.assertNotEqual(terminal.seen, b"", words)


if __name__ == "__main__":
    unittest.main()
