#!/usr/bin/env python3
"""Man pages: groff has nothing to say about them, and each program that is installed in bin has one."""
import subprocess
import sys

import tree

pages = tree.files(".1", ".5", ".8", under=("man/",))
problems = []
for page in pages:
    command = ["man", "--warnings=all", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(tree.ROOT / page)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
    problems += [f"{page}: {line}" for line in done.stderr.splitlines()]
    if done.returncode != 0 or not done.stdout:
        problems.append(f"{page}: man can't format it (exit status {done.returncode})")
for needed in ("man/sandboxd.8", "man/sandboxctl.1", "man/sandboxd-profile.5"):
    if needed not in pages:
        problems.append(f"{needed}: missing")
sys.exit(tree.report("man", problems, len(pages)))
