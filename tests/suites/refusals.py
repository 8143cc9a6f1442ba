"""Why a test ends otherwise in a jail than in bubblewrap: the calls that the profile's filter refuses it. Found by running it in
bubblewrap under that same filter, traced from outside, and asking `sandboxd-profile decide` about each call that failed."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from filters import Rules
from programs import Item, Suite
from ways import TMPFS, UID, Ways, run_until

FAILED = re.compile(r"^(\w+)\((.*)\)\s+= -1 (E\w+)")
CALL = re.compile(r"^(\w+)\(.*\)\s+= (?:-1 (E\w+)|\S)")
Failed = set[tuple[str, str, str]]  # call, arguments, error
Answers = dict[str, set[str]]  # of each call: the errors, "" for a success
CONFINED = re.compile(r"^(?:prctl\(0x16, 0x2|seccomp\(0x1)[,)].*= 0")


# What a jail's file system leaves out on purpose, whatever the profile: bubblewrap shows it read-only.
HIDDEN = {"/sys": "the rest of it is about the host's devices and kernel: a jail sees the list of processors and its own cgroup"}
# bubblewrap's tmpfs may take half of the host's memory each.
BOUNDED = "what lies in a tmpfs is the host's memory: each has the size that the profile gives it, all together at most scratch_max"


@dataclass(frozen=True, order=True)
class Refusal:
    """A call that a rule refused; `answer` as the rule has it."""
    call: str
    answer: str
    when: str
    why: str
    rule: str
    allowed_by: tuple[str, ...]


@dataclass(frozen=True)
class Cause:
    outcome: str  # in bubblewrap, under the profile's filter
    refusals: tuple[Refusal, ...]


class Judge:
    """`programs`: where sandboxd-profile is."""

    def __init__(self, programs: pathlib.Path, ways: Ways, profile: str) -> None:
        self.tool = programs / "sandboxd-profile"
        self.ways = ways
        self.profile = profile
        self.filter = ways.top / f"{profile}.bpf"
        subprocess.run([self.tool, "compile", "--output", self.filter, profile], check=True)
        said = json.loads(subprocess.run([self.tool, "show", profile], check=True, capture_output=True, text=True).stdout)
        self.unix_sockets = said["unix_sockets"]
        self.sizes = sizes_of(said)
        self.profiles = programs.parent / "share/sandboxd/profiles"
        self.rules = Rules(programs.parent / "share/sandboxd/filters", said["filter"])

    def causes(self, suite: Suite, item: Item, tests: Sequence[str]) -> dict[str, Cause]:
        """Of each of an item's tests."""
        narrow = suite.only(item, tests)
        under_all = self.outcomes_under(suite, narrow, self.filter)
        failed = self.traced(suite, narrow, confined=True)[0]
        answers = self.traced(suite, narrow, confined=False)[1]
        refusals = sorted(set(self.refused(sorted(failed))))
        under_one = {call: self.outcomes_without(suite, narrow, call) for call in sorted({one.call for one in refusals})}
        # Where no call alone makes the difference, all of them do, but those that the kernel answers in the same way.
        same = {(call, f"errno {error}") for call, errors in answers.items() for error in errors if len(errors) == 1}
        telling = tuple(one for one in refusals if (one.call, one.answer) not in same)
        causes = {}
        for test in tests:
            outcome = under_all.get(test, "missing")
            enough = tuple(one for one in refusals if under_one[one.call].get(test, "missing") == outcome)
            causes[test] = Cause(outcome, enough or telling)
        return causes

    def mounts(self, suite: Suite, item: Item, tests: Sequence[str]) -> dict[str, Cause]:
        """Of those tests that end otherwise in bubblewrap where its mounts are a jail's."""
        narrow = suite.only(item, tests)
        shown = self.outcomes_under(suite, narrow, self.filter)
        causes: dict[str, Cause] = {}
        for options, refusal in self.differing_mounts():
            found = self.outcomes_under(suite, narrow, self.filter, *options)
            changed = [test for test in tests if found.get(test) != shown.get(test)]
            if changed and "--size" in options:
                refusal = replace(refusal, allowed_by=tuple(self.profiles_with_room(suite, narrow, options, {test: shown.get(test) for test in changed})))
            causes |= {test: Cause(found.get(test, "missing"), (refusal,)) for test in changed}
        return causes

    def differing_mounts(self) -> Iterator[tuple[Sequence[str], Refusal]]:
        """bubblewrap's options that make such a mount, and what it refuses."""
        for place, why in HIDDEN.items():
            yield ("--tmpfs", place), Refusal(f"files of {place}", "errno ENOENT", "", why, "mounts of a jail", ())
        for place in sorted(self.sizes.keys() & set(TMPFS)):
            refusal = Refusal(f"room in {place}", "errno ENOSPC", "", BOUNDED, f"{self.profile}: tmpfs", ())
            yield ("--size", str(self.sizes[place]), "--tmpfs", place), refusal

    def profiles_with_room(self, suite: Suite, item: Item, options: Sequence[str], wanted: Mapping[str, str | None]) -> Iterator[str]:
        """The shipped profiles whose tmpfs at that place is large enough for these outcomes."""
        place = options[-1]
        by_size: dict[int, list[str]] = {}
        for name in sorted(file.stem for file in self.profiles.glob("*.json")):
            said = json.loads(subprocess.run([self.tool, "show", name], check=True, capture_output=True, text=True).stdout)
            by_size.setdefault(sizes_of(said).get(place, 0), []).append(name)
        for size, names in by_size.items():
            if size > self.sizes[place]:
                found = self.outcomes_under(suite, item, self.filter, "--size", str(size), "--tmpfs", place)
                if all(found.get(test) == outcome for test, outcome in wanted.items()):
                    yield from names

    def outcomes_without(self, suite: Suite, item: Item, call: str) -> dict[str, str]:
        """In bubblewrap, where this call alone is filtered, as the profile does."""
        with tempfile.TemporaryDirectory(dir=self.ways.top) as holder:
            source, compiled = pathlib.Path(holder, "only.json"), pathlib.Path(holder, "only.bpf")
            source.write_text(json.dumps(self.rules.only(call)))
            subprocess.run([self.tool, "compile", "--unix-sockets", self.unix_sockets, "--output", compiled, source], check=True)
            return self.outcomes_under(suite, item, compiled)

    def outcomes_under(self, suite: Suite, item: Item, compiled: pathlib.Path, *options: str) -> dict[str, str]:
        work = self.ways.directory(item.files)
        with compiled.open("rb") as program:
            command = [*self.ways.bubblewrap(work, *options)[:-1], "--seccomp", str(program.fileno()), "--", *item.command]
            ended = run_until(command, suite.seconds, pass_fds=[program.fileno()], **self.ways.caller(work))
        shutil.rmtree(work, ignore_errors=True)
        return suite.outcomes(item, ended)

    def refused(self, failed: Sequence[tuple[str, str, str]]) -> Iterator[Refusal]:
        lines = [f"{call} {arguments.replace(',', ' ')}" for call, arguments, _ in failed]
        done = subprocess.run([self.tool, "decide", "--profile", self.profile], input="".join(f"{line}\n" for line in lines),
                              check=True, capture_output=True, text=True)
        for (call, _, error), line in zip(failed, done.stdout.splitlines(), strict=True):
            said = json.loads(line)
            if said["action"] == f"errno {error}":
                rule = f"{pathlib.Path(said['file']).stem}: {said.get('group', call)}"
                yield Refusal(call, said["action"], said.get("when", ""), said["why"], rule, tuple(said["allowed_by"]))

    def traced(self, suite: Suite, item: Item, *, confined: bool) -> tuple[Failed, Answers]:
        """The calls that failed, and how each call was answered."""
        work = self.ways.directory(item.files)
        with tempfile.TemporaryDirectory(dir=self.ways.top) as holder, self.filter.open("rb") as program:
            logs = pathlib.Path(holder)
            subprocess.run(["chown", str(UID), logs], check=True)
            jail = self.ways.bubblewrap(work)
            command = [*jail[:-1], *(["--seccomp", str(program.fileno())] if confined else []), "--", *item.command]
            tracer = ["strace", "-ff", "-qqq", "-o", str(logs / "log"), "-e", "raw=all", "-e", "signal=none", "--"]
            run_until([*tracer, *command], suite.seconds * 3, pass_fds=[program.fileno()], **self.ways.caller(work))
            shutil.rmtree(work, ignore_errors=True)
            return calls_in(logs)


def sizes_of(profile: dict[str, Any]) -> dict[str, int]:
    """What each tmpfs may hold, in bytes."""
    return {tmpfs["path"]: tmpfs["size"] for tmpfs in profile["tmpfs"]}


def calls_in(logs: pathlib.Path) -> tuple[Failed, Answers]:
    failed: Failed = set()
    answers: Answers = {}
    # The lowest number is bubblewrap itself, outside.
    for log in sorted(logs.iterdir(), key=lambda path: int(path.suffix[1:]))[1:]:
        lines = log.read_text(errors="replace").splitlines()
        start = max((at for at, line in enumerate(lines[:400]) if CONFINED.match(line)), default=-1)
        for line in lines[start + 1:]:
            if (found := CALL.match(line)) and not found[1].startswith("syscall_"):
                answers.setdefault(found[1], set()).add(found[2] or "")
            if (found := FAILED.match(line)) and not found[1].startswith("syscall_"):
                failed.add((found[1], found[2], found[3]))
    return failed, answers
