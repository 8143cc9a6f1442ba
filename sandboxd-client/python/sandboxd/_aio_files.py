"""Files of a live jail, for the asyncio client; see sandboxd.Files."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import IO, TYPE_CHECKING, Any, Awaitable, Callable, Dict, List, Optional

from . import _archive, _calls
from ._aio_connection import Replies, ready, within
from ._ancillary import close_all
from ._archive import Bounds
from ._bytes import Text
from ._deadline import Deadline
from ._files import BOUNDS, CHUNK, SPOOL, archive_most, check_size, pieces
from .errors import ProtocolError, UnsafeArchive
from .model import FileStat, StrPath, Transfer

if TYPE_CHECKING:
    from .aio import Client


class Files:
    def __init__(self, client: Client, jail: str) -> None:
        self._client = client
        self._jail = jail

    async def read(self, path: Text, size_max: int = 64 << 20) -> bytes:
        data = bytearray()
        while True:
            piece, end = await self._client._do(_calls.read(self._jail, path, len(data)))
            data += piece
            check_size(len(data), size_max, path)
            if end or not piece:
                return bytes(data)

    async def write(self, path: Text, data: bytes, mode: Optional[int] = None, append: bool = False, exclusive: bool = False) -> None:
        for piece, goes_on in pieces(data, append):
            await self._client._do(_calls.write(self._jail, path, piece, mode, append or goes_on, exclusive))

    async def list(self, path: Text) -> List[FileStat]:
        return await self._client._gather(_calls.FILES + "List", _calls.file_list(self._jail, path), _calls.stat_piece)

    async def stat(self, path: Text, follow: bool = False) -> FileStat:
        return await self._client._do(_calls.file_stat(self._jail, path, follow))

    async def remove(self, path: Text, recursive: bool = False) -> None:
        await self._client._do(_calls.file_remove(self._jail, path, recursive))

    async def get(self, path: Text, destination: StrPath, bounds: Bounds = BOUNDS, timeout: Optional[float] = 600.0) -> List[str]:
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            await self.get_tar(path, spool, archive_most(bounds), timeout)
            spool.seek(0)
            return await asyncio.get_running_loop().run_in_executor(None, _archive.unpack, spool, destination, bounds)

    async def get_tar(self, path: Text, out: IO[bytes], size_max: int = archive_most(BOUNDS),
                      timeout: Optional[float] = 600.0) -> Transfer:
        async def copy(fd: int) -> None:
            received = 0
            os.set_blocking(fd, False)
            while True:
                try:
                    data = os.read(fd, CHUNK)
                except BlockingIOError:
                    await ready(fd, writing=False)
                    continue
                if not data:
                    return
                received += len(data)
                if received > size_max:
                    raise UnsafeArchive(f"the archive has more than {size_max} bytes")
                out.write(data)

        return await self._transfer("Get", _calls.get(self._jail, path), copy, timeout)

    async def put(self, source: StrPath, path: Text, bounds: Bounds = BOUNDS, timeout: Optional[float] = 600.0) -> Transfer:
        with tempfile.SpooledTemporaryFile(SPOOL) as spool:
            await asyncio.get_running_loop().run_in_executor(None, _archive.pack, source, spool)
            spool.seek(0)
            return await self.put_tar(spool, path, bounds, timeout)

    async def put_tar(self, archive: IO[bytes], path: Text, bounds: Bounds = BOUNDS, timeout: Optional[float] = 600.0) -> Transfer:
        async def copy(fd: int) -> None:
            os.set_blocking(fd, False)
            while data := archive.read(CHUNK):
                left = memoryview(data)
                while left:
                    try:
                        left = left[os.write(fd, left):]
                    except BlockingIOError:
                        await ready(fd, writing=True)
                    except BrokenPipeError:
                        return  # it was refused: the reply says why

        return await self._transfer("Put", _calls.put(self._jail, path, bounds.size, bounds.entries, bounds.depth), copy, timeout)

    async def _transfer(self, method: str, parameters: Dict[str, Any], copy: Callable[[int], Awaitable[None]],
                        timeout: Optional[float]) -> Transfer:
        deadline = Deadline(timeout, f"{method} of files")
        replies = await Replies.start(self._client._pool, _calls.FILES + method, parameters, deadline)
        fds: List[int] = []
        try:
            await replies.next(deadline)
            fds += replies.take_fds()
            if not fds:
                raise ProtocolError(f"the daemon sent no descriptor with {method}")
            await within(copy(fds[0]), deadline)
            close_all(fds)
            fields = await replies.next(deadline)
            if fields is None:
                raise ProtocolError(f"the daemon has not said how {method} went")
            return _calls.transfer(fields)
        finally:
            close_all(fds)
            replies.close()
