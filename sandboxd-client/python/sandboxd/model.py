"""What is given and what comes back, as plain values. Times are microseconds (_usec), sizes bytes; what jails say in bytes is bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar, Union

from ._bytes import Text, from_json
from .errors import ProtocolError

T = TypeVar("T")


class Fields:
    """The members of an object of the daemon's, each taken with its type. Members that are not asked for are left alone: a newer
    daemon may have more."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise ProtocolError(f"the daemon's answer has {value!r:.100} where an object is expected")
        self._value: Dict[str, Any] = value

    def _take(self, key: str, kind: type, default: Any = None) -> Any:
        value = self._value.get(key)
        if value is None:
            value = default
        # bool is an int in Python, and is none in JSON.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ProtocolError(f"the daemon's answer has {value!r:.100} as {key!r}")
        return value

    def has(self, key: str) -> bool:
        return self._value.get(key) is not None

    def string(self, key: str, default: Optional[str] = None) -> str:
        return str(self._take(key, str, default))

    def number(self, key: str, default: Optional[int] = None) -> int:
        return int(self._take(key, int, default))

    def boolean(self, key: str, default: Optional[bool] = None) -> bool:
        return bool(self._take(key, bool, default))

    def optional_number(self, key: str) -> Optional[int]:
        return self.number(key) if self.has(key) else None

    def raw(self, key: str) -> bytes:
        return _bytes(self._value.get(key))

    def optional_raw(self, key: str) -> Optional[bytes]:
        return self.raw(key) if self.has(key) else None

    def list(self, key: str, one: Callable[[Any], T]) -> List[T]:
        return [one(each) for each in self._take(key, list, [])]

    def object(self, key: str) -> Fields:
        return Fields(self._value.get(key))

    def mapping(self, key: str) -> Dict[str, Any]:
        return dict(self._take(key, dict, {}))

    def any(self, key: str) -> Any:
        return self._value.get(key)

    def __repr__(self) -> str:
        return f"Fields({self._value!r:.200})"


def _bytes(value: Any) -> bytes:
    try:
        return from_json(value)
    except ValueError as error:
        raise ProtocolError(f"the daemon's answer: {error}") from None


@dataclass(frozen=True)
class Bind:
    """A file or directory of the caller. target: its path in the jail, the same as outside when None."""

    source: Text
    target: Optional[Text] = None
    writable: bool = False


@dataclass(frozen=True)
class Tmpfs:
    """An empty directory in memory. size: the profile's when None."""

    path: Text
    size: Optional[int] = None


@dataclass(frozen=True)
class WindowSize:
    """Of a terminal, in characters."""

    rows: int = 24
    columns: int = 80


@dataclass(frozen=True)
class Usage:
    """What is None is not known: the host has no controller for it, or it is of a jail as a whole."""

    wall_usec: int
    cpu_user_usec: int
    cpu_system_usec: int
    memory_peak: int
    pids_peak: Optional[int] = None
    read_bytes: Optional[int] = None
    written_bytes: Optional[int] = None
    read_operations: Optional[int] = None
    write_operations: Optional[int] = None
    throttled_usec: Optional[int] = None
    throttled_periods: Optional[int] = None
    cpu_pressure_usec: Optional[int] = None
    memory_pressure_usec: Optional[int] = None
    memory_pressure_full_usec: Optional[int] = None
    io_pressure_usec: Optional[int] = None
    io_pressure_full_usec: Optional[int] = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Usage:
        known = fields.optional_number
        return cls(fields.number("wall"), fields.number("cpu_user"), fields.number("cpu_system"), fields.number("memory_peak"),
                   known("pids_peak"), known("read_bytes"), known("written_bytes"), known("read_operations"),
                   known("write_operations"), known("throttled"), known("throttled_periods"), known("cpu_pressure"),
                   known("memory_pressure"), known("memory_pressure_full"), known("io_pressure"), known("io_pressure_full"))


@dataclass(frozen=True)
class JobReport:
    """How a job ended. verdict: exited, signalled, oom, timeout_wall, timeout_cpu, timeout_idle, output_limit, seccomp, killed,
    setup_failed or stuck. job: 0 for a session's jail as a whole."""

    jail: str
    job: int
    profile: str
    profile_hash: str
    verdict: str
    exit_code: Optional[int]
    signal: Optional[int]
    detail: str
    usage: Usage
    unenforced: Tuple[str, ...]
    audit_index: int
    survivors: int
    enforced_by: Mapping[str, str] = field(default_factory=dict)  # the mechanism of each limit

    @classmethod
    def from_fields(cls, fields: Fields) -> JobReport:
        return cls(jail=fields.string("jail"), job=fields.number("job", 1), profile=fields.string("profile"),
                   profile_hash=fields.string("profile_hash"), verdict=fields.string("verdict"),
                   exit_code=fields.optional_number("exit_code"), signal=fields.optional_number("signal"),
                   detail=fields.string("detail", ""), usage=Usage.from_fields(fields.object("usage")),
                   unenforced=tuple(fields.list("unenforced", str)), audit_index=fields.number("audit_index", 0),
                   survivors=fields.number("survivors", 0),
                   enforced_by={one.string("limit"): one.string("by") for one in fields.list("enforced_by", Fields)})

    @property
    def ok(self) -> bool:
        return self.verdict == "exited" and self.exit_code == 0

    def summary(self) -> str:
        """One line for people."""
        if self.verdict == "exited":
            return f"job {self.job} of jail {self.jail} exited with {self.exit_code}"
        number = f" by signal {self.signal}" if self.signal is not None else ""
        return f"job {self.job} of jail {self.jail}: {self.verdict}{number}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class JailInfo:
    """state: starting, running, ending, ended or stuck. in_force: from inspect() only, what was read back from the kernel."""

    jail: str
    name: str
    profile: str
    state: str
    uid: int
    argv: Tuple[bytes, ...]
    argv_cut: bool
    started_usec: int
    report: Optional[JobReport]
    session: bool
    frozen: bool
    labels: Mapping[str, str]
    expires_usec: Optional[int]
    jobs: int
    in_force: Tuple[Tuple[str, str], ...]
    unenforced: Tuple[str, ...] = ()
    profile_hash: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> JailInfo:
        facts = fields.list("in_force", Fields)
        return cls(jail=fields.string("jail"), name=fields.string("name", ""), profile=fields.string("profile"),
                   state=fields.string("state"), uid=fields.number("uid"), argv=tuple(fields.list("argv", _bytes)),
                   argv_cut=fields.boolean("argv_cut", False), started_usec=fields.number("started"),
                   report=_report(fields), session=fields.boolean("session", False),
                   frozen=fields.boolean("frozen", False),
                   labels={name: str(value) for name, value in fields.mapping("labels").items()},
                   expires_usec=fields.optional_number("expires"), jobs=fields.number("jobs", 0),
                   in_force=tuple((fact.string("name"), fact.string("value")) for fact in facts),
                   unenforced=tuple(fields.list("unenforced", str)), profile_hash=fields.string("profile_hash", ""))


@dataclass(frozen=True)
class JailStats:
    """A live jail, now. Limits where it has one; None where the host has no controller."""

    jail: str
    name: str
    profile: str
    frozen: bool
    jobs: int
    usage: Usage
    memory_current: Optional[int]
    pids_current: Optional[int]
    memory_max: Optional[int]
    pids_max: Optional[int]
    cpu_max: Optional[float]

    @classmethod
    def from_fields(cls, fields: Fields) -> JailStats:
        cores = fields.optional_number("cpu_max")
        return cls(jail=fields.string("jail"), name=fields.string("name", ""), profile=fields.string("profile"),
                   frozen=fields.boolean("frozen", False), jobs=fields.number("jobs", 0), usage=Usage.from_fields(fields.object("usage")),
                   memory_current=fields.optional_number("memory_current"), pids_current=fields.optional_number("pids_current"),
                   memory_max=fields.optional_number("memory_max"), pids_max=fields.optional_number("pids_max"),
                   cpu_max=None if cores is None else cores / 1000)


@dataclass(frozen=True)
class Denial:
    """kind: syscall, path, network or limit. error: what the job was told ("EPERM"), empty for a limit. job: 0 where it is not known whose
    it was, or the whole jail's."""

    kind: str
    what: str
    rule: str
    remedy: str
    error: str
    job: int
    count: int
    first_usec: int

    @classmethod
    def from_fields(cls, fields: Fields) -> Denial:
        return cls(kind=fields.string("kind"), what=fields.string("what"), rule=fields.string("rule"), remedy=fields.string("remedy"),
                   error=fields.string("error", ""), job=fields.number("job", 0), count=fields.number("count", 1),
                   first_usec=fields.number("first", 0))


@dataclass(frozen=True)
class Denials:
    """forgotten: older ones that were not kept. untold: refused calls that came too fast to be told one by one."""

    denials: Tuple[Denial, ...]
    forgotten: int
    untold: int

    @classmethod
    def from_fields(cls, fields: Fields) -> Denials:
        return cls(denials=tuple(Denial.from_fields(one) for one in fields.list("denials", Fields)),
                   forgotten=fields.number("forgotten", 0), untold=fields.number("untold", 0))


@dataclass(frozen=True)
class LearnedProfile:
    """Texts of two files. unread: paths that could not be read or named; lost: what there was no room for. With either, the profile
    lets less happen than was seen."""

    profile: str
    filter: str
    unread: int
    lost: int

    @classmethod
    def from_fields(cls, fields: Fields) -> LearnedProfile:
        return cls(profile=fields.string("profile"), filter=fields.string("filter"), unread=fields.number("unread"), lost=fields.number("lost"))


@dataclass(frozen=True)
class JobFailure:
    """Why a job has no report. step: of its start, "killed", or what was not available. errno: 0 for none."""

    step: str
    errno: int
    detail: str


@dataclass(frozen=True)
class JobInfo:
    """state: starting, running or ended. attached: how many clients have its streams. failure: of an ended one, in place of a report."""

    jail: str
    job: int
    state: str
    argv: Tuple[bytes, ...]
    argv_cut: bool
    started_usec: int
    tty: bool
    detached: bool
    attached: int
    report: Optional[JobReport]
    failure: Optional[JobFailure] = None

    @classmethod
    def from_fields(cls, fields: Fields) -> JobInfo:
        return cls(jail=fields.string("jail"), job=fields.number("job"), state=fields.string("state"),
                   argv=tuple(fields.list("argv", _bytes)), argv_cut=fields.boolean("argv_cut", False),
                   started_usec=fields.number("started"), tty=fields.boolean("tty", False),
                   detached=fields.boolean("detached", False), attached=fields.number("attached", 0), report=_report(fields),
                   failure=_failure(fields.object("failure")) if fields.has("failure") else None)


def _failure(fields: Fields) -> JobFailure:
    return JobFailure(fields.string("step"), fields.number("errno"), fields.string("detail"))


def _report(fields: Fields) -> Optional[JobReport]:
    return JobReport.from_fields(fields.object("report")) if fields.has("report") else None


@dataclass(frozen=True)
class Completed:
    """A job that has ended. Where it wrote more than max_output, stdout (stderr) is the beginning, stdout_tail the end, and
    stdout_cut how many bytes between the two were left out."""

    stdout: bytes
    stderr: bytes
    report: JobReport
    stdout_tail: bytes = b""
    stderr_tail: bytes = b""
    stdout_cut: int = 0
    stderr_cut: int = 0

    @property
    def exit_code(self) -> Optional[int]:
        return self.report.exit_code

    @property
    def ok(self) -> bool:
        return self.report.ok

    @property
    def text(self) -> str:
        """stdout as text; what is not UTF-8 is replaced."""
        return self.stdout.decode("utf-8", "replace")


@dataclass(frozen=True)
class Event:
    """A change of a jail's or a job's state. cursor counts for one life of the daemon, which epoch names."""

    cursor: int
    time_usec: int
    epoch: str
    jail: str
    kind: str
    detail: Any
    uid: int

    @classmethod
    def from_fields(cls, fields: Fields) -> Event:
        return cls(fields.number("cursor"), fields.number("time"), fields.string("epoch", ""), fields.string("jail", ""),
                   fields.string("kind"), fields.any("detail"), fields.number("uid", 0))


@dataclass(frozen=True)
class Gap:
    """Events are missing here: so many at least, 0 when that is unknown."""

    missed: int


@dataclass(frozen=True)
class LogPiece:
    """What a job wrote. dropped: how many bytes before it are no longer kept."""

    stream: str
    data: bytes
    dropped: int = 0


@dataclass(frozen=True)
class FileStat:
    """type: file, directory, symlink, fifo, socket or device. mode: the permission bits. It is the jail's word."""

    name: bytes
    type: str
    size: int
    mode: int
    modified_usec: int
    target: Optional[bytes] = None

    @classmethod
    def from_fields(cls, fields: Fields) -> FileStat:
        return cls(fields.raw("name"), fields.string("type"), fields.number("size"), fields.number("mode"),
                   fields.number("modified"), fields.optional_raw("target"))


@dataclass(frozen=True)
class Transfer:
    """What a tar stream moved."""

    files: int
    bytes: int


StrPath = Union[str, "os.PathLike[str]"]
