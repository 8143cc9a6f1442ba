#!/usr/bin/env python3
"""Every C++ file is as clang-format 14 leaves it. `format.py --fix` rewrites those that are not."""
import subprocess
import sys

import tree

names = tree.files(*tree.CODE)
if sys.argv[1:] == ["--fix"]:
    sys.exit(subprocess.run(["clang-format-14", "-i", *names], cwd=tree.ROOT).returncode)
problems = []
for name in names:
    wanted = subprocess.run(["clang-format-14", name], cwd=tree.ROOT, check=True, capture_output=True, text=True).stdout
    have = tree.text(name)
    if wanted != have:
        line = next((i for i, (a, b) in enumerate(zip(have.splitlines(), wanted.splitlines()), 1) if a != b), 1)
        problems.append(f"{name}:{line}: not as clang-format leaves it (tests/style/format.py --fix)")
sys.exit(tree.report("format", problems, len(names)))
