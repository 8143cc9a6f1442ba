"""What the tests of the Python module share, in the process of the ordinary user."""
import json
import os
import shutil
import socket
import tempfile
import unittest

import sandboxd

DEADLINE = 60
MEBIBYTE = os.urandom(1 << 20)


def shell(script):
    return ["/bin/sh", "-c", script]


def asked_tally():
    """[[name, number of descriptors]] of the daemon's programs and what runs in its jails."""
    with socket.socket(fileno=os.dup(int(os.environ["TALLY_FD"]))) as asks, asks.makefile("rb") as lines:
        asks.sendall(b"?")
        return json.loads(lines.readline())


def own_fds():
    return sorted(os.listdir("/proc/self/fd"))


class Case(unittest.TestCase):
    def setUp(self):
        before = own_fds()
        self.addCleanup(lambda: self.assertEqual(own_fds(), before))
        self.client = sandboxd.Client()
        self.addCleanup(self.client.close)
        self.work = tempfile.mkdtemp(dir=".")
        self.addCleanup(shutil.rmtree, self.work)

    def session(self, **options):
        session = self.client.create(**options)
        self.addCleanup(session.__exit__)
        return session


class WarmUp(Case):
    def test_one_of_each(self):
        session = self.session(workspace=self.work)
        self.assertTrue(session.exec(["true"]).ok)
        self.assertTrue(self.client.run(["true"]).ok)
