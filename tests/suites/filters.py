"""Filters for finding out: all calls allowed but one, which is treated as in a shipped filter."""
import json
import pathlib
from collections.abc import Iterator
from typing import Any

Rule = dict[str, Any]


class Rules:
    """A filter file's rules in order, with those that it includes. `folder`: where the files are."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self.folder = folder
        self.groups: dict[str, dict[str, list[str]]] = {}
        self.rules: list[Rule] = []
        self.read(name)

    def read(self, name: str) -> None:
        text = json.loads((self.folder / f"{name}.json").read_text())
        for group, calls in text.get("groups", {}).items():
            self.groups[group] = {key: calls.get(key, []) for key in ("syscalls", "x86_64", "aarch64")}
        for rule in text["rules"]:
            if "include" in rule:
                self.read(rule["include"])
            else:
                self.rules.append(rule)

    def calls(self, rule: Rule) -> Iterator[tuple[str, str]]:
        """Each call that it names, and the only architecture that has it, or nothing."""
        only = rule.get("architectures", [""])
        for name in rule["syscalls"]:
            if name in self.groups:
                for key, calls in self.groups[name].items():
                    yield from ((call, "" if key == "syscalls" else key) for call in calls)
            else:
                yield name, only[0] if len(only) == 1 else ""

    def only(self, call: str) -> dict[str, Any]:
        """Everything is allowed but what the rules for this call refuse."""
        rules = [{**{key: value for key, value in rule.items() if key != "architectures"}, "syscalls": [call],
                  **({"architectures": [arch]} if arch else {})}
                 for rule in self.rules for name, arch in self.calls(rule) if name == call]
        named = {pair for rule in self.rules for pair in self.calls(rule)}
        for arch in ("", "x86_64", "aarch64"):
            rest = sorted({name for name, of in named if of == arch and name != call})
            if rest:
                rules.append({"syscalls": rest, "action": "allow", "why": "not looked at", **({"architectures": [arch]} if arch else {})})
        answer = {"action": "errno", "errno": "ENOSYS", "why": "as every filter"}
        return {"name": "only", "description": f"refuses {call} alone", "default": answer, "foreign_abi": answer, "rules": rules}
