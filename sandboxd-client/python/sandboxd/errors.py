"""What can go wrong: one class for each error of the daemon's interfaces, with its fields, and a few of the client's own. All of
them are SandboxdErrors."""

from __future__ import annotations

import errno as errno_names
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping

from ._bytes import from_json

if TYPE_CHECKING:
    from .model import Completed


class SandboxdError(Exception):
    """The base of all errors of this package."""


class ProtocolError(SandboxdError):
    """What the daemon sent is not what its interface says."""


class ConnectionLost(SandboxdError, ConnectionError):
    """The daemon can't be reached, or closed the connection."""


class DeadlineExpired(SandboxdError, TimeoutError):
    """The daemon did not answer in time. It says nothing about the job, whose own time limit is a verdict of its report."""


class BrokerRefused(SandboxdError):
    """The broker did not take the files and directories that were handed in."""


class UnsafeArchive(SandboxdError):
    """A tar stream from a jail holds what must not be unpacked; nothing of it was."""


class JobFailed(SandboxdError):
    """With check=True: the job ended otherwise than with exit code 0."""

    def __init__(self, completed: Completed) -> None:
        super().__init__(completed.report.summary())
        self.completed = completed


class DaemonError(SandboxdError):
    """An error reply: its name, and its parameters as they came."""

    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        self.name = name
        self.parameters: Dict[str, Any] = dict(parameters)
        super().__init__(self._text())

    def _text(self) -> str:
        fields = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"{self.name}({fields})"

    def _string(self, key: str) -> str:
        value = self.parameters.get(key)
        return value if isinstance(value, str) else ""

    def _number(self, key: str) -> int:
        value = self.parameters.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0


class Denied(DaemonError):
    """The caller may not have what it asks for: rule forbids it, allowed is the most that would be granted."""

    @property
    def rule(self) -> str:
        return self._string("rule")

    @property
    def allowed(self) -> str:
        return self._string("allowed")

    def _text(self) -> str:
        return f"denied by rule {self.rule!r}" + (f": allowed is {self.allowed}" if self.allowed else "")


class SetupFailed(DaemonError):
    """The jail or the job could not be set up; nothing of the job has run. errno is 0 when no system call failed."""

    @property
    def step(self) -> str:
        return self._string("step")

    @property
    def errno(self) -> int:
        return self._number("errno")

    @property
    def detail(self) -> str:
        return self._string("detail")

    def _text(self) -> str:
        reason = f" ({_errno_text(self.errno)})" if self.errno else ""
        return f"failed at {self.step!r}: {self.detail}{reason}"


class InvalidArgument(DaemonError):
    """The call is malformed at path, a JSON pointer."""

    @property
    def path(self) -> str:
        return self._string("path")

    @property
    def value(self) -> str:
        return self._string("value")

    @property
    def expected(self) -> str:
        return self._string("expected")

    def _text(self) -> str:
        found = f": {self.value}" if self.value else ""
        return f"invalid argument at {self.path!r}{found}; expected {self.expected}"


class NotFound(DaemonError):
    """There is no such thing, or it is another user's."""

    @property
    def what(self) -> str:
        return self._string("what")

    @property
    def missing(self) -> str:
        """The name of what there is none of."""
        return self._string("name")

    def _text(self) -> str:
        return f"no {self.what} {self.missing!r}"


class LimitReached(DaemonError):
    """A limit of this user or of the host is reached."""

    @property
    def limit(self) -> str:
        return self._string("limit")

    @property
    def most(self) -> int:
        return self._number("most")

    @property
    def scope(self) -> str:
        return self._string("scope")

    def _text(self) -> str:
        return f"limit {self.limit!r} of this {self.scope} is reached (at most {self.most})"


class Unavailable(DaemonError):
    """A part of the daemon, or the space that its audit log needs, is missing: nothing was started."""

    @property
    def what(self) -> str:
        return self._string("what")

    @property
    def detail(self) -> str:
        return self._string("detail")

    def _text(self) -> str:
        return f"{self.what} is not available" + (f": {self.detail}" if self.detail else "")


class _FileError(DaemonError):
    @property
    def path(self) -> bytes:
        try:
            return from_json(self.parameters.get("path"))
        except ValueError:
            return b""

    @property
    def detail(self) -> str:
        return self._string("detail")


class FileFailed(_FileError):
    """A file operation in a jail failed as it would for a job there."""

    @property
    def operation(self) -> str:
        return self._string("operation")

    @property
    def errno(self) -> int:
        return self._number("errno")

    def _text(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.operation} {os.fsdecode(self.path)!r}: {_errno_text(self.errno)}{detail}"


class FileRefused(_FileError):
    """A bound of a file operation was reached; nothing was left half done."""

    @property
    def limit(self) -> str:
        return self._string("limit")

    def _text(self) -> str:
        return f"refused by limit {self.limit!r} at {os.fsdecode(self.path)!r}: {self.detail}"


def _errno_text(code: int) -> str:
    return f"{os.strerror(code)} ({errno_names.errorcode.get(code, code)})"


_BY_NAME: Dict[str, Callable[[str, Mapping[str, Any]], DaemonError]] = {
    "org.sandboxd.Denied": Denied,
    "org.sandboxd.SetupFailed": SetupFailed,
    "org.sandboxd.InvalidArgument": InvalidArgument,
    "org.sandboxd.NotFound": NotFound,
    "org.sandboxd.LimitReached": LimitReached,
    "org.sandboxd.Unavailable": Unavailable,
    "org.sandboxd.Files.Failed": FileFailed,
    "org.sandboxd.Files.Refused": FileRefused,
}


def daemon_error(name: str, parameters: Mapping[str, Any]) -> DaemonError:
    """The exception of an error reply; a DaemonError where the name is none of ours."""
    return _BY_NAME.get(name, DaemonError)(name, parameters)
