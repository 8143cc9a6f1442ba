#!/usr/bin/env python3
"""Through the Python module, what is much: an hour's work in one session, and large files both ways. With SANDBOXD_LONG in the
environment a large file is a gibibyte, the most that is copied unless more is asked for.

usage: hour_test.py DIRECTORY_OF_THE_PROGRAMS DIRECTORY_OF_THE_MODULE"""
import asyncio
import filecmp
import io
import os
import signal
import sys
import tarfile
import tempfile
import unittest

import daemon

if __name__ == "__main__" and "--inner" not in sys.argv:
    sys.exit(daemon.main(__file__))

import sandboxd  # noqa: E402
import sandboxd.aio  # noqa: E402
from case import DEADLINE, MEBIBYTE, Case, WarmUp, asked_tally, shell  # noqa: E402, F401
from daemon import settle, steady  # noqa: E402

HOUR = 50 if "SANDBOXD_TEST_FEWER" in os.environ else 500
LARGE = (1 << 30) if "SANDBOXD_LONG" in os.environ else (64 << 20)


class AnHour(Case):
    """What an agent does in an hour, one after the other; two clients look on."""

    def test_an_hours_work_leaves_nothing(self):
        jail = self.session(workspace=sandboxd.Bind(self.work, writable=True), tmpfs=["/scratch"]).id
        with sandboxd.Client() as warm:
            self.assertEqual(warm.session(jail).exec(["echo", "warm"], check=True).text, "warm\n")
        before = steady(asked_tally)
        with sandboxd.Client() as one, sandboxd.Client() as two:
            self.work_for_an_hour(one.session(jail), two.session(jail))
        # All as it was, and what was to be kept with its three streams.
        wanted = sorted([*before, ["sleep", 3]])
        self.assertEqual(settle(wanted, asked_tally), wanted)

    def work_for_an_hour(self, worker, other):
        # It is waited for: a job whose client hangs up before it ends is killed, and keeps nothing.
        kept = worker.exec(shell("setsid sleep 1000 >/dev/null 2>&1 </dev/null &"), survivors="keep", check=True)
        self.assertEqual(kept.report.survivors, 1)
        typed = worker.spawn(shell("stty -echo; echo up; while read -r line; do echo got:$line; done"), tty=True).job
        with worker.attach(typed) as first:
            self.assertEqual(first.stdout.readline(), b"up\r\n")
        for number in range(HOUR):
            self.steps[number % len(self.steps)](self, worker, number)
            if number % 100 == 50 % HOUR:
                worker.freeze()
                self.assertTrue(other.inspect().frozen)
                worker.thaw()
                self.attached_by_both(worker, other, typed, number)
        worker.kill(typed, signal.SIGKILL, grace=0)
        self.assertEqual(other.wait(typed, timeout=DEADLINE).signal, signal.SIGKILL)

    def attached_by_both(self, first, second, job, number):
        with first.attach(job, replay=0) as one, second.attach(job, replay=0) as two:
            one.stdin.write(b"line%d\n" % number)
            one.stdin.flush()
            for attached in (one, two):
                self.assertEqual(attached.stdout.readline(), b"got:line%d\r\n" % number)

    def step_workspace(self, session, number):
        self.assertEqual(session.exec(shell(f"echo {number} >file; cat file"), check=True).text, f"{number}\n")

    def step_status(self, session, number):
        self.assertEqual(session.exec(shell(f"exit {number % 100}")).exit_code, number % 100)

    def step_streams(self, session, number):
        done = session.exec(["wc", "-c"], stdin=MEBIBYTE[:100_000 + number], check=True)
        self.assertEqual(done.text, f"{100_000 + number}\n")

    def step_file(self, session, number):
        text = b"text %d" % number
        session.files.write("/scratch/note", text)
        self.assertEqual(session.files.read("/scratch/note"), text)

    def step_tree(self, session, number):
        name = f"tree{number}"
        os.mkdir(os.path.join(self.work, name))
        with open(os.path.join(self.work, name, "a"), "wb") as file:
            file.write(MEBIBYTE[:number])
        session.files.put(os.path.join(self.work, name), "/scratch")
        with tempfile.TemporaryDirectory(dir=self.work) as back:
            session.files.get(f"/scratch/{name}", back)
            self.assertTrue(filecmp.cmp(os.path.join(self.work, name, "a"), os.path.join(back, name, "a"), shallow=False))
        session.files.remove(f"/scratch/{name}", recursive=True)

    def step_survivor(self, session, number):
        done = session.exec(shell("setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo x >&2"), check=True)
        self.assertEqual((done.stdout, done.stderr, done.report.survivors), (b"", b"x\n", 1))

    def step_terminal(self, session, number):
        with session.popen(shell("read -r x; echo got $x"), tty=True) as job:  # the terminal's echo comes first
            job.stdin.write(b"%d\n" % number)
            job.stdin.flush()
            self.assertIn(b"got %d\r\n" % number, [job.stdout.readline(), job.stdout.readline()])
            self.assertTrue(job.wait(DEADLINE).ok)

    steps = [step_workspace, step_status, step_streams, step_file, step_survivor, step_workspace, step_terminal, step_status,
             step_tree, step_workspace]


class Archive(io.RawIOBase):
    """A tar of one file of `size` bytes, MEBIBYTE over and over, made as it is read."""

    def __init__(self, name, size):
        header = tarfile.TarInfo(name)
        header.size = size
        self._parts = [header.tobuf(), *[MEBIBYTE] * (size >> 20), bytes(10240)]

    def read(self, _):
        return self._parts.pop(0) if self._parts else b""


class Unpacked(io.RawIOBase):
    """Where such a tar is written to: whether the file is as it was sent, without keeping it."""

    def __init__(self):
        self.size, self.same = -512, True

    def write(self, data):
        for byte_range, start in self._pieces(data):
            self.same = self.same and MEBIBYTE[start:start + len(byte_range)] == byte_range
        return len(data)

    def _pieces(self, data):
        view = memoryview(data)
        while view:
            start = self.size if self.size < 0 else self.size & ((1 << 20) - 1)
            most = -start if start < 0 else (1 << 20) - start
            if start >= 0 and self.size < LARGE:
                yield view[:most], start
            self.size += len(view[:most])
            view = view[most:]


class LargeFiles(Case):
    def test_an_archive_both_ways(self):
        session = self.session(workspace=sandboxd.Bind(self.work, writable=True))
        place = os.path.realpath(self.work)
        session.files.put_tar(Archive("large", LARGE), place)
        self.assertEqual(os.stat(os.path.join(self.work, "large")).st_size, LARGE)
        back = Unpacked()
        session.files.get_tar(place + "/large", back)
        self.assertTrue(back.same)
        self.assertGreaterEqual(back.size, LARGE)

    def test_a_file_of_the_most_size_and_one_above(self):
        session = self.session(workspace=sandboxd.Bind(self.work, writable=True), dirs=["/in"])
        bounds = sandboxd.Bounds(size=LARGE)
        source, place = os.path.join(self.work, "large"), os.path.realpath(self.work)
        os.mkdir(os.path.join(self.work, "in"))
        os.mkdir(os.path.join(self.work, "out"))
        with open(source, "wb") as file:
            for _ in range(LARGE >> 20):
                file.write(MEBIBYTE)
        session.files.put(source, place + "/in", bounds)
        session.files.get(place + "/in/large", os.path.join(self.work, "out"), bounds)
        for copy in ("in/large", "out/large"):
            self.assertTrue(filecmp.cmp(source, os.path.join(self.work, copy), shallow=False))
            os.remove(os.path.join(self.work, copy))
        with open(source, "ab") as file:
            file.write(b"+")
        with self.assertRaises(sandboxd.FileRefused):
            session.files.put(source, place + "/in", bounds)
        with self.assertRaises(sandboxd.UnsafeArchive):
            session.files.get(place + "/large", os.path.join(self.work, "out"), bounds)
        self.assertEqual([os.listdir(os.path.join(self.work, name)) for name in ("in", "out")], [[], []])


class LargeFilesOfAsyncio(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = sandboxd.aio.Client()
        self.addAsyncCleanup(self.client.aclose)

    async def test_a_large_file_and_others_meanwhile(self):
        with tempfile.TemporaryDirectory(dir=".") as work:
            async with await self.client.create(workspace=sandboxd.Bind(work, writable=True)) as session:
                place, back = os.path.realpath(work), Unpacked()
                copied = asyncio.ensure_future(session.files.put_tar(Archive("large", LARGE), place))
                self.assertEqual((await session.exec(["echo", "meanwhile"])).text, "meanwhile\n")
                await copied
                self.assertEqual(os.stat(os.path.join(work, "large")).st_size, LARGE)
                await session.files.get_tar(place + "/large", back)
                self.assertTrue(back.same)
                self.assertGreaterEqual(back.size, LARGE)


if __name__ == "__main__":
    sys.argv.remove("--inner")
    unittest.main()
