"""Files of a live jail, for the plain client. Every call runs in the jail, with a job's rights; what comes back is its word."""

from __future__ import annotations

import os
import select
import tempfile
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, List, Optional

from . import _archive, _calls
from ._ancillary import close_all
from ._archive import Bounds
from ._bytes import Text
from ._deadline import Deadline
from ._streams import Replies
from .errors import FileRefused, ProtocolError, UnsafeArchive
from .model import FileStat, StrPath, Transfer

if TYPE_CHECKING:
    from .client import Client

CHUNK = 256 << 10
SPOOL = 8 << 20
# An archive holds at most this much beside its files' bytes: headers and padding of each entry.
OVERHEAD = 8 << 10
BOUNDS = Bounds()


def archive_most(bounds: Bounds) -> int:
    return bounds.size + min(bounds.entries, 1 + bounds.size // 512) * OVERHEAD + (1 << 20)


class Files:
    """Paths are absolute, in the jail. Errors are FileFailed, with the errno, and FileRefused, where a bound is reached."""

    def __init__(self, client: Client, jail: str) -> None:
        self._client = client
        self._jail = jail

    def read(self, path: Text, size_max: int = 64 << 20) -> bytes:
        """The whole content; FileRefused when it is more than size_max."""
        data = bytearray()
        while True:
            piece, end = self._client._do(_calls.read(self._jail, path, len(data)))
            data += piece
            check_size(len(data), size_max, path)
            if end or not piece:
                return bytes(data)

    def write(self, path: Text, data: bytes, mode: Optional[int] = None, append: bool = False, exclusive: bool = False) -> None:
        """Up to 512 KiB at once, so that nobody sees half of it; with append in pieces. put() is for more."""
        for piece, goes_on in pieces(data, append):
            self._client._do(_calls.write(self._jail, path, piece, mode, append or goes_on, exclusive))

    def list(self, path: Text) -> List[FileStat]:
        """The entries of a directory, sorted."""
        found: List[FileStat] = []
        deadline = self._client._deadline("list files")
        replies = Replies.start(self._client._pool, _calls.FILES + "List", _calls.file_list(self._jail, path), deadline)
        try:
            while (fields := replies.next(deadline)) is not None:
                found += _calls.stat_piece(fields)
        finally:
            replies.close()
        return found

    def stat(self, path: Text, follow: bool = False) -> FileStat:
        """Of the path itself; with follow of what a symlink there points to."""
        return self._client._do(_calls.file_stat(self._jail, path, follow))

    def remove(self, path: Text, recursive: bool = False) -> None:
        self._client._do(_calls.file_remove(self._jail, path, recursive))

    def get(self, path: Text, destination: StrPath, bounds: Bounds = BOUNDS, timeout: Optional[float] = 600.0) -> List[str]:
        """Copies a file or directory of the jail into a directory of the caller's, all or nothing. UnsafeArchive: it holds what must
        not be unpacked, as symlinks that lead out."""
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            self.get_tar(path, spool, archive_most(bounds), timeout)
            spool.seek(0)
            return _archive.unpack(spool, destination, bounds)

    def get_tar(self, path: Text, out: IO[bytes], size_max: int = archive_most(BOUNDS), timeout: Optional[float] = 600.0) -> Transfer:
        """The same as a tar stream, which is as hostile as the jail is."""
        received = 0

        def copy(fd: int, wait: Callable[[], None]) -> None:
            nonlocal received
            while True:
                wait()
                data = os.read(fd, CHUNK)
                if not data:
                    return
                received += len(data)
                if received > size_max:
                    raise UnsafeArchive(f"the archive has more than {size_max} bytes")
                out.write(data)

        return self._transfer("Get", _calls.get(self._jail, path), select.POLLIN, copy, timeout)

    def put(self, source: StrPath, path: Text, bounds: Bounds = BOUNDS, timeout: Optional[float] = 600.0) -> Transfer:
        """Copies a file or directory of the caller's into a directory of the jail, all or nothing."""
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            _archive.pack(source, spool)
            spool.seek(0)
            return self.put_tar(spool, path, bounds, timeout)

    def put_tar(self, archive: IO[bytes], path: Text, bounds: Bounds = BOUNDS, timeout: Optional[float] = 600.0) -> Transfer:
        def copy(fd: int, wait: Callable[[], None]) -> None:
            os.set_blocking(fd, False)
            while data := archive.read(CHUNK):
                left = memoryview(data)
                while left:
                    wait()
                    try:
                        left = left[os.write(fd, left):]
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        return  # it was refused: the reply says why

        parameters = _calls.put(self._jail, path, bounds.size, bounds.entries, bounds.depth)
        return self._transfer("Put", parameters, select.POLLOUT, copy, timeout)

    def _transfer(self, method: str, parameters: Dict[str, Any], events: int, copy: Callable[[int, Callable[[], None]], None],
                  timeout: Optional[float]) -> Transfer:
        deadline = Deadline(timeout, f"{method} of files")
        replies = Replies.start(self._client._pool, _calls.FILES + method, parameters, deadline)
        fds: List[int] = []
        try:
            replies.next(deadline)
            fds += replies.take_fds()
            if not fds:
                raise ProtocolError(f"the daemon sent no descriptor with {method}")
            copy(fds[0], _waiter(fds[0], events, deadline))
            close_all(fds)
            fields = replies.next(deadline)
            if fields is None:
                raise ProtocolError(f"the daemon has not said how {method} went")
            return _calls.transfer(fields)
        finally:
            close_all(fds)
            replies.close()


def _waiter(fd: int, events: int, deadline: Deadline) -> Callable[[], None]:
    poller = select.poll()
    poller.register(fd, events)

    def wait() -> None:
        left = deadline.left()
        if not poller.poll(None if left is None else left * 1000 + 1):
            raise deadline.expired()

    return wait


def pieces(data: bytes, append: bool) -> List[Any]:
    """(piece, whether it goes behind others)"""
    if not append and len(data) > _calls.MOST_WRITE:
        raise ValueError(f"{len(data)} bytes can't be written at once, at most {_calls.MOST_WRITE}: append them, or use put")
    starts = range(0, max(len(data), 1), _calls.MOST_WRITE)
    return [(data[start:start + _calls.MOST_WRITE], start > 0) for start in starts]


def check_size(size: int, most: int, path: Text) -> None:
    if size > most:
        raise FileRefused("org.sandboxd.Files.Refused", {"limit": "size", "path": os.fsdecode(path), "detail": f"more than {most} bytes"})
