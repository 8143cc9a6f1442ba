"""Calls of the plain client with many replies, one at a time."""

from __future__ import annotations

from typing import Any, Callable, Dict, Generic, Iterator, List, Optional, TypeVar, Union

from ._connection import Connection, Pool
from ._deadline import Deadline
from .errors import SandboxdError
from .model import Event, Fields, Gap

T = TypeVar("T")


class Replies:
    """Reads the replies of one call with 'more'. After the last one the connection is kept for another call."""

    def __init__(self, pool: Pool, connection: Connection, method: str) -> None:
        self._pool = pool
        self._connection: Optional[Connection] = connection
        self._method = method

    @classmethod
    def start(cls, pool: Pool, method: str, parameters: Dict[str, Any], deadline: Deadline) -> Replies:
        connection = pool.take(deadline)
        try:
            connection.send(method, parameters, deadline, more=True)
        except BaseException:
            connection.close()
            raise
        return cls(pool, connection, method)

    def next(self, deadline: Deadline) -> Optional[Fields]:
        """None: there is none after the last."""
        if self._connection is None:
            return None
        try:
            reply = self._connection.receive(deadline).checked()
        except SandboxdError:
            self.close()
            raise
        if not reply.continues:
            self._pool.give_back(self._connection)
            self._connection = None
        return Fields(reply.parameters)

    def take_fds(self) -> List[int]:
        return self._connection.take_fds() if self._connection is not None else []

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Stream(Generic[T]):
    """Iterates over what a call's replies hold; for a while at most with next(). Close it, or use it in a with-block."""

    def __init__(self, replies: Replies, parse: Callable[[Fields], Optional[T]]) -> None:
        self._replies = replies
        self._parse = parse

    def next(self, timeout: Optional[float] = None) -> Optional[T]:
        """None: the end. DeadlineExpired closes the stream."""
        deadline = Deadline(timeout, "wait for the next reply")
        while True:
            fields = self._replies.next(deadline)
            if fields is None:
                return None
            value = self._parse(fields)
            if value is not None:
                return value

    def __iter__(self) -> Iterator[T]:
        while True:
            value = self.next()
            if value is None:
                return
            yield value

    def close(self) -> None:
        self._replies.close()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EventCursor:
    """Where a stream of events is: give cursor and epoch to events() to go on there."""

    def __init__(self, after: Optional[int], epoch: Optional[str]) -> None:
        self.cursor = after
        self.epoch = epoch

    def parse(self, fields: Fields) -> Union[Event, Gap, None]:
        if fields.has("gap"):
            return Gap(fields.number("gap"))
        if not fields.has("event"):
            return None
        event = Event.from_fields(fields.object("event"))
        self.cursor, self.epoch = event.cursor, event.epoch
        return event


class Events(Stream[Union[Event, Gap]]):
    def __init__(self, replies: Replies, place: EventCursor) -> None:
        super().__init__(replies, place.parse)
        self._place = place

    @property
    def cursor(self) -> Optional[int]:
        return self._place.cursor

    @property
    def epoch(self) -> Optional[str]:
        return self._place.epoch
