#!/usr/bin/env python3
"""docs/compatibility.md gives the reasons that the filters' files give today.

usage: page_test.py DIRECTORY_OF_THE_PROJECT"""
import json
import pathlib
import sys
import tempfile
import unittest
from collections.abc import Iterator

from facts import Difference, Facts, facts_in, line_of
from page import cell
from refusals import BOUNDED, HIDDEN, Refusal

TOP = pathlib.Path(sys.argv.pop(1))
COLUMNS = ["test", "bare", "bubblewrap", "jail", "call", "answer", "why", "rule", "allowed by"]


def rows() -> Iterator[dict[str, str]]:
    for line in (TOP / "docs/compatibility.md").read_text().splitlines():
        cells = [text.strip() for text in line.replace("\\|", "\0").strip("|").split("|")]
        if line.startswith("| ") and len(cells) == len(COLUMNS) and cells != COLUMNS:
            yield dict(zip(COLUMNS, (text.replace("\0", "\\|") for text in cells), strict=True))


class Page(unittest.TestCase):
    def test_every_reason_is_a_rules(self) -> None:
        reasons = {cell(why) for why in (*HIDDEN.values(), BOUNDED)}
        for file in (TOP / "seccomp-profiles/filters").glob("*.json"):
            said = json.loads(file.read_text())
            reasons |= {cell(rule["why"]) for rule in said["rules"] if "why" in rule} | {cell(said.get("default", {}).get("why", ""))}
        found = list(rows())
        self.assertGreater(len(found), 5)
        for row in found:
            self.assertIn(row["why"], reasons, f"make the page anew: tests/suites/compare.py --long --page ({row})")

    def test_every_profile_that_allows_is_there(self) -> None:
        names = {f"`{file.stem}`" for file in (TOP / "seccomp-profiles/profiles").glob("*.json")}
        for row in rows():
            self.assertLessEqual(set(row["allowed by"].split(", ")) - {"none"}, names, row)

    def test_a_run_goes_on_with_the_facts_of_an_earlier_one(self) -> None:
        refusal = Refusal("socket", "errno EAFNOSUPPORT", "", "a reason", "default-rules: socket", ("host-network",))
        seen = {"bare": {"a": "passed"}, "bubblewrap": {"a": "passed"}, "jail": {"a": "failed"}}
        facts = [Facts("some", "item", seen, [Difference("some", "item", "a", "passed", "passed", "failed", "failed", (refusal,))]),
                 Facts("some", "other", seen, [])]
        with tempfile.TemporaryDirectory() as holder:
            file = pathlib.Path(holder, "facts")
            self.assertEqual(facts_in(file), [])
            file.write_text("".join(line_of(one) for one in facts))
            self.assertEqual(facts_in(file), facts)


if __name__ == "__main__":
    unittest.main()
