#!/usr/bin/env python3
"""What one user can't take from all others: the daemon's descriptors, the host's terminals. A daemon with few descriptors, one user who
takes all that there is, and another who still runs a jail.

usage: fairness_test.py DIRECTORY_OF_THE_PROGRAMS"""
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

    def test_terminals_of_one_user_are_a_share(self):
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

    def test_descriptors_that_one_user_takes_are_not_all(self):
        refused = self.flood(FLOOD)
        self.assertIn("'user_descriptors'", refused, f"{FLOOD} sessions were not refused")
        done = self.ctl(*RUN, "--", "echo", "ran", uid=OTHER)
        self.assertEqual(done.stdout, "ran\n", done.stderr)
        self.assertEqual(self.ctl("info", uid=OTHER).returncode, 0)


if __name__ == "__main__":
    # Of the daemon too, which is a child.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, HARD), HARD))
    unittest.main()
