"""varlink's frames (varlink.org): JSON objects, each ended by a NUL byte. Does no I/O: both clients, the plain one and asyncio's,
feed it what they have read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from .errors import ProtocolError, daemon_error

MOST_CALL = 1 << 20  # what the daemon takes
MOST_REPLY = 4 << 20


@dataclass(frozen=True)
class Reply:
    parameters: Dict[str, Any]
    continues: bool = False
    error: Optional[str] = None

    def checked(self) -> Reply:
        """Raises the exception that belongs to an error reply."""
        if self.error is not None:
            raise daemon_error(self.error, self.parameters)
        return self


def encode_call(method: str, parameters: Mapping[str, Any], more: bool = False) -> bytes:
    call: Dict[str, Any] = {"method": method, "parameters": parameters}
    if more:
        call["more"] = True
    frame = json.dumps(call, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    if len(frame) > MOST_CALL:
        raise ValueError(f"call {method!r}: {len(frame)} bytes of arguments, at most {MOST_CALL}")
    return frame + b"\0"


def decode_reply(frame: bytes) -> Reply:
    try:
        value = json.loads(frame.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the daemon's answer is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ProtocolError("the daemon's answer is no JSON object")
    parameters = value.get("parameters")
    continues, error_name = value.get("continues"), value.get("error")
    if parameters is None:
        parameters = {}
    if (not isinstance(parameters, dict) or not (continues is None or isinstance(continues, bool))
            or not (error_name is None or isinstance(error_name, str))):
        raise ProtocolError("the daemon's answer has an ill-typed member")
    return Reply(parameters, bool(continues), error_name)


class FrameReader:
    """Takes bytes as they come, gives whole frames."""

    def __init__(self, most: int = MOST_REPLY) -> None:
        self._most = most
        self._parts: List[bytes] = []
        self._partial = 0
        self._frames: List[bytes] = []
        self._next = 0

    def feed(self, data: bytes) -> None:
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._grow(piece)
            self._frames.append(b"".join(self._parts))
            self._parts, self._partial = [], 0
        self._grow(rest)

    def next(self) -> Optional[bytes]:
        if self._next == len(self._frames):
            return None
        frame = self._frames[self._next]
        self._next += 1
        if self._next == len(self._frames):
            self._frames, self._next = [], 0
        return frame

    @property
    def has_frame(self) -> bool:
        return self._next < len(self._frames)

    @property
    def is_empty(self) -> bool:
        """Nothing is left, not even the beginning of a frame."""
        return self._partial == 0 and self._next == len(self._frames)

    def _grow(self, piece: bytes) -> None:
        self._partial += len(piece)
        if self._partial > self._most:
            raise ProtocolError(f"the daemon's answer exceeds {self._most} bytes")
        if piece:
            self._parts.append(piece)
