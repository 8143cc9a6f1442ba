#!/usr/bin/env python3
"""A folder includes folders of a lower level only, and siblings never include each other. The levels are read from the table in
docs/ARCHITECTURE.md, so that the picture and the rule can't differ. `layering.py --self-test` shows that it sees what it
should."""
import re
import sys

import tree

TABLE = re.compile(r"## Folders and layers.*?```\n(.*?)```", re.DOTALL)
ROW = re.compile(r"^( *)(\S+?)(/?) +(\d)  ")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
# The programs that hold privilege, or sit beside what a jail can reach, are small: these folders and no others.
ONLY = {
    "daemon/launcher": {"base", "cgroups", "daemon/confine", "daemon/wire"},
    "daemon/broker": {"base", "daemon/confine", "daemon/wire"},
    "daemon/init": {"base", "daemon/confine", "daemon/wire"},
    "daemon/profilec": {"base", "daemon/confine", "daemon/wire", "seccomp-profiles"},
    # It runs in a jail, as a job.
    "daemon/files": {"archive", "base", "daemon/wire"},
    "sandboxd-client": {"archive", "base", "protocol"},
}
# A library's header, the folders that may include it.
LIBRARIES = {
    # filtergen runs while the project is built: it turns the filters of our own programs into arrays.
    r"seccomp\.h": ["seccomp-profiles/compiler", "daemon/confine/filtergen.cpp"],
    r"nlohmann/.*": ["protocol", "seccomp-profiles", "daemon/plan", "daemon/profilec", "daemon/audit", "daemon/jails", "daemon/api",
                     "daemon/tools", "daemon/main", "daemon/confine/filtergen.cpp", "sandboxd-client"],
    r"spdlog/.*": ["daemon/jails", "daemon/api", "daemon/audit", "daemon/main"],
    r"netlink/.*": ["daemon/launcher"],
    r"sys/capability\.h": ["daemon/launcher", "daemon/confine"],
    r"systemd/.*": ["daemon/jails", "daemon/api", "daemon/audit", "daemon/main"],
    r"openssl/.*": ["daemon/audit", "daemon/tools"],
    r"CLI/.*": ["sandboxd-client", "daemon/tools", "daemon/main"],
}


def read_levels(page):
    """{"base": 0, "daemon/wire": 1, "daemon/main.cpp": 6 ...}"""
    levels, parent = {}, ""
    for line in TABLE.search(page).group(1).splitlines():
        if re.match(r"^\S+/\s*$", line):
            parent = line.strip()
        elif row := ROW.match(line):
            levels[(parent if row[1] else "") + row[2]] = int(row[4])
    return levels


def folder_of(path, levels):
    parts = path.split("/")
    for size in range(len(parts), 0, -1):
        if (name := "/".join(parts[:size])) in levels:
            return name
    return None


def problem_of(name, include, quoted, levels):
    """Why this file may not include that, or None."""
    mine = folder_of(name, levels)
    if not quoted:
        for pattern, allowed in LIBRARIES.items():
            if re.fullmatch(pattern, include) and not name.startswith(tuple(allowed)):
                return f"<{include}> is for {', '.join(allowed)} only"
        return None
    theirs = folder_of(include, levels)
    if theirs is None:
        return f'"{include}" lies in no folder of the table; includes are from the root'
    if mine == theirs:
        return None
    if levels[theirs] >= levels[mine]:
        return f'"{include}": {theirs} (level {levels[theirs]}) is not below {mine} (level {levels[mine]})'
    if mine in ONLY and theirs not in ONLY[mine]:
        return f'"{include}": {mine} includes {", ".join(sorted(ONLY[mine]))} only'
    return None


def check(sources, levels):
    """sources: (path, text) pairs."""
    problems = []
    for name, text in sources:
        if folder_of(name, levels) is None:
            problems.append(f"{name}: its folder is not in the table of docs/ARCHITECTURE.md")
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if found := INCLUDE.match(line):
                if problem := problem_of(name, found[2], found[1] == '"', levels):
                    problems.append(f"{name}:{number}: {problem}")
    return problems


def self_test(levels):
    """Each line breaks one rule, but for the last four."""
    bad = [
        ("base/file.cpp", '#include "daemon/wire/plan.h"'),             # upwards
        ("daemon/launcher/a.cpp", '#include "daemon/broker/b.h"'),      # a sibling
        ("daemon/wire/a.h", '#include "daemon/confine/b.h"'),           # a sibling at level 1
        ("daemon/launcher/a.cpp", '#include "protocol/job.h"'),         # lower, but not for the launcher
        ("daemon/launcher/a.cpp", "#include <nlohmann/json.hpp>"),
        ("daemon/launcher/a.cpp", "#include <seccomp.h>"),
        ("daemon/launcher/a.cpp", "#include <spdlog/spdlog.h>"),
        ("seccomp-profiles/model/a.cpp", "#include <seccomp.h>"),
        ("daemon/wire/a.cpp", '#include "plan.h"'),                     # not from the root
        ("daemon/new/a.cpp", "#include <cstdio>"),                      # a folder that nobody put into the table
    ]
    good = [
        ("daemon/launcher/a.cpp", '#include "daemon/wire/plan.h"'),
        ("daemon/jails/a.cpp", '#include "daemon/plan/plan.h"'),
        ("daemon/main.cpp", '#include "daemon/api/server.h"'),
        ("seccomp-profiles/compiler/a.cpp", "#include <seccomp.h>"),
    ]
    missed = [case for case in bad if len(check([case], levels)) != 1]
    wrong = [case for case in good if check([case], levels)]
    for case in missed:
        print(f"not seen: {case}")
    for case in wrong:
        print(f"refused: {case}")
    print(f"layering self-test: {len(bad)} bad and {len(good)} good examples")
    return 1 if missed or wrong else 0


def main():
    levels = read_levels(tree.text("docs/ARCHITECTURE.md"))
    if sys.argv[1:] == ["--self-test"]:
        return self_test(levels)
    names = tree.files(*tree.CODE, under=tree.PRODUCT)
    return tree.report("layering", check(((name, tree.text(name)) for name in names), levels), len(names))


sys.exit(main())
