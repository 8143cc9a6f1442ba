"""One varlink connection of the asyncio client, and a few that are kept for the next calls. Cancelling a call closes its connection."""

from __future__ import annotations

import asyncio
import select
import socket
from typing import Any, Awaitable, List, Mapping, Optional, Sequence, TypeVar

from ._ancillary import MOST_FDS, close_all, receive
from ._connection import Connection as PlainConnection
from ._deadline import Deadline
from ._frames import FrameReader, Reply, decode_reply, encode_call
from ._paths import SocketPaths
from .errors import ConnectionLost, ProtocolError, SandboxdError
from .model import Fields

T = TypeVar("T")
_KEPT = 4


async def within(what: Awaitable[T], deadline: Deadline) -> T:
    """Not asyncio.wait_for, which before Python 3.12 loses a cancellation that comes as what it waits for is done."""
    task = asyncio.ensure_future(what)
    try:
        await asyncio.wait({task}, timeout=deadline.left())
        if not task.done():
            raise deadline.expired()
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at, though somebody else's end was first


async def ready(fd: int, writing: bool) -> None:
    """Until the descriptor can be read or written. One waiter for each of the two."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    add(fd, wake)
    try:
        await future
    finally:
        remove(fd)


class Connection:
    def __init__(self, sock: socket.socket, paths: SocketPaths) -> None:
        self._socket = sock
        self._frames = FrameReader()
        self._fds: List[int] = []
        self.paths = paths

    @classmethod
    async def open(cls, pairs: Sequence[SocketPaths], deadline: Deadline) -> Connection:
        # In a thread: connect(2) of a Unix socket whose backlog is full can't be waited for otherwise.
        plain = await asyncio.get_running_loop().run_in_executor(None, PlainConnection.open, pairs, deadline)
        sock = plain.release()
        sock.setblocking(False)
        return cls(sock, plain.paths)

    def close(self) -> None:
        self._socket.close()
        close_all(self._fds)

    async def send(self, method: str, parameters: Mapping[str, Any], deadline: Deadline, more: bool = False) -> None:
        left = memoryview(encode_call(method, parameters, more))
        try:
            while left:
                try:
                    left = left[self._socket.send(left):]
                except BlockingIOError:
                    await within(ready(self._socket.fileno(), writing=True), deadline)
        except SandboxdError:
            raise
        except OSError as error:
            raise ConnectionLost(f"call {method!r}: {error}") from error

    async def receive(self, deadline: Deadline) -> Reply:
        """The next reply, whether it is an error or not."""
        while True:
            frame = self._frames.next()
            if frame is not None:
                return decode_reply(frame)
            if not self._read():
                await within(ready(self._socket.fileno(), writing=False), deadline)

    def _read(self) -> bool:
        try:
            data, fds = receive(self._socket)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConnectionLost(f"read the daemon's answer: {error}") from error
        self._fds += fds
        if len(self._fds) > MOST_FDS:
            raise ProtocolError("the daemon's answer carries too many descriptors")
        if not data:
            raise ConnectionLost("the daemon closed the connection before it answered")
        self._frames.feed(data)
        return True

    def take_fds(self) -> List[int]:
        fds, self._fds = self._fds, []
        return fds

    def is_idle(self) -> bool:
        if self._fds or not self._frames.is_empty:
            return False
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return not poller.poll(0)


class Pool:
    """Idle connections of one event loop."""

    def __init__(self, pairs: Sequence[SocketPaths]) -> None:
        self._pairs = pairs
        self._idle: List[Connection] = []
        self._closed = False

    async def take(self, deadline: Deadline) -> Connection:
        if self._closed:
            raise ConnectionLost("this client is closed")
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle():
                return connection
            connection.close()
        return await Connection.open(self._pairs, deadline)

    def give_back(self, connection: Connection) -> None:
        if self._closed or len(self._idle) >= _KEPT:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class Replies:
    """Reads the replies of one call with 'more'."""

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self._pool = pool
        self._connection: Optional[Connection] = connection

    @classmethod
    async def start(cls, pool: Pool, method: str, parameters: Mapping[str, Any], deadline: Deadline) -> Replies:
        connection = await pool.take(deadline)
        try:
            await connection.send(method, parameters, deadline, more=True)
        except BaseException:
            connection.close()
            raise
        return cls(pool, connection)

    async def next(self, deadline: Deadline) -> Optional[Fields]:
        """None: there is none after the last."""
        if self._connection is None:
            return None
        try:
            reply = (await self._connection.receive(deadline)).checked()
        except BaseException:
            self.close()
            raise
        if not reply.continues and self._connection is not None:
            self._pool.give_back(self._connection)
            self._connection = None
        return Fields(reply.parameters)

    def take_fds(self) -> List[int]:
        return self._connection.take_fds() if self._connection is not None else []

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
