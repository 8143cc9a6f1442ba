"""docs/compatibility.md, from what was seen."""
import platform
import subprocess
from collections.abc import Iterator, Sequence

from facts import Difference, Facts
from programs import Suite

HEAD = """# What runs in a jail as it does elsewhere

Test suites of Debian's packages, each test run bare, in bubblewrap without a system call filter (`bwrap --unshare-all`, everything
read-only but its directory and /tmp), and in a jail under the profile `default` (`--root=host --workspace=rw`), by an ordinary user. A
test that ends otherwise in the jail than in bubblewrap, three times in a row, is in a table below with the system call that made the
difference, the rule of the filter that refuses it, why, and which of the profiles that come with it allow that very call. Ruby's tests
and the packages in C are of Debian's source packages; a package is configured, built and checked, all within each of the three. Of Go
there is also the build of a command with the modules that it needs, offline.

How the rule is found: the test is run again in bubblewrap, under the jail's own filter and traced from outside; each call that failed as
a rule has it is a candidate; then it is run under filters that refuse one candidate each. Where no call makes the difference, it is run
in a bubblewrap that has the jail's mounts: without what a jail leaves out, and with tmpfs of the sizes that the profile gives. A difference
that no rule explains is a failure of the run: there is none here. What the filters refuse, rule by rule, is in `filters.md`.

This page is made by `tests/suites/compare.py --long --page docs/compatibility.md`, which `./run-tests --long` runs too.

"""


def page_of(found: Sequence[Facts], suites: Sequence[Suite]) -> str:
    page = HEAD + f"Seen on Linux {platform.release().partition('-')[0]}, {platform.machine()}.\n\n"
    page += "| suite | Debian package | commands run | tests | passed in all three | as in bubblewrap | refused on purpose |\n"
    page += "|---|---|---|---|---|---|---|\n"
    for suite in suites:
        page += summary(suite, [facts for facts in found if facts.suite == suite.name])
    for suite in suites:
        page += section(suite, [one for facts in found if facts.suite == suite.name for one in facts.differences])
    return page


def version(package: str) -> str:
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return f"{package} {done.stdout}" if done.returncode == 0 else package


def summary(suite: Suite, found: Sequence[Facts]) -> str:
    tests = sum(len({test for outcomes in facts.outcomes.values() for test in outcomes}) for facts in found)
    passed = sum(all(outcomes.get(test) == "passed" for outcomes in facts.outcomes.values())
                 for facts in found for test in facts.outcomes["jail"])
    differ = sum(len(facts.differences) for facts in found)
    run = f"{len(found)} of {len(suite.items)}"
    return f"| {suite.name} | {suite.version or version(suite.package)} | {run} | {tests} | {passed} | {tests - differ} | {differ} |\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def section(suite: Suite, differences: Sequence[Difference]) -> str:
    if not differences:
        return f"\n## {suite.name}\n\nNothing differs.\n"
    head = f"\n## {suite.name}\n\n| test | bare | bubblewrap | jail | call | answer | why | rule | allowed by |\n|---|---|---|---|---|---|---|---|---|\n"
    return head + "".join(rows(differences))


def rows(differences: Sequence[Difference]) -> Iterator[str]:
    """Tests that differ in the same way for the same reasons share a row; a further reason has one of its own."""
    alike: dict[tuple[object, ...], list[Difference]] = {}
    for one in differences:
        alike.setdefault((one.bare, one.bubblewrap, one.jail, one.refusals), []).append(one)
    for same in sorted(alike.values(), key=lambda same: same[0].test):
        first = same[0]
        tests = ", ".join(f"`{one.test}`" for one in same)
        seen = f"{first.bare} | {first.bubblewrap} | {first.jail}"
        by_rule: dict[tuple[object, ...], list[str]] = {}
        for refusal in first.refusals:
            allowed = ", ".join(f"`{name}`" for name in refusal.allowed_by) or "none"
            calls = by_rule.setdefault((refusal.answer, refusal.why, refusal.rule, allowed), [])
            if refusal.call not in calls:
                calls.append(refusal.call)
        for (answer, why, rule, allowed), calls in by_rule.items():
            yield f"| {tests} | {seen} | {', '.join(calls)} | `{answer}` | {cell(str(why))} | {rule} | {allowed} |\n"
            tests, seen = "", " | | "
