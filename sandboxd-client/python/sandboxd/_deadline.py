"""A moment in time up to which to wait (CLOCK_MONOTONIC), or none."""

from __future__ import annotations

import time
from typing import Optional

from .errors import DeadlineExpired


class Deadline:
    def __init__(self, seconds: Optional[float], what: str) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds
        self._seconds = seconds
        self._what = what

    def left(self) -> Optional[float]:
        """Seconds, more than 0; None: for ever. Raises DeadlineExpired."""
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.expired()
        return left

    def expired(self) -> DeadlineExpired:
        return DeadlineExpired(f"{self._what}: not done within {self._seconds:g} seconds")
