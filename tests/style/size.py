#!/usr/bin/env python3
"""No file above 600 lines, no function above 60: what is larger is two things. Functions are found by universal-ctags."""
import json
import subprocess
import sys

import tree

MOST_FILE, MOST_FUNCTION = 600, 60
names = tree.files(*tree.CODE, ".py", ".sh")
problems = []
for name in names:
    if (lines := len(tree.text(name).splitlines())) > MOST_FILE:
        problems.append(f"{name}: {lines} lines, at most {MOST_FILE}")
code = [name for name in names if name.endswith(tree.CODE)]
command = ["ctags", "-L", "-", "-o", "-", "--languages=C++", "--langmap=C++:.h.cpp", "--c++-kinds=f", "--fields=+ne",
           "--output-format=json"]
tags = subprocess.run(command, input="\n".join(code), cwd=tree.ROOT, check=True, capture_output=True, text=True).stdout
found = [json.loads(line) for line in tags.splitlines()]
if not found:
    problems.append("ctags finds no function at all")
for tag in found:
    lines = tag.get("end", tag["line"]) - tag["line"] + 1
    if lines > MOST_FUNCTION:
        problems.append(f"{tag['path']}:{tag['line']}: {tag['name']} has {lines} lines, at most {MOST_FUNCTION}")
sys.exit(tree.report("size", problems, len(names)))
