"""The calls that have one reply, as values: method, parameters, and what to make of the reply. Both clients make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Generic, List, Mapping, Optional, Tuple, TypeVar, Union

from ._bytes import Text, data_to_json, to_json
from ._spec import USEC, limits_json, usec, window_size
from .model import Denials, FileStat, Fields, JailInfo, JailStats, JobInfo, JobReport, LearnedProfile, LogPiece, Transfer, WindowSize

T = TypeVar("T")
JAIL = "org.sandboxd.Jail."
HOST = "org.sandboxd.Host."
FILES = "org.sandboxd.Files."
MOST_WRITE = 512 << 10  # of a Files.Write


@dataclass(frozen=True)
class Call(Generic[T]):
    method: str
    parameters: Dict[str, Any]
    parse: Callable[[Fields], T]


def _nothing(_: Fields) -> None:
    return None


def _on(jail: str, job: Optional[int] = None, **more: Any) -> Dict[str, Any]:
    out: Dict[str, Any] = {"jail": jail}
    if job is not None:
        out["job"] = job
    out.update({name: value for name, value in more.items() if value is not None})
    return out


def _report(fields: Fields) -> JobReport:
    return JobReport.from_fields(fields.object("report"))


def wait(jail: str, job: Optional[int]) -> Call[JobReport]:
    return Call(JAIL + "Wait", _on(jail, job), _report)


def kill(jail: str, job: Optional[int], signal: Optional[int], grace: Optional[float]) -> Call[None]:
    grace_usec = None if grace is None else round(grace * USEC)
    return Call(JAIL + "Kill", _on(jail, job, signal=signal, grace=grace_usec), _nothing)


def signal_job(jail: str, job: Optional[int], signal: int) -> Call[None]:
    return Call(JAIL + "Signal", _on(jail, job, signal=signal), _nothing)


def resize(jail: str, job: int, rows: int, columns: int) -> Call[None]:
    return Call(JAIL + "Resize", _on(jail, job, size=window_size(WindowSize(rows, columns))), _nothing)


def detach(jail: str, job: int) -> Call[None]:
    return Call(JAIL + "Detach", _on(jail, job), _nothing)


def freeze(jail: str) -> Call[None]:
    return Call(JAIL + "Freeze", _on(jail), _nothing)


def thaw(jail: str) -> Call[None]:
    return Call(JAIL + "Thaw", _on(jail), _nothing)


def extend(jail: str, ttl: float) -> Call[int]:
    return Call(JAIL + "Extend", _on(jail, ttl=usec(ttl)), lambda fields: fields.number("expires"))


def remove(jail: str, force: bool) -> Call[None]:
    return Call(JAIL + "Remove", _on(jail, force=force), _nothing)


def inspect(jail: str) -> Call[JailInfo]:
    return Call(JAIL + "Inspect", _on(jail), lambda fields: JailInfo.from_fields(fields.object("jail")))


def stats(jail: Optional[str]) -> Dict[str, Any]:
    return {} if jail is None else _on(jail)


def why(jail: str) -> Call[Denials]:
    return Call(JAIL + "Why", _on(jail), Denials.from_fields)


def learned(jail: str, name: str) -> Call[LearnedProfile]:
    return Call(JAIL + "Learned", _on(jail, name=name), LearnedProfile.from_fields)


def update(jail: str, limits: Mapping[str, Any]) -> Call[Dict[str, str]]:
    return Call(JAIL + "Update", _on(jail, limits=limits_json(limits)),
                lambda fields: {one.string("name"): one.string("value") for one in fields.list("in_force", Fields)})


def jobs(jail: str) -> Call[List[JobInfo]]:
    return Call(JAIL + "Jobs", _on(jail), lambda fields: [JobInfo.from_fields(one) for one in fields.list("jobs", Fields)])


def create(spec: Dict[str, Any]) -> Call[JailInfo]:
    return Call(JAIL + "Create", {"spec": spec}, lambda fields: JailInfo.from_fields(fields.object("jail")))


def run_detached(spec: Dict[str, Any]) -> Call[JailInfo]:
    return Call(JAIL + "Run", {"spec": spec}, lambda fields: JailInfo.from_fields(fields.object("started")))


def exec_detached(jail: str, spec: Dict[str, Any]) -> Call[JobInfo]:
    return Call(JAIL + "Exec", _on(jail, spec=spec), lambda fields: JobInfo.from_fields(fields.object("started")))


def explain(spec: Dict[str, Any]) -> Call[Dict[str, Any]]:
    return Call(JAIL + "Explain", {"spec": spec}, lambda fields: fields.mapping("plan"))


def info() -> Call[Dict[str, Any]]:
    return Call(HOST + "Info", {}, lambda fields: fields.mapping("info"))


def features() -> Call[Dict[str, Any]]:
    return Call(HOST + "Features", {}, lambda fields: fields.mapping("features"))


def profiles(name: Optional[str]) -> Call[List[Dict[str, Any]]]:
    return Call(HOST + "Profiles", {} if name is None else {"name": name}, lambda fields: fields.list("profiles", dict))


def version() -> Call[Tuple[str, int]]:
    return Call("org.sandboxd.Version", {}, lambda fields: (fields.string("version"), fields.number("protocol")))


def list_piece(fields: Fields) -> List[JailInfo]:
    return [JailInfo.from_fields(one) for one in fields.list("jails", Fields)]


def stats_piece(fields: Fields) -> List[JailStats]:
    return [JailStats.from_fields(one) for one in fields.list("stats", Fields)]


def events(after: Optional[int], epoch: Optional[str], follow: bool) -> Dict[str, Any]:
    out: Dict[str, Any] = {"follow": follow}
    if after is not None:
        out["after"] = after
    if epoch is not None:
        out["epoch"] = epoch
    return out


def logs(jail: str, job: int, follow: bool) -> Dict[str, Any]:
    return _on(jail, job, follow=follow)


def attach(jail: str, job: int, replay: Optional[int]) -> Dict[str, Any]:
    return _on(jail, job, replay=replay)


def log_piece(fields: Fields) -> Optional[LogPiece]:
    """None: the last reply, which has none."""
    if not fields.has("output"):
        return None
    output = fields.object("output")
    return LogPiece(output.string("stream"), output.raw("data"), fields.number("dropped", 0))


# Files. The paths of a jail are bytes.


def read(jail: str, path: Text, offset: int) -> Call[Tuple[bytes, bool]]:
    parameters = _on(jail, path=to_json(path), offset=offset)
    return Call(FILES + "Read", parameters, lambda fields: (fields.raw("data"), fields.boolean("end")))


def write(jail: str, path: Text, data: Union[bytes, memoryview], mode: Optional[int], append: bool, exclusive: bool) -> Call[None]:
    more = {"mode": mode, "append": append or None, "exclusive": exclusive or None}
    return Call(FILES + "Write", _on(jail, path=to_json(path), data=data_to_json(data), **more), _nothing)


def file_stat(jail: str, path: Text, follow: bool) -> Call[FileStat]:
    return Call(FILES + "Stat", _on(jail, path=to_json(path), follow=follow or None), lambda fields: FileStat.from_fields(fields.object("stat")))


def file_remove(jail: str, path: Text, recursive: bool) -> Call[None]:
    return Call(FILES + "Remove", _on(jail, path=to_json(path), recursive=recursive or None), _nothing)


def file_list(jail: str, path: Text) -> Dict[str, Any]:
    return _on(jail, path=to_json(path))


def stat_piece(fields: Fields) -> List[FileStat]:
    return [FileStat.from_fields(one) for one in fields.list("entries", Fields)]


def get(jail: str, path: Text) -> Dict[str, Any]:
    return _on(jail, path=to_json(path))


def put(jail: str, path: Text, size_max: Optional[int], entries_max: Optional[int], depth_max: Optional[int]) -> Dict[str, Any]:
    return _on(jail, path=to_json(path), size_max=size_max, entries_max=entries_max, depth_max=depth_max)


def transfer(fields: Fields) -> Transfer:
    return Transfer(fields.number("files", 0), fields.number("bytes", 0))
