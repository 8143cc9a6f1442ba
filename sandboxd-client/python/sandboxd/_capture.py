"""The beginning and the end of what a job writes, in bounded memory."""

from __future__ import annotations

from typing import Optional, Tuple


class Capture:
    def __init__(self, most: Optional[int]) -> None:
        """most: bytes kept, three quarters of them the first; None: all."""
        self._head_most = None if most is None else most - most // 4
        self._tail_most = 0 if most is None else most // 4
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        self._total += len(data)
        if self._head_most is None:
            self._head += data
            return
        room = self._head_most - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._tail_most:
            del self._tail[:len(self._tail) - self._tail_most]

    def result(self) -> Tuple[bytes, bytes, int]:
        """(beginning, end, how many bytes between the two are left out); all is in the beginning when nothing is."""
        excess = max(0, len(self._tail) - self._tail_most)
        head, tail = bytes(self._head), bytes(self._tail[excess:])
        cut = self._total - len(head) - len(tail)
        return (head + tail, b"", 0) if cut == 0 else (head, tail, cut)
