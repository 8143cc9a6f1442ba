"""One varlink connection of the plain client, and a few that are kept for the next calls. A call with a deadline that expires, or an
answer that makes no sense, leaves a connection in a state that nobody knows: such a one is closed."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import Any, List, Mapping, Sequence

from ._ancillary import MOST_FDS, close_all, receive
from ._deadline import Deadline
from ._frames import FrameReader, Reply, decode_reply, encode_call
from ._paths import SocketPaths
from .errors import ConnectionLost, ProtocolError

_KEPT = 4


class Connection:
    def __init__(self, sock: socket.socket, paths: SocketPaths) -> None:
        self._socket = sock
        self._frames = FrameReader()
        self._fds: List[int] = []
        self.paths = paths

    @classmethod
    def open(cls, pairs: Sequence[SocketPaths], deadline: Deadline) -> Connection:
        """The first that can be connected to; else the error of the last."""
        last: Exception = ValueError("no socket named")
        for pair in pairs:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(deadline.left())
                sock.connect(pair.calls)
                return cls(sock, pair)
            except socket.timeout:
                sock.close()
                raise deadline.expired() from None
            except OSError as error:
                sock.close()
                last = ConnectionLost(f"connect to {pair.calls!r}: {error}")
                last.__cause__ = error
            except BaseException:
                sock.close()
                raise
        raise last

    def release(self) -> socket.socket:
        """The socket, as the caller's."""
        return self._socket

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()
        close_all(self._fds)

    def send(self, method: str, parameters: Mapping[str, Any], deadline: Deadline, more: bool = False) -> None:
        frame = encode_call(method, parameters, more)
        try:
            self._socket.settimeout(deadline.left())
            self._socket.sendall(frame)
        except socket.timeout:
            raise deadline.expired() from None
        except OSError as error:
            raise ConnectionLost(f"call {method!r}: {error}") from error

    def receive(self, deadline: Deadline) -> Reply:
        """The next reply, whether it is an error or not."""
        while True:
            frame = self._frames.next()
            if frame is not None:
                return decode_reply(frame)
            self._read(deadline)

    def _read(self, deadline: Deadline) -> None:
        try:
            self._socket.settimeout(deadline.left())
            data, fds = receive(self._socket)
        except socket.timeout:
            raise deadline.expired() from None
        except OSError as error:
            raise ConnectionLost(f"read the daemon's answer: {error}") from error
        self._fds += fds
        if len(self._fds) > MOST_FDS:
            raise ProtocolError("the daemon's answer carries too many descriptors")
        if not data:
            raise ConnectionLost("the daemon closed the connection before it answered")
        self._frames.feed(data)

    def take_fds(self) -> List[int]:
        """All descriptors that have come so far, as the caller's."""
        fds, self._fds = self._fds, []
        return fds

    def is_idle(self) -> bool:
        """Nothing is owed in either direction, and the daemon has not closed."""
        if self._fds or not self._frames.is_empty:
            return False
        poller = select.poll()  # not select(2), which takes descriptors under 1024 only
        poller.register(self._socket, select.POLLIN)
        return not poller.poll(0)


class Pool:
    """Idle connections of one process."""

    def __init__(self, pairs: Sequence[SocketPaths]) -> None:
        self._pairs = pairs
        self._lock = threading.Lock()
        self._idle: List[Connection] = []
        self._pid = os.getpid()
        self._closed = False

    def take(self, deadline: Deadline) -> Connection:
        while True:
            with self._lock:
                if self._closed:
                    raise ConnectionLost("this client is closed")
                if self._pid != os.getpid():  # after fork(2) they are the parent's
                    self._drop()
                    self._pid = os.getpid()
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return Connection.open(self._pairs, deadline)
            if connection.is_idle():
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _KEPT and self._pid == os.getpid():
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        while self._idle:
            self._idle.pop().close()
