#!/usr/bin/env python3
"""A wrong profile or filter file is refused with its name, the line, the key and what to do.
Every shipped file, made wrong at every place in turn: a key misspelt, taken away, given twice, of another type; then some by hand.
usage: wrong_files_test.py SANDBOXD_PROFILE SOURCE_DIR"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TOOL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]) / "seccomp-profiles"
ENVIRONMENT = {"SANDBOXD_PROFILE_DIR": str(SOURCE / "profiles"), "PATH": "/usr/bin:/bin"}
# What a person is told to do: one of these must be in each message.
REMEDY = re.compile(r"expected |add it|did you mean|known here|remove |known keys|leave the key out|keep one|give ")


def places(value, path=""):
    """Every key of every object once: of a list only its first object with that key, since the others are read by the same code."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield path, key
            if path == "groups" and key != next(iter(value)):
                continue  # as the first one
            yield from places(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        seen = set()
        for index, inner in enumerate(value):
            for where, key in places(inner, f"{path}[{index}]"):
                shape = re.sub(r"\[\d+\]", "[]", where), key
                if shape not in seen:
                    seen.add(shape)
                    yield where, key


def find(value, path):
    for part in re.findall(r"[^.\[\]]+", path):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def line_of(text, path, key):
    """The line of that key in a file that has one key a line."""
    marked = json.loads(text)
    place = find(marked, path)
    items = [("@HERE@" if name == key else name, inner) for name, inner in place.items()]
    place.clear()
    place.update(items)
    return next(n for n, line in enumerate(json.dumps(marked, indent=1).split("\n"), 1) if '"@HERE@"' in line)


# Keys that name things, which may be any: misspelt they are another name.
FREE = re.compile(r"^(env|groups|files)$")
# These may be left out, or a file without them is another right one.
OPTIONAL = {"$schema", "redaction", "architectures", "when", "profile", "x86_64", "aarch64", "mode", "inherits", "syscalls", "errno", "default", "foreign_abi",
            "groups", "rules", "include", "mask", "value", "action", "why", "files", "reasons"}


def mutations(text):
    value = json.loads(text)
    for path, key in places(value):
        if key == "$schema" or FREE.match(path) or path.startswith("reasons"):
            continue
        line = line_of(text, path, key)
        # misspelt
        changed = json.loads(text)
        place = find(changed, path)
        items = [(name + "x" if name == key else name, inner) for name, inner in place.items()]
        place.clear()
        place.update(items)
        if not (path == "" and key in ("rules", "default")):  # these two say what kind of file it is
            yield f"{path}.{key} misspelt", json.dumps(changed, indent=1), line, key + "x"
        # of another type
        changed = json.loads(text)
        find(changed, path)[key] = None if path.endswith("env") else {} if key == "cpu_max" else 1.5  # half cores there are
        yield f"{path}.{key} of another type", json.dumps(changed, indent=1), line, key
        # given twice
        lines = text.split("\n")
        lines.insert(line - 1, f'"{key}": 0,')
        yield f"{path}.{key} twice", "\n".join(lines), line + 1, key
    for path, key in places(value):
        if key in OPTIONAL or FREE.match(path) or path.startswith("reasons") or "inherits" in value and path == "" and key not in ("name", "description"):
            continue
        if path == "limits" or path.endswith("profile"):
            continue
        changed = json.loads(text)
        del find(changed, path)[key]
        yield f"{path}.{key} missing", json.dumps(changed, indent=1), None, key


BY_HAND = [
    ("empty", "", 1, None), ("not JSON", '{\n"name": x\n}', 2, None), ("cut off", '{\n"name": "f",', 2, None),
    ("a list", "[\n]", 1, None), ("a comment", '{\n// "name"\n}', 2, None), ("a tab in a text", '{\n"name": "a\tb"}', 2, None),
]


def judge(name, what, text, line, key):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        pathlib.Path(path).write_text(text)
        done = subprocess.run([TOOL, "check", path], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    said = done.stderr.strip()
    problems = []
    if done.returncode != 1:
        problems.append(f"exit status {done.returncode}")
    if path not in said:
        problems.append("the file is not named")
    told = re.search(r"line (\d+)", said)
    if told is None or (line is not None and int(told[1]) != line):
        problems.append(f"line {line} is not named")
    if key is not None and key not in said:
        problems.append(f"the key {key} is not named")
    if key is not None and not REMEDY.search(said):
        problems.append("no remedy")
    if said.count("\n"):
        problems.append("more than a line")
    return f"{name}: {what}: {', '.join(problems)}: {said}" if problems else None


def main():
    cases = []
    for kind in ("filters", "profiles"):
        for path in sorted((SOURCE / kind).glob("*.json")):
            text = json.dumps(json.loads(path.read_text()), indent=1)
            cases += [(path.name, *mutation) for mutation in mutations(text)]
    cases += [("f.json", *case) for case in BY_HAND]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        problems = [problem for problem in pool.map(lambda case: judge(*case), cases) if problem]
    print("\n".join(problems) or f"{len(cases)} wrong files, each told with its line and what to do")
    return 1 if problems or len(cases) < 200 else 0


sys.exit(main())
