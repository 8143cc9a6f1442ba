#!/usr/bin/env python3
"""Who may use a profile: a daemon with profiles for some, and callers who are not root.

usage: profile_users_test.py DIRECTORY_OF_THE_PROGRAMS"""
import json
import socket
import unittest

from sandboxctl_test import Case, UID

OTHER = UID + 1
GROUP = UID + 2
PROFILES = {
    "mine": {"users": [UID], "groups": [GROUP]},
    "heir": {"inherits": "mine"},
    "nobodys": {"users": []},
    "roots": {"users": ["root"]},
}


class ProfileUsers(Case):
    @classmethod
    def daemon_config(cls, top):
        (top / "profiles.d").mkdir(mode=0o755)
        for name, keys in PROFILES.items():
            path = top / "profiles.d" / f"{name}.json"
            path.write_text(json.dumps({"name": name, "description": "d", "inherits": "default", **keys}))
            path.chmod(0o644)
        return {"profile_dirs": [str(top / "profiles.d")]}

    def run_as(self, uid, profile, *options, groups=()):
        return self.ctl("run", "--profile", profile, *options, "--", "echo", "ran", uid=uid,
                        **({"extra_groups": list(groups)} if groups else {}))

    def test_who_is_listed_may(self):
        for profile in ("mine", "heir"):
            with self.subTest(profile):
                self.assertEqual(self.run_as(UID, profile).stdout, "ran\n")
                self.assertEqual(self.run_as(UID, profile, "--workspace").stdout, "ran\n")
                # Its uid and group are not in the lists: the supplementary group alone is.
                self.assertEqual(self.run_as(OTHER, profile, groups=[GROUP]).stdout, "ran\n")

    def test_others_are_told_who_may(self):
        for profile in ("mine", "heir"):
            with self.subTest(profile):
                done = self.run_as(OTHER, profile)
                self.assertEqual((done.returncode, done.stdout), (125, ""), done.stderr)
                self.assertIn(f"denied by rule 'profile '{profile}': users': allowed is users {UID} and groups {GROUP}", done.stderr)
        self.assertIn("nobody but the administrator", self.run_as(UID, "nobodys").stderr)

    def test_a_session_and_a_plan_are_refused_alike(self):
        for verb in (["create"], ["explain"]):
            with self.subTest(verb):
                done = self.ctl(*verb, "--profile", "mine", *(["--", "true"] if verb == ["explain"] else []), uid=OTHER)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("profile 'mine': users", done.stderr)

    def explain_by_the_public_socket(self, profile):
        """sandboxctl takes the admin's socket where it may."""
        call = {"method": "org.sandboxd.Jail.Explain", "parameters": {"spec": {"argv": ["true"], "profile": profile}}}
        with socket.socket(socket.AF_UNIX) as public:
            public.settimeout(30)
            public.connect(self.env["SANDBOXD_SOCKET"])
            public.sendall(json.dumps(call).encode() + b"\0")
            answer = b""
            while not answer.endswith(b"\0"):
                answer += public.recv(65536)
        return json.loads(answer[:-1])

    def test_root_is_an_ordinary_client_but_by_the_admins_socket(self):
        refused = self.explain_by_the_public_socket("nobodys")
        self.assertEqual(refused["error"], "org.sandboxd.Denied")
        self.assertEqual(refused["parameters"]["allowed"], "nobody but the administrator")
        self.assertIn("plan", self.explain_by_the_public_socket("roots")["parameters"], "root by its name")
        self.work.chmod(0o755)  # root has no rights of its own in a jail
        done = self.run_as(0, "nobodys", "--workspace")
        self.assertEqual(done.stdout, "ran\n", done.stderr)

    def test_list_and_show_say_it(self):
        listed = self.ctl("profile", "list", uid=OTHER).stdout
        self.assertIn(f"mine\td\tusers {UID} and groups {GROUP}\n", listed)
        self.assertRegex(listed, r"\ndefault\t.*\teverybody\n")
        shown = json.loads(self.ctl("profile", "show", "heir", uid=OTHER).stdout)
        self.assertEqual(shown["users"], [{"name": str(UID), "id": UID}])
        self.assertEqual(shown["groups"], [{"name": str(GROUP), "id": GROUP}])


if __name__ == "__main__":
    unittest.main()
