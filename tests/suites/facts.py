"""What was seen, and the file of it: a line of JSON each item, written as it ends, so that a run of hours may be gone on with."""
import json
import pathlib
from dataclasses import asdict, dataclass

from refusals import Refusal


@dataclass(frozen=True)
class Difference:
    """A test that ends otherwise in the jail than in bubblewrap; `filtered`: in bubblewrap, under the jail's filter."""
    suite: str
    item: str
    test: str
    bare: str
    bubblewrap: str
    jail: str
    filtered: str
    refusals: tuple[Refusal, ...]

    @property
    def is_on_purpose(self) -> bool:
        return self.filtered == self.jail and bool(self.refusals)


@dataclass(frozen=True)
class Facts:
    """Of one item: each way's outcomes by test, and what differs."""
    suite: str
    item: str
    outcomes: dict[str, dict[str, str]]
    differences: list[Difference]


def facts_in(file: pathlib.Path) -> list[Facts]:
    """Empty where the file isn't there yet."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [facts_of(line) for line in lines]


def facts_of(line: str) -> Facts:
    said = json.loads(line)
    found = []
    for one in said["differences"]:
        refusals = tuple(Refusal(**{**refusal, "allowed_by": tuple(refusal["allowed_by"])}) for refusal in one["refusals"])
        found.append(Difference(**{**one, "refusals": refusals}))
    return Facts(said["suite"], said["item"], said["outcomes"], found)


def line_of(facts: Facts) -> str:
    return json.dumps(asdict(facts)) + "\n"
