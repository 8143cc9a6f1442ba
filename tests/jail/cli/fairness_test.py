#!/usr/bin/env python3
"""What one user can't take from all others: the daemon's descriptors, the host's terminals, what the kernel counts for each user. A daemon with few descriptors, one user who
takes all that there is, and another who still runs a jail.

usage: fairness_test.py DIRECTORY_OF_THE_PROGRAMS"""
import ctypes
import json
import os
import resource
import unittest

from sandboxctl_test import Case, UID

OTHER = UID + 1
FLOODER = UID + 2
HARD = 2200  # the broker wants 2112
RUN = ("run", "--nofile", "512")
CREATE = ("create", "--nofile", "512")
TERMINALS = 4
FLOOD = 80  # sessions; the daemon has descriptors for about 70, and one user may have 52
OPEN_ALL = """
import os
count = 0
try:
    while True:
        os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        count += 1
except OSError as error:
    print(count, error.strerror)
"""
# A jail's user namespace has a maker, who is charged for all of this too (inc_ucount, inc_rlimit_ucounts).
TAKE_ALL = """
import ctypes, itertools, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
def most(take):
    return next(count for count in itertools.count() if take(count) < 0)
print(most(lambda _: libc.inotify_init1(0)),
      most(lambda n: libc.mq_open(b"/queue%d" % n, os.O_CREAT | os.O_RDWR, 0o600, None)),
      most(lambda _: libc.sigqueue(os.getpid(), signal.SIGRTMIN, None)), flush=True)
"""


class Fairness(Case):
    @classmethod
    def daemon_config(cls, top):
        return {"user_limits": {"jails": 1000, "terminals": TERMINALS}}

    def flood(self, most):
        """Sessions until one is refused; what it said. They end with the daemon."""
        for _ in range(most):
            made = self.ctl(*CREATE, uid=FLOODER)
            if made.returncode != 0:
                return made.stderr
        return ""

    def test_a_nofile_above_the_hosts_is_refused_before_anything_starts(self):
        done = self.ctl("run", "--nofile", str(HARD + 1), "--", "true")
        self.assertEqual(done.returncode, 125)
        self.assertRegex(done.stderr, rf"nofile.*: {HARD + 1}; expected at most {HARD}, .*ask for less, or raise that")
        self.assertEqual(self.ctl("run", "--nofile", "2000", "--", "sh", "-c", "ulimit -n").stdout, "2000\n")
        self.assertEqual(json.loads(self.ctl("info", "--json").stdout)["nofile_most"], HARD)

    def test_E46_terminals_of_one_user_are_a_share(self):
        first = self.ctl(*RUN, "--", "python3", "-c", OPEN_ALL)
        self.assertEqual(first.stdout, "1 No space left on device\n", "a sixteenth of the user's, rounded up")
        for _ in range(TERMINALS + 1):
            jail = self.ctl(*CREATE).stdout.strip()
            self.addCleanup(self.ctl, "rm", "-f", jail)
        shown = json.loads(self.ctl("inspect", "--json", jail).stdout)
        none = self.ctl("exec", jail, "--", "python3", "-c", OPEN_ALL)
        self.assertEqual(none.stdout, "0 Permission denied\n", (none.stderr, shown))
        controller, terminal = os.openpty()
        self.addCleanup(os.close, controller)
        self.addCleanup(os.close, terminal)
        refused = self.ctl(*RUN, "--tty", "--", "true", stdin=terminal)
        self.assertIn("'user_terminals'", refused.stderr)
        other = self.ctl(*RUN, "--", "python3", "-c", OPEN_ALL, uid=OTHER)
        self.assertEqual(other.stdout, "1 No space left on device\n")

    def test_E46_what_the_kernel_counts_for_each_user_is_each_jails_own(self):
        holder = self.start(*RUN, "--", "python3", "-c", TAKE_ALL + "time.sleep(600)")
        taken = holder.stdout.readline()
        self.assertTrue(taken and min(map(int, taken.split())) > 0, taken or holder.communicate()[1])
        for uid in (UID, OTHER):
            done = self.ctl(*RUN, "--", "python3", "-c", TAKE_ALL, uid=uid)
            self.assertEqual(done.stdout, taken, done.stderr)
        instance = ctypes.CDLL(None, use_errno=True).inotify_init1(0)
        self.assertGreaterEqual(instance, 0, "the host's root, who starts jails: " + os.strerror(ctypes.get_errno()))
        os.close(instance)

    def test_E46_descriptors_that_one_user_takes_are_not_all(self):
        refused = self.flood(FLOOD)
        self.assertIn("'user_descriptors'", refused, f"{FLOOD} sessions were not refused")
        done = self.ctl(*RUN, "--", "echo", "ran", uid=OTHER)
        self.assertEqual(done.stdout, "ran\n", done.stderr)
        self.assertEqual(self.ctl("info", uid=OTHER).returncode, 0)


if __name__ == "__main__":
    # Of the daemon too, which is a child.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, HARD), HARD))
    unittest.main()
