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
# Completions fill COMPREPLY from compgen's words, as bash-completion's own do: what shellcheck says of that is left out there.
completions = [name for name in shell if "/completions/" in name]
others = [name for name in shell if name not in completions]
for names, options in ((completions, ["--shell=bash", "--exclude=SC2128,SC2178,SC2207"]), (others, ["--exclude=SC1091"])):
    if names:
        command = ["shellcheck", "--severity=style", "--format=gcc", *options, *names]
        done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
        problems += (done.stdout + done.stderr).splitlines()
for name in python:
    try:
        ast.parse(tree.text(name), name)
    except SyntaxError as error:
        problems.append(f"{name}: {error}")
sys.exit(tree.report("scripts", problems, len(shell) + len(python)))
