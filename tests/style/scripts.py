#!/usr/bin/env python3
"""shellcheck over every shell script, by its first line or its name, and a syntax check of every Python file."""
import ast
import subprocess
import sys

import tree


def is_shell(name):
    if name.endswith((".sh", ".bash")):
        return True
    with open(tree.ROOT / name, "rb") as file:
        first = file.readline(64)
    return first.startswith(b"#!") and (b"bash" in first or first.rstrip().endswith(b"/sh"))


shell = [name for name in tree.files() if is_shell(name)]
python = tree.files(".py")
problems = []
if not shell:
    problems.append("no shell script found")
done = subprocess.run(["shellcheck", "--severity=style", "--exclude=SC1091", "--format=gcc", *shell], cwd=tree.ROOT, capture_output=True,
                      text=True)
problems += (done.stdout + done.stderr).splitlines()
for name in python:
    try:
        ast.parse(tree.text(name), name)
    except SyntaxError as error:
        problems.append(f"{name}: {error}")
sys.exit(tree.report("scripts", problems, len(shell) + len(python)))
