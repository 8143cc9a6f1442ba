"""What is run in each way, and what its output says: stress-ng's stressors, and the tests of CPython's package `test`."""
import pathlib
import re
import subprocess
import xml.etree.ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ways import Ended

# Of all stressors some, which show one kind of call each; the rest in the long run.
FEW_STRESSORS = ("af-alg", "access", "chmod", "clone", "dev-shm", "dup", "epoll", "eventfd", "fcntl", "fork", "futex", "getrandom",
                 "inotify", "io-uring", "key", "landlock", "memfd", "mknod", "mq", "msg", "personality", "pipe", "ptrace", "pty",
                 "rlimit", "seccomp", "sem-sysv", "shm-sysv", "sigfd", "sock", "sockpair", "splice", "timerfd", "unshare", "vm-rw",
                 "vm-splice", "xattr")
FEW_MODULES = ("test_fcntl", "test_mmap", "test_posix", "test_resource", "test_select", "test_thread")
# They measure time or take hours of it, or test the tree that CPython is built from.
NO_MODULES = frozenset(("test_zipfile64", "test_tools", "test_peg_generator", "test_gdb", "test_idle", "test_tcl", "test_tk", "test_ttk_guionly"))


@dataclass(frozen=True)
class Item:
    """One command; its outcomes go by the names of what it tests."""
    name: str
    command: tuple[str, ...]
    files: tuple[pathlib.Path, ...] = ()


@dataclass
class Suite:
    name: str
    package: str
    seconds: float
    items: list[Item] = field(default_factory=list)
    version: str = ""  # where it isn't that of the package as it is installed

    def outcomes(self, item: Item, ended: Ended) -> dict[str, str]:
        """Of each test: passed, skipped, failed or hung."""
        raise NotImplementedError

    def only(self, item: Item, tests: Sequence[str]) -> Item:
        """The item, reduced to some of its tests."""
        del tests
        return item


def lines_of(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


class Stressors(Suite):
    title = "stress-ng"

    def __init__(self, is_long: bool) -> None:
        super().__init__(self.title, "stress-ng", 15)
        names = lines_of("stress-ng", "--stressors") if is_long else list(FEW_STRESSORS)
        self.items = [Item(name, ("stress-ng", f"--{name}", "1", f"--{name}-ops", "3", "-t", "1", "--temp-path", ".")) for name in names]

    def outcomes(self, item: Item, ended: Ended) -> dict[str, str]:
        if ended.status is None:
            return {item.name: "hung"}
        if "No stress workers invoked" in ended.text or ended.status in (3, 4):
            return {item.name: "skipped"}
        # A stressor may say that a call failed and go on.
        return {item.name: "failed" if ended.status != 0 or re.search(r"^stress-ng: fail:", ended.text, re.MULTILINE) else "passed"}


PYTHON = ("sh", "-c", "python3.11 -m test --junit-xml=tests.xml \"$@\" >log 2>&1; echo \"status $?\"; cat tests.xml || tail -n 20 log", "sh")


class CPython(Suite):
    title = "CPython"

    def __init__(self, is_long: bool) -> None:
        super().__init__(self.title, "libpython3.11-testsuite", 300)
        names = [name for name in lines_of("python3.11", "-m", "test", "--list-tests") if name not in NO_MODULES] if is_long else FEW_MODULES
        self.items = [Item(name, (*PYTHON, name)) for name in names]

    def outcomes(self, item: Item, ended: Ended) -> dict[str, str]:
        return junit_outcomes(item.name, ended)

    def only(self, item: Item, tests: Sequence[str]) -> Item:
        names = sorted({test.partition(" ")[0] for test in tests})
        if item.name in names or len(names) > 200:
            return item
        return Item(item.name, (*item.command, *(word for name in names for word in ("-m", name))))


SEVERITY: Mapping[str, int] = {"passed": 0, "skipped": 1, "failed": 2, "hung": 3}


def worst(outcomes: Sequence[str]) -> str:
    return max(outcomes, key=lambda outcome: SEVERITY[outcome])


def junit_outcomes(name: str, ended: Ended) -> dict[str, str]:
    start = ended.text.find("<testsuites")
    if ended.status is None or start < 0:
        return {name: "hung" if ended.status is None else "failed"}
    found: dict[str, str] = {}
    for case in xml.etree.ElementTree.fromstring(ended.text[start:]).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        test = case.get("name") or name
        found[test] = worst([outcome, found.get(test, "passed")])
    return found or {name: "passed" if "status 0" in ended.text else "skipped"}
