#!/usr/bin/env python3
"""The Python module against a daemon of the test's own: an ordinary user's sessions, through the plain client and asyncio's, and that
nothing is left of them in the daemon's programs.

usage: client_test.py DIRECTORY_OF_THE_PROGRAMS DIRECTORY_OF_THE_MODULE"""
import asyncio
import filecmp
import os
import signal
import sys
import tempfile
import threading
import unittest

import daemon

if __name__ == "__main__" and "--inner" not in sys.argv:
    sys.exit(daemon.main(__file__))

import sandboxd  # noqa: E402
import sandboxd.aio  # noqa: E402
from case import DEADLINE, MEBIBYTE, Case, WarmUp, shell  # noqa: E402, F401


class Run(Case):
    def test_streams_and_report(self):
        done = self.client.run(shell("cat; echo err >&2; exit 3"), stdin=b"in\xff\0\n")
        self.assertEqual((done.stdout, done.stderr, done.exit_code), (b"in\xff\0\n", b"err\n", 3))
        self.assertEqual(done.report.verdict, "exited")
        self.assertFalse(done.ok)

    def test_check(self):
        with self.assertRaisesRegex(sandboxd.JobFailed, "exited with 3") as caught:
            self.client.run(shell("echo out; exit 3"), check=True)
        self.assertEqual(caught.exception.completed.stdout, b"out\n")

    def test_workspace_binds_and_environment(self):
        source = os.path.join(self.work, "given")
        with open(source, "wb") as file:
            file.write(b"given\n")
        done = self.client.run(shell('cat /data/given; echo "$X"; pwd; echo made > made; ls /empty; cd /scratch && touch x'),
                               workspace=sandboxd.Bind(self.work, writable=True), binds=[sandboxd.Bind(source, "/data/given")],
                               env={"X": b"\xfe"}, tmpfs=[sandboxd.Tmpfs("/scratch", 1 << 20)], dirs=["/empty"], check=True)
        self.assertEqual(done.stdout, b"given\n\xfe\n" + os.fsencode(os.path.realpath(self.work)) + b"\n")
        with open(os.path.join(self.work, "made"), "rb") as file:
            self.assertEqual(file.read(), b"made\n")

    def test_time_limit_is_a_verdict(self):
        self.assertEqual(self.client.run(["sleep", "1000"], timeout=0.3).report.verdict, "timeout_wall")

    def test_output_is_bounded(self):
        done = self.client.run(shell("head -c 3000000 /dev/zero; echo end"), max_output=4096)
        self.assertEqual((len(done.stdout), done.stdout_tail[-4:], done.stdout_cut), (3072, b"end\n", 3000004 - 4096))

    def test_errors_have_their_types(self):
        with self.assertRaises(sandboxd.Denied) as denied:
            self.client.run(["true"], network="host")
        self.assertIn("network", denied.exception.rule)
        with self.assertRaises(sandboxd.Denied) as denied:
            self.client.learned("nobody's", "mine")
        self.assertEqual(denied.exception.rule, "learn")
        with self.assertRaises(sandboxd.SetupFailed) as failed:
            self.client.run(["/no/such/program"])
        self.assertEqual((failed.exception.step, failed.exception.errno), ("exec", 2))
        with self.assertRaises(sandboxd.InvalidArgument) as invalid:
            self.client.run(["true"], workdir="relative")
        self.assertEqual(invalid.exception.path, "/parameters/spec/workdir")
        with self.assertRaises(sandboxd.NotFound) as missing:
            self.client.inspect("no-such-jail")
        self.assertEqual((missing.exception.what, missing.exception.missing), ("jail", "no-such-jail"))

    def test_host_and_plan(self):
        self.assertEqual(self.client.version()[1], 1)
        self.assertIn("version", self.client.info())
        self.assertIsInstance(self.client.features(), dict)
        self.assertEqual([profile["name"] for profile in self.client.profiles("strict")], ["strict"])
        self.assertIsInstance(self.client.explain(["true"], workspace=self.work), dict)

    def test_a_run_that_is_closed_is_killed(self):
        with self.client.popen(["sleep", "1000"]) as job:
            jail = job.jail
            self.assertIsNone(job.poll())
            self.assertIn(jail, [info.jail for info in self.client.list()])
        self.assertNotEqual(self.client.wait(jail, timeout=DEADLINE).verdict, "exited")

    def test_a_spawned_run_outlives_its_client(self):
        with sandboxd.Client() as other:
            jail = other.spawn(shell("cat; echo logged"), stdin=b"input\n", log=True).id
        session = self.client.session(jail)
        self.assertTrue(session.wait(timeout=DEADLINE).ok)
        with session.logs(follow=True) as pieces:
            self.assertEqual(b"".join(piece.data for piece in pieces), b"input\nlogged\n")
        session.remove()


class Sessions(Case):
    def test_fifty_execs(self):
        session = self.session(workspace=sandboxd.Bind(self.work, writable=True))
        for number in range(50):
            self.assertEqual(session.exec(shell(f"echo {number} >> all; wc -l < all"), check=True).text, f"{number + 1}\n")

    def test_many_at_once(self):
        session = self.session()
        jobs = [session.popen(["cat"]) for _ in range(8)]
        for number, job in enumerate(jobs):
            self.assertEqual(job.communicate(b"%d" % number, DEADLINE).stdout, b"%d" % number)
            job.close()

    def test_pipes_both_ways(self):
        with self.session().popen(["cat"]) as job:
            got = []
            reader = threading.Thread(target=lambda: got.append(job.stdout.read()))
            reader.start()
            job.stdin.write(MEBIBYTE)
            job.stdin.close()
            reader.join(DEADLINE)
            self.assertTrue(job.wait(DEADLINE).ok)
            self.assertEqual(got, [MEBIBYTE])

    def test_terminal(self):
        # A shell's read fails when a signal comes with a trap.
        script = "stty -echo; trap 'stty size' WINCH; stty size; until read x && test \"$x\" = end; do :; done"
        with self.session().popen(shell(script), tty=(30, 100)) as job:
            self.assertEqual(job.stdout.readline(), b"30 100\r\n")
            job.resize(40, 120)
            job.stdin.write(b"\n")
            job.stdin.flush()
            self.assertEqual(job.stdout.readline(), b"40 120\r\n")
            self.assertIsNone(job.stderr)
            job.stdin.write(b"end\n")
            job.stdin.flush()
            self.assertTrue(job.wait(DEADLINE).ok)

    def test_interrupt_from_the_terminal(self):
        # Trapped: a shell loses one that comes between its fork and its child's exec.
        with self.session().popen(shell("trap 'exit 7' INT; echo up; while :; do sleep 0.05; done"), tty=True) as job:
            self.assertEqual(job.stdout.readline(), b"up\r\n")
            job.stdin.write(b"\x03")
            job.stdin.flush()
            self.assertEqual(job.wait(DEADLINE).exit_code, 7)

    def test_attach_by_a_second_client(self):
        session = self.session()
        info = session.spawn(shell("stty -echo; echo up; read x; echo got $x"), tty=True)
        with sandboxd.Client() as other:
            with session.attach(info.job) as first, other.session(session.id).attach(info.job) as second:
                self.assertEqual([first.stdout.readline(), second.stdout.readline()], [b"up\r\n", b"up\r\n"])
                second.stdin.write(b"typed\n")
                second.stdin.flush()
                self.assertEqual([first.stdout.readline(), second.stdout.readline()], [b"got typed\r\n", b"got typed\r\n"])
                self.assertTrue(first.wait(DEADLINE).ok)
                self.assertTrue(second.wait(DEADLINE).ok)

    def test_who_was_attached_may_go(self):
        session = self.session()
        info = session.spawn(shell("read x; exit 5"), tty=True)
        session.attach(info.job).close()
        with session.attach(info.job) as job:
            job.stdin.write(b"\n")
            job.stdin.flush()
            self.assertEqual(job.wait(DEADLINE).exit_code, 5)

    def test_freeze_and_thaw(self):
        session = self.session()
        with session.popen(["cat"]) as job:
            session.freeze()
            self.assertTrue(session.inspect().frozen)
            session.thaw()
            self.assertFalse(session.inspect().frozen)
            self.assertEqual(job.communicate(b"on", DEADLINE).stdout, b"on")

    def test_what_outlives_its_job(self):
        session = self.session()
        killed = session.exec(shell("setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo left"), check=True)
        self.assertEqual((killed.text, killed.report.survivors), ("left\n", 1))
        kept = session.exec(shell("setsid sleep 1000 </dev/null & echo left"), survivors="keep")
        self.assertEqual((kept.text, kept.report.survivors), ("left\n", 1))
        found = session.exec(shell("until cat /proc/[0-9]*/comm | grep sleep; do :; done | grep -c sleep"))
        self.assertEqual(found.text, "1\n")

    def test_kill_and_signals_of_a_job(self):
        session = self.session()
        with session.popen(shell("trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done")) as job, session.popen(["cat"]) as other:
            self.assertEqual(job.stdout.readline(), b"up\n")
            job.send_signal(signal.SIGUSR1)
            self.assertEqual(job.wait(DEADLINE).exit_code, 9)
            other.kill()
            self.assertEqual((other.wait(DEADLINE).signal, other.poll().job), (signal.SIGKILL, other.job))
        self.assertEqual({info.state for info in session.jobs()}, {"ended"})

    def test_time_of_a_session(self):
        session = self.session(session_ttl=1000, name="python-times", labels={"a/b": "c"})
        before = session.inspect()
        self.assertGreater(session.extend(5000), before.expires_usec)
        self.assertEqual((before.name, dict(before.labels), before.session), ("python-times", {"a/b": "c"}, True))

    def test_use_and_new_limits_of_a_session(self):
        session, other = self.session(limits={"pids_max": 40}), self.session()
        with session.popen(["cat"]):
            (now,) = self.client.stats(session.id)
            self.assertEqual((now.jail, now.jobs, now.pids_max), (session.id, 1, 40))
            self.assertGreater(now.usage.wall_usec, 0)
        self.assertLessEqual({session.id, other.id}, {one.jail for one in self.client.stats()})
        with self.assertRaises(sandboxd.Denied) as denied:
            self.client.update(session.id, pids_max=1 << 40)
        self.assertIn("pids_max", str(denied.exception))

    def test_events_go_on_where_they_stopped(self):
        session = self.session()
        with self.client.events() as events:
            for event in events:
                if isinstance(event, sandboxd.Event) and event.jail == session.id and event.kind == "started":
                    break
            cursor, epoch = events.cursor, events.epoch
        session.exec(["true"])
        with self.client.events(after=cursor, epoch=epoch, follow=False) as events:
            seen = list(events)
        self.assertNotIn(sandboxd.Gap, [type(event) for event in seen])
        kinds = [event.kind for event in seen if event.jail == session.id]
        self.assertEqual([kind for kind in kinds if kind.startswith("job_")], ["job_started", "job_exited"])
        with self.client.events(after=cursor, epoch="of-another-life", follow=False) as events:
            self.assertEqual(events.next(DEADLINE), sandboxd.Gap(0))

    def test_a_deadline_of_the_clients(self):
        with self.session().popen(["sleep", "1000"]) as job:
            with self.assertRaises(sandboxd.DeadlineExpired):
                job.wait(timeout=0.1)
            with self.assertRaises(TimeoutError):
                job.communicate(timeout=0.1)


class FilesOfASession(Case):
    def setUp(self):
        super().setUp()
        self.jail = self.session(tmpfs=["/scratch"])
        self.files = self.jail.files

    def test_content(self):
        self.files.write("/scratch/a", b"one\xff", mode=0o600)
        self.files.write("/scratch/a", b"two", append=True)
        self.assertEqual(self.files.read("/scratch/a"), b"one\xfftwo")
        found = self.files.stat("/scratch/a")
        self.assertEqual((found.type, found.size, found.mode), ("file", 7, 0o600))
        self.assertEqual([entry.name for entry in self.files.list("/scratch")], [b"a"])
        self.files.remove("/scratch/a")
        with self.assertRaises(sandboxd.FileFailed) as caught:
            self.files.read("/scratch/a")
        self.assertEqual(caught.exception.errno, 2)

    def test_large_files(self):
        self.files.write("/scratch/big", MEBIBYTE * 3, append=True)
        self.assertEqual(self.files.read("/scratch/big"), MEBIBYTE * 3)

    def test_trees(self):
        os.makedirs(os.path.join(self.work, "tree/sub"))
        with open(os.path.join(self.work, "tree/sub/file"), "wb") as file:
            file.write(MEBIBYTE)
        os.symlink("sub/file", os.path.join(self.work, "tree/link"))
        self.files.put(os.path.join(self.work, "tree"), "/scratch")
        self.assertEqual(self.jail.exec(["wc", "-c", "/scratch/tree/link"], check=True).text, f"{len(MEBIBYTE)} /scratch/tree/link\n")
        back = tempfile.mkdtemp(dir=self.work)
        self.assertEqual(self.files.get("/scratch/tree", back), [os.path.join(back, "tree")])
        with open(os.path.join(back, "tree/link"), "rb") as file:
            self.assertEqual(file.read(), MEBIBYTE)

    def test_what_leads_out_is_not_unpacked(self):
        self.jail.exec(shell("mkdir /scratch/bad && ln -s /etc/passwd /scratch/bad/link"), check=True)
        with self.assertRaises((sandboxd.UnsafeArchive, sandboxd.FileRefused)):
            self.files.get("/scratch/bad", self.work)
        self.assertEqual(os.listdir(self.work), [])


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = sandboxd.aio.Client()
        self.addAsyncCleanup(self.client.aclose)

    async def test_a_session(self):
        async with await self.client.create(tmpfs=["/scratch"]) as session:
            done = await asyncio.gather(*(session.exec(["cat"], stdin=b"%d" % number) for number in range(8)))
            self.assertEqual([one.stdout for one in done], [b"%d" % number for number in range(8)])
            with self.assertRaises(sandboxd.JobFailed):
                await session.exec(["false"], check=True)
            await session.freeze()
            await session.thaw()
            self.assertEqual([one.jail for one in await self.client.stats(session.id)], [session.id])
            self.assertEqual(len(await session.jobs()), 9)
            self.assertEqual((await session.inspect()).jobs, 0)

    async def test_runs(self):
        done = await asyncio.gather(*(self.client.run(["cat"], stdin=MEBIBYTE, workspace=".") for _ in range(3)))
        self.assertEqual([one.stdout for one in done], [MEBIBYTE] * 3)
        with self.assertRaises(sandboxd.Denied):
            await self.client.run(["true"], network="host")

    async def test_streams(self):
        async with await self.client.create() as session, await session.popen(["cat"]) as job:
            async def write():
                await job.stdin.write(MEBIBYTE)
                job.stdin.close()

            _, out = await asyncio.gather(write(), job.stdout.read_all())
            self.assertEqual(out, MEBIBYTE)
            self.assertTrue((await job.wait(DEADLINE)).ok)

    async def test_terminal_and_attach(self):
        async with await self.client.create() as session:
            info = await session.spawn(shell("stty -echo; stty size; read x; stty size"), tty=(30, 100))
            async with await session.attach(info.job) as job:
                self.assertEqual(await job.stdout.read(), b"30 100\r\n")
                await job.resize(40, 120)
                await job.stdin.write(b"\n")
                self.assertEqual(await job.stdout.read(), b"40 120\r\n")
                self.assertTrue((await job.wait(DEADLINE)).ok)

    async def test_files(self):
        async with await self.client.create(tmpfs=["/scratch"]) as session:
            files = session.files
            await asyncio.gather(*(files.write(f"/scratch/{number}", b"%d" % number, mode=0o600) for number in range(8)))
            found = await asyncio.gather(*(files.read(f"/scratch/{number}") for number in range(8)))
            self.assertEqual(found, [b"%d" % number for number in range(8)])
            await files.write("/scratch/0", MEBIBYTE, append=True)
            self.assertEqual(await files.read("/scratch/0"), b"0" + MEBIBYTE)
            with self.assertRaises(sandboxd.FileRefused):
                await files.read("/scratch/0", size_max=1 << 20)
            stat = await files.stat("/scratch/1")
            self.assertEqual((stat.type, stat.size, stat.mode), ("file", 1, 0o600))
            self.assertEqual([entry.name for entry in await files.list("/scratch")], [b"%d" % number for number in range(8)])
            await files.remove("/scratch/1")
            for attempt in (files.stat("/scratch/1"), files.write("/scratch/2", b"", exclusive=True)):
                with self.assertRaises(sandboxd.FileFailed):
                    await attempt

    async def test_trees(self):
        async with await self.client.create(tmpfs=["/scratch"]) as session:
            with tempfile.TemporaryDirectory(dir=".") as work:
                os.makedirs(os.path.join(work, "tree/sub"))
                os.mkdir(os.path.join(work, "back"))
                with open(os.path.join(work, "tree/sub/file"), "wb") as file:
                    file.write(MEBIBYTE)
                await session.files.put(os.path.join(work, "tree"), "/scratch")
                out = os.path.join(work, "back/tree")
                self.assertEqual(await session.files.get("/scratch/tree", os.path.join(work, "back")), [out])
                self.assertTrue(filecmp.cmp(os.path.join(work, "tree/sub/file"), os.path.join(out, "sub/file"), shallow=False))
                await session.exec(["ln", "-s", "/etc/passwd", "/scratch/tree/leads-out"], check=True)
                with self.assertRaises((sandboxd.UnsafeArchive, sandboxd.FileRefused)):
                    await session.files.get("/scratch/tree", os.path.join(work, "tree"))
                self.assertEqual(os.listdir(os.path.join(work, "tree")), ["sub"])
                await session.files.remove("/scratch/tree", recursive=True)
                self.assertEqual(await session.files.list("/scratch"), [])

    async def test_cancelling_kills_the_job(self):
        async with await self.client.create() as session:
            task = asyncio.ensure_future(session.exec(["sleep", "1000"]))
            events = await self.client.events()
            async with events:
                async for event in events:
                    if isinstance(event, sandboxd.Event) and event.jail == session.id and event.kind == "job_started":
                        break
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertNotEqual((await session.wait(2, timeout=DEADLINE)).verdict, "exited")

    async def test_deadline(self):
        async with await self.client.create() as session, await session.popen(["sleep", "1000"]) as job:
            with self.assertRaises(sandboxd.DeadlineExpired):
                await job.wait(timeout=0.1)


if __name__ == "__main__":
    sys.argv.remove("--inner")
    unittest.main()
