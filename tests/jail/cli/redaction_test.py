#!/usr/bin/env python3
"""Values under names that a profile's `redaction` lists come to the job, and nowhere else: not into the audit log, listings, events,
or explanations. Each look has its control: a value under another name, which is found there.

usage: redaction_test.py DIRECTORY_OF_THE_PROGRAMS"""
import json
import unittest

from sandboxctl_test import Case

SECRETS = ("s3cret-in-env", "s3cret-in-option", "s3cret-in-next", "s3cret-in-header", "s3cret-in-shell")
PLAIN = "plain-as-day"
# The job writes down what it got.
SCRIPT = 'API_TOKEN=s3cret-in-shell; printf "%s\\n" "$MY_PASSWORD" "$@" "$API_TOKEN" >"$OUT"'
COMMAND = ("sh", "-c", SCRIPT, "sh", "--api-key=s3cret-in-option", "--token", "s3cret-in-next", "Authorization: Bearer s3cret-in-header",
           "again: s3cret-in-env", f"--place={PLAIN}")


class Redaction(Case):
    def env_options(self, out):
        return "--env", "MY_PASSWORD=s3cret-in-env", "--env", f"PLACE={PLAIN}", "--env", f"OUT={self.work}/{out}"

    def assert_hidden(self, where, text, *, control=True):
        for secret in SECRETS:
            self.assertNotIn(secret, text, where)
        if control:
            self.assertIn(PLAIN, text, f"{where}: nothing was looked at")

    def assert_came(self, out):
        text = (self.work / out).read_text()
        for secret in (*SECRETS, PLAIN):
            self.assertIn(secret, text)

    def ok(self, *words):
        done = self.ctl(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def stored(self):
        """All that the daemon's programs have written."""
        return b"\0".join(path.read_bytes() for path in sorted((self.top / "state").rglob("*")) if path.is_file()).decode(errors="replace")

    def test_a_run(self):
        jail = self.ok("run", "--detach", "--workspace=rw", *self.env_options("run"), "--", *COMMAND).strip()
        self.ok("wait", jail)
        self.assert_came("run")
        self.assert_hidden("inspect", self.ok("inspect", jail))
        self.assert_hidden("ps", self.ok("ps", "--json"))
        self.assert_hidden("jobs", self.ok("jobs", "--json", jail))
        events = self.ok("events", "--json")
        self.assertIn(jail, events)
        self.assert_hidden("events", events, control=False)
        self.assert_hidden("state", self.stored())

    def test_an_exec(self):
        jail = self.ok("create", "--workspace=rw").strip()
        self.ok("exec", *self.env_options("exec"), jail, "--", *COMMAND)
        self.assert_came("exec")
        self.assert_hidden("jobs", self.ok("jobs", "--json", jail))
        events = self.ok("events", "--json")
        self.assertIn(jail, events)
        self.assert_hidden("events", events, control=False)
        self.assert_hidden("state", self.stored())
        self.ok("rm", "--force", jail)

    def test_explain(self):
        text = self.ok("explain", "--workspace=rw", *self.env_options("none"), "--", *COMMAND)
        self.assert_hidden("explain", text)
        self.assertIn("MY_PASSWORD=[hidden]", json.loads(text)["job"]["env"])


if __name__ == "__main__":
    unittest.main()
