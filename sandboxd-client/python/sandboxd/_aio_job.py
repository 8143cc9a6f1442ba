"""A job of the asyncio client."""

from __future__ import annotations

import asyncio
import os
import signal as signals
from typing import TYPE_CHECKING, Any, List, Optional

from . import _calls
from ._aio_connection import Connection, ready, within
from ._capture import Capture
from ._deadline import Deadline
from ._job import MOST_OUTPUT
from .errors import ProtocolError, SandboxdError
from .model import Completed, Fields, JobReport

if TYPE_CHECKING:
    from .aio import Client

_CHUNK = 65536


class Reader:
    """One end of a job's pipe, read as it comes. One reading at a time."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    def read_now(self) -> Optional[bytes]:
        """b'' at the end; None: there is nothing yet."""
        if self._fd < 0:
            return b""
        try:
            return os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    async def read(self) -> bytes:
        """What there is, at most 64 KiB; b'' at the end."""
        while True:
            data = self.read_now()
            if data is not None:
                return data
            await ready(self._fd, writing=False)

    async def read_all(self) -> bytes:
        parts = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Writer:
    """What a job reads or is typed on its terminal. Closing it is the end of input."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    async def write(self, data: bytes) -> None:
        """Returns when all of it is in the pipe. BrokenPipeError: the job reads no more."""
        left = memoryview(data)
        while left:
            if self._fd < 0:
                raise BrokenPipeError("closed")
            try:
                left = left[os.write(self._fd, left[:_CHUNK]):]
            except BlockingIOError:
                await ready(self._fd, writing=True)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Job:
    """As sandboxd.Job, with coroutines: stdin.write(), stdout.read(). Closing it kills the job, unless it is detached or was only
    attached to."""

    def __init__(self, client: Client, connection: Connection, jail: str, job: int, fds: List[int]) -> None:
        self._client = client
        self._connection: Optional[Connection] = connection
        self.jail = jail
        self.job = job
        self.stdin = Writer(fds[0])
        self.stdout = Reader(fds[1])
        self.stderr: Optional[Reader] = Reader(fds[2]) if len(fds) > 2 else None
        # A task of its own, so that who waits can be cancelled without losing what comes.
        self._end = asyncio.ensure_future(self._read_report(connection))
        self._end.add_done_callback(_looked_at)

    async def wait(self, timeout: Optional[float] = None) -> JobReport:
        """The report. Read stdout and stderr meanwhile: a job whose pipe is full waits."""
        if self._connection is None and not self._end.done():
            raise SandboxdError("the job is closed")
        return await within(asyncio.shield(self._end), Deadline(timeout, f"wait for job {self.job} of jail {self.jail}"))

    async def communicate(self, input: bytes = b"", timeout: Optional[float] = None,
                          max_output: Optional[int] = MOST_OUTPUT) -> Completed:
        """Writes input, reads both outputs to their end, waits. Of each output max_output bytes are kept."""
        return await within(self._communicate(input, max_output), Deadline(timeout, f"job {self.job} of jail {self.jail}"))

    async def _communicate(self, input: bytes, most: Optional[int]) -> Completed:
        captures = [Capture(most), Capture(most)]
        outputs = [(reader, capture) for reader, capture in zip((self.stdout, self.stderr), captures) if reader is not None]
        writing = asyncio.ensure_future(self._feed(input))
        reading = asyncio.gather(*(_drain(reader, capture) for reader, capture in outputs))
        try:
            report = await self.wait()
        finally:
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)
        # A process that outlived the job may hold the pipes: what is in them now is the rest.
        for reader, capture in outputs:
            while data := reader.read_now():
                capture.add(data)
        (out, out_tail, out_cut), (err, err_tail, err_cut) = (capture.result() for capture in captures)
        return Completed(out, err, report, out_tail, err_tail, out_cut, err_cut)

    async def _feed(self, input: bytes) -> None:
        try:
            await self.stdin.write(input)
        except OSError:
            pass  # the job reads no more
        finally:
            self.stdin.close()

    async def send_signal(self, signal: int) -> None:
        await self._client._do(_calls.signal_job(self.jail, self.job, signal))

    async def terminate(self, grace: float = 10.0) -> None:
        await self._client._do(_calls.kill(self.jail, self.job, signals.SIGTERM, grace))

    async def kill(self) -> None:
        await self._client._do(_calls.kill(self.jail, self.job, signals.SIGKILL, 0))

    async def resize(self, rows: int, columns: int) -> None:
        await self._client._do(_calls.resize(self.jail, self.job, rows, columns))

    async def detach(self) -> None:
        await self._client._do(_calls.detach(self.jail, self.job))

    async def aclose(self) -> None:
        self._end.cancel()
        await asyncio.gather(self._end, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    async def __aenter__(self) -> Job:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _read_report(self, connection: Connection) -> JobReport:
        while True:
            reply = (await connection.receive(Deadline(None, ""))).checked()
            fields = Fields(reply.parameters)
            if fields.has("report"):
                report = JobReport.from_fields(fields.object("report"))
                self._connection = None
                self._client._pool.give_back(connection)
                return report
            if not reply.continues:
                raise ProtocolError("the daemon's last answer has no report")


async def _drain(reader: Reader, capture: Capture) -> None:
    while data := await reader.read():
        capture.add(data)


def _looked_at(task: asyncio.Future[Any]) -> None:
    """An error that nobody waits for is not worth asyncio's complaint: wait() raises it."""
    if not task.cancelled():
        task.exception()
