#!/usr/bin/env python3
"""Test suites of real programs, bare, in bubblewrap without a filter, and in a jail under `default`. What ends otherwise in the jail
than in bubblewrap must be refused by a rule of the profile's filter, which has its reason; anything else is a failure.

usage: compare.py DIRECTORY_OF_THE_PROGRAMS [--long] [--suite NAME]... [--item NAME]... [--page FILE] [--facts FILE]
       --long   all of every suite (hours), else some of each; SANDBOXD_LONG does the same
       --facts  write what is seen to FILE, a line each item; what is in it from an earlier run is not run again
       --page   write docs/compatibility.md's tables to FILE"""
import argparse
import concurrent.futures
import copy
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Container, Iterator

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "jail/python"))
from daemon import start_daemon  # noqa: E402

from page import page_of  # noqa: E402
from packages import PACKAGE_SUITES, package_suites  # noqa: E402
from programs import CPython, Item, Stressors, Suite, worst  # noqa: E402
from refusals import Judge  # noqa: E402
from ways import Ways  # noqa: E402
from facts import Difference, Facts, facts_in, line_of  # noqa: E402

PROFILE = "default"
DEADLINE = 60
DISK = 4 << 30  # what the suites may fill: a file system of their own, for some write until nothing is left


def outcomes_of(ways: Ways, suite: Suite, item: Item, way: str) -> dict[str, str]:
    return suite.outcomes(item, ways.run(way, item.command, suite.seconds, profile=PROFILE, files=item.files))


def differing(item: Item, bubblewrap: dict[str, str], jail: dict[str, str]) -> dict[str, tuple[str, str]]:
    """What a test's outcome is in either; `missing` where it wasn't reached. One that doesn't end in bubblewrap is compared with nothing."""
    if set(jail) == {item.name} and item.name not in bubblewrap:  # none of its tests was come to
        bubblewrap = {item.name: worst([outcome for outcome in bubblewrap.values() if outcome != "skipped"] or ["skipped"])}
    pairs = {test: (bubblewrap.get(test, "missing"), jail.get(test, "missing")) for test in {*bubblewrap, *jail}}
    return {test: pair for test, pair in pairs.items() if pair[0] not in (pair[1], "hung")}


def compare(ways: Ways, judge: Judge, suite: Suite, item: Item) -> Facts:
    """An item in each way. What differs is run again, twice: only what differs each time in the same way does."""
    seen = {way: outcomes_of(ways, suite, item, way) for way in ways.names}
    different = differing(item, seen["bubblewrap"], seen["jail"])
    for _ in range(2):
        if different:
            again = differing(item, outcomes_of(ways, suite, item, "bubblewrap"), outcomes_of(ways, suite, item, "jail"))
            different = {test: pair for test, pair in different.items() if again.get(test) == pair}
    causes = judge.causes(suite, item, sorted(different)) if different else {}
    elsewhere = sorted(test for test, cause in causes.items() if cause.outcome != different[test][1])
    causes |= judge.mounts(suite, item, elsewhere) if elsewhere else {}
    found = [Difference(suite.name, item.name, test, seen["bare"].get(test, "missing"), *different[test], cause.outcome, cause.refusals)
             for test, cause in causes.items()]
    return Facts(suite.name, item.name, seen, found)


def run_suites(programs: pathlib.Path, top: pathlib.Path, suites: list[Suite]) -> Iterator[Facts]:
    daemon = start_daemon(programs, top)
    try:
        ways = Ways(programs, top)
        judge = Judge(programs, ways, PROFILE)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for suite in suites:
                yield from pool.map(lambda item, suite=suite: compare(ways, judge, suite, item), suite.items)  # type: ignore[misc]
    finally:
        daemon.terminate()
        daemon.wait(DEADLINE)


def wanted_suites(words: argparse.Namespace) -> list[Suite]:
    wanted = words.suite or (Stressors.title, CPython.title, *PACKAGE_SUITES)
    suites: list[Suite] = [suite(words.long) for suite in (Stressors, CPython) if suite.title in wanted]
    suites += package_suites(words.long, wanted)
    for suite in suites:
        if words.item:
            suite.items = [item for item in suite.items if item.name in words.item]
    return suites


def without(suite: Suite, done: Container[tuple[str, str]]) -> Suite:
    rest = copy.copy(suite)
    rest.items = [item for item in suite.items if (suite.name, item.name) not in done]
    return rest


def report(facts: Facts) -> bool:
    """True when every difference is refused on purpose."""
    for one in facts.differences:
        rules = "; ".join(f"{refusal.call}: {refusal.answer} ({refusal.rule})" for refusal in one.refusals)
        print(f"{one.suite} {one.test}: {one.bubblewrap} in bubblewrap, {one.jail} in the jail: " +
              (f"refused on purpose: {rules}" if one.is_on_purpose else f"NO RULE SAYS SO ({one.filtered} under the filter alone; {rules})"), flush=True)
    return all(one.is_on_purpose for one in facts.differences)


def inner(words: argparse.Namespace) -> int:
    place = pathlib.Path(words.inner)
    for name in ("run", "state"):
        (place / name).mkdir(mode=0o755)
    suites = wanted_suites(words)
    known = {(suite.name, item.name) for suite in suites for item in suite.items}
    found = [facts for facts in facts_in(words.facts) if (facts.suite, facts.item) in known] if words.facts else []
    done = {(facts.suite, facts.item) for facts in found}
    fine = all([report(facts) for facts in found])
    for facts in run_suites(words.programs.resolve(), place, [without(suite, done) for suite in suites]):
        found.append(facts)
        if words.facts:
            with words.facts.open("a") as file:
                file.write(line_of(facts))
        if sys.stderr.isatty():
            print(f"{facts.suite} {len(found)}", end="\r", file=sys.stderr, flush=True)
        fine = report(facts) and fine
    for suite in suites:
        of_it = [facts for facts in found if facts.suite == suite.name]
        print(f"{suite.name}: {sum(len(facts.outcomes['jail']) for facts in of_it)} tests, {sum(len(facts.differences) for facts in of_it)} differ")
    if words.page:
        words.page.write_text(page_of(found, suites))
    return 0 if fine and found else 1


def main() -> int:
    parser = argparse.ArgumentParser(usage=(__doc__ or "").partition("usage: ")[2])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--long", action="store_true", default="SANDBOXD_LONG" in os.environ)
    parser.add_argument("--suite", action="append")
    parser.add_argument("--item", action="append")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--facts", type=pathlib.Path)
    parser.add_argument("--inner")
    words = parser.parse_args()
    if words.inner:
        return inner(words)
    if os.geteuid() != 0:
        print("needs root, for a daemon of its own")
        return 77
    with tempfile.TemporaryDirectory(prefix="sandboxd-suites-") as holder:
        top = pathlib.Path(holder)
        top.chmod(0o755)
        again = [sys.executable, "-B", __file__, *sys.argv[1:], "--inner"]
        if not words.long:
            return subprocess.run([*again, holder], check=False).returncode
        (top / "disk").mkdir()
        with (top / "disk.img").open("wb") as image:
            image.truncate(DISK)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", top / "disk.img"], check=True)
        # In a mount namespace of its own: the file system goes with it.
        mount = 'mount -o loop,nosuid,nodev "$0.img" "$0"; chmod 755 "$0"; exec "$@" "$0"'
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", mount, top / "disk", *again]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
