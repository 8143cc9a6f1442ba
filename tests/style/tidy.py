#!/usr/bin/env python3
"""clang-tidy over what is shipped, in parallel, with a cache outside the tree: a file is looked at again only when its text,
a header of ours that it includes, the configuration or clang-tidy itself has changed. usage: tidy.py BUILD_DIR [FILE...]"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
# Flags of g++ that clang refuses.
GCC_ONLY = re.compile(r" -f(no-)?tree-\S+| -fconserve-stack| -fno-lto-\S+")
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "sandboxd-tidy"


def inputs(name, seen):
    """The file and every header of ours below it."""
    if name in seen or not (tree.ROOT / name).is_file():
        return
    seen.add(name)
    for header in INCLUDE.findall(tree.text(name)):
        inputs(header, seen)


def key(name, command, fixed):
    seen = set()
    inputs(name, seen)
    digest = hashlib.sha256(fixed)
    for part in sorted(seen):
        digest.update(part.encode() + b"\0" + (tree.ROOT / part).read_bytes() + b"\0")
    digest.update(command.replace(str(tree.ROOT), "").encode())
    return digest.hexdigest()


def check(build, name, stamp):
    if stamp.exists():
        stamp.touch()
        return ""
    done = subprocess.run(["clang-tidy-14", "--quiet", "-p", str(build), name], cwd=tree.ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        stamp.touch()
        return ""
    return done.stdout + "".join(l for l in done.stderr.splitlines(True) if "error" in l and "treated as error" not in l)


def main():
    database = json.loads(pathlib.Path(sys.argv[1], "compile_commands.json").read_text())
    for entry in database:
        entry["command"] = GCC_ONLY.sub("", entry["command"])
    build = pathlib.Path(sys.argv[1], "tidy")
    build.mkdir(exist_ok=True)
    (build / "compile_commands.json").write_text(json.dumps(database))
    commands = {os.path.relpath(os.path.join(e["directory"], e["file"]), tree.ROOT): e["command"] for e in database}
    wanted = sys.argv[2:] or tree.files(".cpp", under=tree.PRODUCT)
    names = [name for name in wanted if name in commands]
    problems = [f"{name}: in no target: clang-tidy can't read it" for name in wanted if name not in commands]
    version = subprocess.run(["clang-tidy-14", "--version"], check=True, capture_output=True).stdout
    fixed = version + (tree.ROOT / ".clang-tidy").read_bytes()
    CACHE.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {name: pool.submit(check, build, name, CACHE / key(name, commands[name], fixed)) for name in names}
        problems += [run.result().rstrip() for run in runs.values() if run.result()]
    return tree.report("tidy", problems, len(names))


sys.exit(main())
