#!/usr/bin/env python3
"""What no file may say, each with its reason; and that JSON is JSON, with no key twice."""
import json
import re
import sys

import tree

EVERYWHERE = [
    (re.compile(r"[ \t]+$"), "trailing white space"),
    (re.compile(r"\r"), "a carriage return"),
    (re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"), "an invisible or bidi character: text that reads other than it is"),
    (re.compile(r"^(<{7}|>{7}|={7})( |$)"), "a conflict marker"),
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b"), "unfinished work belongs into the tracker"),
    (re.compile(re.escape(str(tree.ROOT)) + r"(?![\w.-])"), "the folder of one checkout"),
]
IN_CODE = [
    (re.compile(r"\t"), "a tab"),
    (re.compile(r"\b(std::this_thread::)?(sleep_for|usleep|nanosleep)\("), "a sleep is no synchronisation: wait for the event"),
    (re.compile(r"(?<![\w.>])(::|std::)?(system|popen)\("), "a shell between us and the program"),
    (re.compile(r"\busing namespace std\b"), "using namespace std"),
    (re.compile(r"\bthrow\b(?!\s*\()(?=.*;)"), "exceptions stay inside: return a Result"),
    (re.compile(r"\b(strcpy|strcat|sprintf|gets|mktemp|tmpnam)\("), "an unbounded or racy libc function"),
]
# Said in the comment above a pause: there is nothing to wait for.
EXEMPT = "kernel offers no event"


def pairs_once(pairs):
    keys = [key for key, _ in pairs]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"key given twice: {', '.join(sorted(twice))}")
    return dict(pairs)


def lines_of(name, rules):
    before = ""
    for number, line in enumerate(tree.text(name).split("\n"), 1):
        for pattern, why in rules:
            if pattern.search(line) and EXEMPT not in before:
                yield f"{name}:{number}: {why}"
        before = (before + line)[-400:]


def main():
    names = [n for n in tree.files() if not n.startswith("tests/fuzz/corpus/") and n != "LICENSE"]
    problems = []
    for name in names:
        try:
            rules = EVERYWHERE + (IN_CODE if name.endswith(tree.CODE) and name.startswith(tree.PRODUCT) else [])
            problems += lines_of(name, rules)
        except UnicodeDecodeError:
            problems.append(f"{name}: not UTF-8")
            continue
        if (text := tree.text(name)) and not text.endswith("\n"):
            problems.append(f"{name}: no newline at its end")
        if name.endswith(".json"):
            try:
                json.loads(text, object_pairs_hook=pairs_once)
            except ValueError as error:
                problems.append(f"{name}: {error}")
    return tree.report("text", problems, len(names))


sys.exit(main())
