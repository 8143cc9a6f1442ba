#!/usr/bin/env python3
"""The escape checks' results as one table, and as the generated part of docs/security.md.

usage: page.py BUILD_DIR FAULT_BUILD_DIR [--page FILE]
       page.py --check FILE ESCAPE_TABLE    every row that this program has, and every CVE of known.json, is on the page

Reads what the suites left: escape-results/*.json and guest-results/*.json (escape_table, escape_layers), the logs of the tests whose
names begin with an id, and the data beside this file: known.json (CVEs) and absent.json (checks that can't be made here)."""
import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BEGIN = "<!-- what follows is made by tests/escape/run --page -->"
END = "<!-- end of what is made -->"
LAYERS = {"filter": "filter", "capabilities": "capabilities", "landlock": "Landlock", "mounts": "mounts", "ids": "ids",
          "namespaces": "net, ipc and uts namespaces", "cgroup": "cgroup"}
BASE = "what a jail can't be without"  # its user, pid and mount namespaces, or the kernel anyway
NAMED = re.compile(r"^\[\s+(OK|FAILED|SKIPPED)\s+\] (\S*?)((?:E\d\db?[_/])+)(\w+)")
Json = dict[str, Any]


def reports(folders: Iterable[Path], name: str) -> list[Json]:
    found = {}
    for folder in folders:
        for file in sorted(folder.glob(f"{name}-*.json")):
            report = json.loads(file.read_text())
            found[report["kernel"]] = report
    return [found[kernel] for kernel in sorted(found, key=version, reverse=True)]


def version(kernel: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", kernel)[:2]]


def short(kernel: str) -> str:
    return "Linux " + ".".join(map(str, version(kernel)))


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def key(row: Json) -> str:
    return f"{row['id']} {row['name']}"


def title(name: str) -> str:
    """"TakeAwayProcSys" as words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()


class Layers:
    """What stops the tries of a row: each layer by itself, and the only one."""

    def __init__(self, report: Json) -> None:
        self.rows: dict[str, Json] = report["rows"]
        self.changed: dict[str, int] = report["changed"]

    def stops(self, row: str) -> tuple[str, str]:
        """What answered a try (without it the answer is another), and what refuses it where that is missing."""
        tries = self.rows.get(row, {})
        first: dict[str, int] = defaultdict(int)
        second: dict[str, int] = defaultdict(int)
        for one in tries.values():
            answered = one["answered"] or ([] if one["base"] else one["alone"][:1])
            for layer in answered or [BASE]:
                first[LAYERS.get(layer, layer)] += 1
            behind = [LAYERS[layer] for layer in one["alone"] if layer not in answered] if not one["base"] else []
            for layer in [] if one["needed"] else behind or ([BASE] if answered else []):
                second[layer] += 1
            second["nothing"] += bool(one["needed"])
        return self.counted(first, len(tries)), self.counted(second, len(tries)) or "-"

    @staticmethod
    def counted(layers: dict[str, int], tries: int) -> str:
        """Those that hold most first; "(7 of 15)" where not all."""
        ordered = sorted((item for item in layers.items() if item[1]), key=lambda item: -item[1])
        return ", ".join(name if count == tries else f"{name} ({count} of {tries})" for name, count in ordered)

    def only(self, row: str) -> Iterator[tuple[str, str]]:
        for name, one in self.rows.get(row, {}).items():
            if not one["base"] and one["needed"]:
                yield name, " and ".join(LAYERS[layer] for layer in one["needed"])

    def totals(self) -> tuple[int, int]:
        tries = [one for row in self.rows.values() for one in row.values()]
        return len(tries), sum(bool(one["needed"]) and not one["base"] for one in tries)


def outcome(row: Json) -> str:
    """Of a row under all profiles of a kernel."""
    escaped = [name for name, one in row["profiles"].items() if one["through"]]
    if escaped:
        return "ESCAPED under " + ", ".join(escaped)
    text = "held"
    lacking = row.get("not_shown", {})
    if lacking and row["shown"] == 0:
        text = "held; this host shows nothing: " + ", ".join(f"{name} {error}" for name, error in lacking.items())
    purposes = [f"{name}: {one['why']}" for name, one in row["profiles"].items() if one["on_purpose"]]
    return text + "".join(f"; {purpose}" for purpose in purposes)


def check_rows(tables: list[Json], layers: Layers) -> Iterator[str]:
    kernels = [{key(row): row for row in table["rows"]} for table in tables]
    yield "| check | what the job tries | known from | " + " | ".join(short(table["kernel"]) for table in tables) + " | stopped by | behind it |\n"
    yield "|" + "---|" * (5 + len(tables)) + "\n"
    for name, row in sorted(kernels[0].items()):
        seen = [outcome(kernel[name]) if name in kernel else "not run" for kernel in kernels]
        yield "| " + " | ".join(map(cell, [f"{row['id']} {title(row['name'])}", row["what"], row["origin"], *seen, *layers.stops(name)])) + " |\n"


def named_tests(logs: Iterable[Path]) -> dict[tuple[str, str], str]:
    """By id and name: the worst outcome in these logs."""
    found: dict[tuple[str, str], str] = {}
    for log in logs:
        for line in log.read_text(errors="replace").splitlines():
            match = NAMED.match(line)
            if not match or "EscapeTable" in match[2] + match[4]:
                continue
            for one in re.findall(r"E\d\db?", match[3]):
                at = (one, match[4])
                if found.get(at) != "FAILED":
                    found[at] = match[1]
    return found


def logs_of(build: Path, fault: Path) -> tuple[list[Path], list[Path]]:
    here = [folder / "Testing/Temporary/LastTest.log" for folder in (build, fault)]
    return [log for log in here if log.exists()], sorted((build / "guest-results").glob("*.log"))


def named_rows(here: dict[tuple[str, str], str], guest: dict[tuple[str, str], str]) -> Iterator[str]:
    words = {"OK": "held", "FAILED": "FAILED", "SKIPPED": "skipped", "": "not run there"}
    yield "| check | test | here | guest |\n|---|---|---|---|\n"
    for at in sorted(set(here) | set(guest)):
        text = title(at[1])
        yield f"| {at[0]} | {cell(text[0].upper() + text[1:])} | {words[here.get(at, '')]} | {words[guest.get(at, '')]} |\n"


def cve_rows(known: Json, names: set[str]) -> Iterator[str]:
    yield "| id | in | mechanism | our checks |\n|---|---|---|---|\n"
    for one in known["cves"]:
        checks = ", ".join(check if check in names else f"{check} (no test)" for check in one["checks"]) or one.get("outcome", "none")
        yield f"| {one['id']} | {one['component']} | {cell(one['mechanism'])} | {cell(checks)} |\n"


def decide(program: Path, profile: str, calls: list[str]) -> list[Json]:
    done = subprocess.run([program, "decide", "--profile", profile], input="\n".join(calls) + "\n", capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def kernel_rows(known: Json, build: Path) -> Iterator[str]:
    """A group is cut off where every way in is refused."""
    program = build / "bin/sandboxd-profile"
    profiles = sorted(file.stem for file in (HERE.parents[1] / "seccomp-profiles/profiles").glob("*.json"))
    yield "| part of the kernel | CVEs | cut off by | not cut off under |\n|---|---|---|---|\n"
    for group in known["kernel"]:
        if "held_by" in group:
            yield f"| {cell(group['group'])} | {group['count']} | {cell(group['held_by'])} | none |\n"
            continue
        if not group["calls"]:
            why = group.get("held_by") or f"nothing: {group['note']}"
            yield f"| {cell(group['group'])} | {group['count']} | {cell(why)} | {'none' if 'held_by' in group else 'all'} |\n"
            continue
        rules, open_under = set(), []
        for profile in profiles:
            answers = decide(program, profile, group["calls"])
            if any(one["action"] == "allow" for one in answers):
                open_under.append(profile)
            else:
                rules |= {f"`{one['syscall']}`" + (f" with {one['when']}" if one.get("when") else "") for one in answers}
        yield f"| {cell(group['group'])} | {group['count']} | {cell(', '.join(sorted(rules)) or 'nothing')} | {'all' if open_under == profiles else ', '.join(open_under) or 'none'} |\n"


def single_rows(layers: Layers) -> Iterator[str]:
    by_layer: dict[str, list[str]] = defaultdict(list)
    for row in sorted(layers.rows):
        for name, layer in layers.only(row):
            by_layer[layer].append(f"{row.split()[0]} `{name}`")
    yield "| without | gets through |\n|---|---|\n"
    for layer, tries in sorted(by_layer.items(), key=lambda item: -len(item[1])):
        yield f"| {layer} | {len(tries)}: {cell(', '.join(tries))} |\n"


def made(build: Path, fault: Path) -> str:
    tables = reports([build / "escape-results", build / "guest-results"], "table")
    found = reports([fault / "escape-results"], "layers")
    if not tables or not found:
        raise SystemExit("page.py: no results of escape_table or escape_layers there; tests/escape/run makes them")
    layers = Layers(found[0])
    here, guest = (named_tests(logs) for logs in logs_of(build, fault))
    known = json.loads((HERE / "known.json").read_text())
    absent = json.loads((HERE / "absent.json").read_text())
    names = {row["id"] for table in tables for row in table["rows"]} | {at[0] for at in set(here) | set(guest)}
    tries, single = layers.totals()
    parts = [
        f"## Every way out, tried\n\nEach row is a program that tries it in a jail of each of the {len(tables[0]['rows'][0]['profiles']) - 1} profiles that "
        "come with sandboxd, and as root of a jail; the same program outside succeeds, or the row would fail. The last two columns are "
        "measured too, in jails that lack layers: what gave the answer, and what refuses the same try where that is missing. A jail can't be "
        "without its user, pid and mount namespaces; what these stop, and what the kernel grants nobody, has no other layer to be named.\n\n", *check_rows(tables, layers),
        "\n## Attacks that are programs of their own\n\nRaces, our own programs as targets, and what one try can't show. "
        "\"Here\" is the machine that made the page; skipped is a test for which something is missing there, such as cgroup controllers.\n\n", *named_rows(here, guest),
        f"\n## Layers\n\nOf {tries} single tries, {single} get through where one layer is missing. Without a layer, so many of them end otherwise: "
        + ", ".join(f"{LAYERS[name]} {count}" for name, count in layers.changed.items())
        + " (the cgroup's limits can only be seen missing where the host has controllers).\n\n", *single_rows(layers),
        "\n## Published holes of sandboxes\n\n", *cve_rows(known, names),
        "\n## Published holes of the kernel\n\nWhat a program must be able to call to come near. Where a part is not cut off, a hole in it is a way out.\n\n",
        *kernel_rows(known, build),
        "\n## What is not checked\n\n| check | why |\n|---|---|\n", *(f"| {one['id']} | {cell(one['reason'])} |\n" for one in absent["absent"])]
    return "".join(parts)


def put_into(page: Path, text: str) -> None:
    whole = page.read_text()
    head, rest = whole.split(BEGIN)
    page.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")


def check(page: Path, program: Path) -> int:
    text = page.read_text()
    listed = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"HoldsUnderEveryProfile/(E\d\db?)_(\w+)", listed)
    wanted = [f"| {number} {title(name)} |" for number, name in rows]
    known = json.loads((HERE / "known.json").read_text())
    wanted += [f"| {one['id']} |" for one in known["cves"]]
    missing = [one for one in wanted if one not in text]
    if not rows:
        missing.append("(no rows in the program's list)")
    for one in missing:
        print(f"{page}: lacks the row '{one}'; run tests/escape/run --page", file=sys.stderr)
    return 1 if missing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs=2, type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        return check(*arguments.places)
    text = made(*arguments.places)
    if arguments.page:
        put_into(arguments.page, text)
    else:
        print(text, end="")
    return 1 if "ESCAPED" in text or "FAILED" in text else 0


if __name__ == "__main__":
    sys.exit(main())
