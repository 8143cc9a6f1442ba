"""What was seen."""
from dataclasses import dataclass

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
    outcomes: dict[str, dict[str, str]]
    differences: list[Difference]
