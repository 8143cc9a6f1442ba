"""From keyword arguments to the JobSpec and ExecSpec of org.sandboxd.Jail. The caller's files and directories are opened here, with
the caller's rights; whoever builds a spec closes it."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, FrozenSet, List, Literal, Mapping, Optional, Sequence, Tuple, TypedDict, Union, cast

from ._bytes import Text, to_json
from .model import Bind, Tmpfs, WindowSize

USEC = 1_000_000
Tty = Union[bool, WindowSize, Tuple[int, int]]


class Limits(TypedDict, total=False):
    """Bytes, seconds, cores, counts. None: no limit, where the profile allows that. See LIMITS in sandboxctl(1)."""

    memory_max: Optional[int]
    memory_high: Optional[int]
    memory_swap_max: Optional[int]
    cpu_max: Optional[float]
    cpu_weight: int
    pids_max: int
    io_max_rbps: Optional[int]
    io_max_wbps: Optional[int]
    io_max_riops: Optional[int]
    io_max_wiops: Optional[int]
    nofile: int
    file_size_max: Optional[int]
    scratch_max: Optional[int]
    inodes_max: Optional[int]
    output_max: Optional[int]
    wall_time: Optional[float]
    cpu_time: Optional[float]
    idle_time: Optional[float]


_NO_SWAP_LIMIT = 2**63 - 1  # of memory_swap_max 0 is no swap


class _Common(TypedDict, total=False):
    env: Mapping[Any, Any]  # names and values: str or bytes
    workdir: Text
    timeout: float  # seconds; the job is killed after this long
    merge_stderr: bool
    tty: Tty
    log: bool
    explain_denials: bool  # lines on standard error for what the filter refuses; see why()


class JobOptions(_Common, total=False):
    """What run, popen, spawn, create and explain take beside argv."""

    profile: str
    name: str
    workspace: Union[Text, Bind]  # a path is shown read-only
    binds: Sequence[Union[Text, Bind]]
    root: Text  # a directory, or "host"
    tmpfs: Sequence[Union[Text, Tmpfs]]
    dirs: Sequence[Text]
    hostname: str
    user_root: bool
    network: Literal["none", "host"]
    labels: Mapping[str, str]
    preset: str
    limits: Limits
    mount_namespace: bool  # hand in this process's too: needed where its mounts are not the daemon's


class SessionOptions(JobOptions, total=False):
    """What create takes."""

    session_ttl: float  # seconds


class ExecOptions(_Common, total=False):
    """What exec, popen and spawn of a session take beside argv."""

    nofile: int
    file_size_max: int
    output_max: int
    survivors: Literal["kill", "keep"]


_COMMON = frozenset(_Common.__annotations__)
_SESSION = _COMMON | frozenset(SessionOptions.__annotations__)
_JOB = _SESSION - {"session_ttl"}
_EXEC = _COMMON | frozenset(ExecOptions.__annotations__)


def usec(seconds: float) -> int:
    if not seconds > 0:
        raise ValueError(f"a time must be more than 0, not {seconds!r}")
    return max(1, round(seconds * USEC))


def window_size(value: Union[WindowSize, Tuple[int, int], bool]) -> Dict[str, int]:
    if isinstance(value, bool):
        size = WindowSize()
    else:
        size = value if isinstance(value, WindowSize) else WindowSize(*value)
    return {"rows": size.rows, "columns": size.columns}


class Spec:
    """A spec in JSON and the descriptors that it names by index. Closing it closes them."""

    def __init__(self) -> None:
        self.json: Dict[str, Any] = {}
        self.fds: List[int] = []
        self.mount_namespace = False

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.pop())

    def __enter__(self) -> Spec:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, source: Text, directory: bool) -> int:
        """The index of what was opened."""
        # Not blocking: a FIFO without a writer would hold the open for ever (fifo(7)).
        flags = os.O_RDONLY | os.O_CLOEXEC | (os.O_DIRECTORY if directory else os.O_NONBLOCK | os.O_NOCTTY)
        fd = os.open(source, flags)
        self.fds.append(fd)
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise ValueError(f"{os.fsdecode(source)!r} is neither a regular file nor a directory")
        return len(self.fds) - 1


def _check_names(given: Mapping[str, Any], known: FrozenSet[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise TypeError(f"unknown argument {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _argv(argv: Sequence[Text]) -> List[Any]:
    if isinstance(argv, (str, bytes)) or not argv:
        raise TypeError("argv must be a list of the program and its arguments, not empty")
    return [to_json(argument) for argument in argv]


def _bind(spec: Spec, given: Union[Text, Bind], directory: bool) -> Dict[str, Any]:
    bind = given if isinstance(given, Bind) else Bind(given)
    source = os.path.realpath(bind.source)
    target = bind.target if bind.target is not None else cast(Text, source)
    return {"fd": spec.open(cast(Text, source), directory), "target": to_json(target), "access": "rw" if bind.writable else "ro"}


def _put_common(out: Dict[str, Any], options: Mapping[str, Any]) -> None:
    if options.get("env"):
        out["env"] = [{"name": to_json(name), "value": to_json(value)} for name, value in options["env"].items()]
    if options.get("workdir") is not None:
        out["workdir"] = to_json(options["workdir"])
    if options.get("timeout") is not None:
        out["wall_time"] = usec(options["timeout"])
    tty = options.get("tty")
    if tty is not None and tty is not False:
        out["tty"] = window_size(tty)
    for flag in ("merge_stderr", "log", "explain_denials"):
        if options.get(flag):
            out[flag] = True


def _put_places(spec: Spec, options: Mapping[str, Any]) -> None:
    out = spec.json
    if options.get("workspace") is not None:
        out["workspace"] = _bind(spec, options["workspace"], directory=True)
    if options.get("binds"):
        out["binds"] = [_bind(spec, bind, directory=False) for bind in options["binds"]]
    root = options.get("root")
    if root == "host":
        out["root"] = "host"
    elif root is not None:
        out["root"] = "directory"
        out["root_fd"] = spec.open(root, directory=True)
    if options.get("tmpfs"):
        places = [place if isinstance(place, Tmpfs) else Tmpfs(place) for place in options["tmpfs"]]
        out["tmpfs"] = [{"path": to_json(place.path), **({} if place.size is None else {"size": place.size})} for place in places]
    if options.get("dirs"):
        out["dirs"] = [to_json(path) for path in options["dirs"]]


def limits_json(limits: Mapping[str, Any]) -> Dict[str, int]:
    _check_names(limits, frozenset(Limits.__annotations__))
    out: Dict[str, int] = {}
    for name, value in limits.items():
        if value is None:
            out[name] = _NO_SWAP_LIMIT if name == "memory_swap_max" else 0
        elif name.endswith("_time"):
            out[name] = usec(value)
        else:
            out[name] = round(value * 1000) if name == "cpu_max" else value
    return out


def job_spec(argv: Optional[Sequence[Text]], options: Mapping[str, Any], stdio: Optional[str] = None, detach: bool = False,
             stdin_data: Optional[bytes] = None) -> Spec:
    """argv None: a session's."""
    _check_names(options, _SESSION if argv is None else _JOB)
    spec = Spec()
    try:
        if argv is not None:
            spec.json["argv"] = _argv(argv)
        _put_common(spec.json, options)
        _put_places(spec, options)
        if options.get("limits"):
            spec.json["limits"] = limits_json(options["limits"])
        for name in ("profile", "name", "hostname", "network", "user_root", "labels", "preset"):
            if options.get(name) is not None:
                spec.json[name] = dict(options[name]) if name == "labels" else options[name]
        if options.get("session_ttl") is not None:
            spec.json["session_ttl"] = usec(options["session_ttl"])
        spec.mount_namespace = bool(options.get("mount_namespace"))
        _put_streams(spec.json, stdio, detach, stdin_data)
    except BaseException:
        spec.close()
        raise
    return spec


def exec_spec(argv: Sequence[Text], options: Mapping[str, Any], stdio: Optional[str] = None, detach: bool = False,
              stdin_data: Optional[bytes] = None) -> Dict[str, Any]:
    _check_names(options, _EXEC)
    out: Dict[str, Any] = {"argv": _argv(argv)}
    _put_common(out, options)
    for name in ("nofile", "file_size_max", "output_max", "survivors"):
        if options.get(name) is not None:
            out[name] = options[name]
    _put_streams(out, stdio, detach, stdin_data)
    return out


def _put_streams(out: Dict[str, Any], stdio: Optional[str], detach: bool, stdin_data: Optional[bytes]) -> None:
    if stdio is not None:
        out["stdio"] = stdio
    if detach:
        out["detach"] = True
    if stdin_data is not None:
        out["stdin_data"] = to_json(stdin_data)
