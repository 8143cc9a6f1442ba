#!/usr/bin/env python3
"""--help, the man page and the completions name the same verbs and options; and the bash completion completes them."""
import pathlib
import re
import subprocess
import sys
import unittest

SANDBOXCTL = sys.argv.pop(1)
TOP = pathlib.Path(__file__).resolve().parents[3]
MAN = TOP / "man/sandboxctl.1"
BASH = TOP / "sandboxd-client/completions/sandboxctl.bash"
ZSH = TOP / "sandboxd-client/completions/_sandboxctl"
COMMON = {"--json", "--socket", "--help", "-h"}
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def help_of(*words):
    return subprocess.run([SANDBOXCTL, *words, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout


def options_in_help(text):
    found = set()
    for line in text.split("Options:\n", 1)[1].splitlines():
        if match := re.match(r"  (-[^ ]*)", line):
            found |= set(OPTION.findall(match[1].replace(",", " ")))
    return found


def verbs():
    """Each verb's words -> its options."""
    found = {}
    for name in re.findall(r"^  ([a-z]+) ", help_of().split("Subcommands:\n", 1)[1], re.M):
        text = help_of(name)
        if "Subcommands:\n" in text:
            for second in re.findall(r"^  ([a-z]+) ", text.split("Subcommands:\n", 1)[1], re.M):
                found[f"{name} {second}"] = options_in_help(help_of(name, second))
        else:
            found[name] = options_in_help(text)
    return found


VERBS = verbs()


def man_sections():
    """Each verb's words -> the options of its part of the page."""
    sections, current = {}, None
    for line in MAN.read_text().replace("\\-", "-").splitlines():
        if match := re.match(r"\.SS sandboxctl ([a-z]+(?: (?:list|show|check|explain|diff|compile|verify|ls|stat|cat|write|rm))?)", line):
            current = sections.setdefault(match[1], set())
        elif line.startswith(".SH"):
            current = sections.setdefault("common", set()) if line == ".SH COMMON OPTIONS" else None
        elif current is not None and previous == ".TP":
            current |= set(OPTION.findall(re.sub(r"\\f.", " ", line)))
        previous = line
    return sections


def complete(*words):
    """What bash offers for the last of the words, split as readline would."""
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"source {BASH}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _sandboxctl; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    env = {"PATH": f"{pathlib.Path(SANDBOXCTL).parent}:/usr/bin:/bin", "SANDBOXD_SOCKET": "/nonexistent", "A_VARIABLE": "1"}
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=30, env=env, cwd=TOP)
    return set(done.stdout.split())


class Help(unittest.TestCase):
    def test_lists_the_verbs(self):
        self.assertEqual(len(VERBS), 36)
        self.assertIn("--workspace", VERBS["run"])

    def test_names_the_common_options_for_each_verb(self):
        for verb, options in VERBS.items():
            self.assertLessEqual(COMMON, options, verb)

    def test_is_the_same_for_explain_as_for_run(self):
        self.assertEqual(VERBS["run"], VERBS["explain"])


class Man(unittest.TestCase):
    def test_has_each_verb_and_its_options(self):
        sections = man_sections()
        self.assertEqual(sections.pop("common"), COMMON)
        self.assertEqual(set(sections), set(VERBS))
        sections["explain"] = sections["run"]  # by reference
        sections["learn"] |= sections["run"]
        for verb, options in VERBS.items():
            self.assertEqual(sections[verb], options - COMMON, verb)

    def test_names_each_exit_status(self):
        page = MAN.read_text()
        for status in ("124", "125", "126", "127"):
            self.assertIn(f".B {status}\n", page)


class Bash(unittest.TestCase):
    def test_offers_each_verb(self):
        self.assertEqual(complete("sandboxctl", ""), {verb.split()[0] for verb in VERBS})
        self.assertEqual(complete("sandboxctl", "profile", ""), {"list", "show", "check", "explain", "diff", "compile"})
        self.assertEqual(complete("sandboxctl", "audit", ""), {"verify"})

    def test_offers_each_option_of_each_verb(self):
        for verb, options in VERBS.items():
            self.assertEqual(complete("sandboxctl", *verb.split(), "-"), options, verb)

    def test_offers_values(self):
        self.assertEqual(complete("sandboxctl", "run", "--network", ""), {"none", "host"})
        self.assertEqual(complete("sandboxctl", "run", "--workspace", "=", "r"), {"ro", "rw"})
        self.assertEqual(complete("sandboxctl", "run", "--workspace", "="), {"ro", "rw"})
        self.assertEqual(complete("sandboxctl", "run", "--stdio", "=", "p"), {"pass"})
        self.assertEqual(complete("sandboxctl", "run", "--env", "A_VAR"), {"A_VARIABLE"})
        self.assertIn("SIGTERM", complete("sandboxctl", "kill", "-s", "TE"))
        self.assertIn("README.md", complete("sandboxctl", "run", "--bind", "READ"))

    def test_completes_the_command_and_its_arguments(self):
        self.assertIn("printf", complete("sandboxctl", "run", "--user", "root", "print"))
        self.assertIn("printf", complete("sandboxctl", "run", "--", "print"))
        self.assertIn("README.md", complete("sandboxctl", "run", "--", "cat", "READ"))
        self.assertNotIn("--network", complete("sandboxctl", "run", "--", "cat", "--"))

    def test_is_quiet_without_a_daemon(self):
        self.assertEqual(complete("sandboxctl", "inspect", ""), set())


class Zsh(unittest.TestCase):
    def test_names_each_verb_and_option(self):
        text = ZSH.read_text()
        for verb, options in VERBS.items():
            for word in verb.split():
                self.assertRegex(text, rf"\b{word}\b")
            for option in options:
                self.assertRegex(text, rf"(?<![\w-]){option}(?![\w])", verb)


if __name__ == "__main__":
    unittest.main()
