"""A job of the plain client: its streams, and the connection whose end is the job's unless it is detached."""

from __future__ import annotations

import io
import os
import select
import signal as signals
import threading
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Union

from . import _calls
from ._capture import Capture
from ._connection import Connection
from ._deadline import Deadline
from .errors import DeadlineExpired, ProtocolError, SandboxdError
from .model import Completed, Fields, JobReport

if TYPE_CHECKING:
    from .client import Client

_CHUNK = 65536
Stream = Union[io.BufferedReader, io.BufferedWriter]
MOST_OUTPUT = 64 << 20  # of each stream that run() and exec() keep, unless they are told otherwise


class Job:
    """A job with its streams as binary files: stdin (flush it, or close it for the end of input), stdout, stderr (None when it is
    merged, or with a terminal). Closing the job, as leaving a with-block does, kills it when it was started here and not detached;
    a job that was only attached to lives on. wait() and communicate() are not for two threads at once."""

    def __init__(self, client: Client, connection: Connection, jail: str, job: int, fds: List[int]) -> None:
        """Takes connection and fds over: standard input's, output's and, where it is apart, error's."""
        self._client = client
        self._connection: Optional[Connection] = connection
        self._lock = threading.Lock()
        self._end: Union[JobReport, SandboxdError, None] = None
        self.jail = jail
        self.job = job
        self.stdin: io.BufferedWriter = os.fdopen(fds[0], "wb")
        self.stdout: io.BufferedReader = os.fdopen(fds[1], "rb")
        self.stderr: Optional[io.BufferedReader] = os.fdopen(fds[2], "rb") if len(fds) > 2 else None

    def wait(self, timeout: Optional[float] = None) -> JobReport:
        """The report. Read stdout and stderr meanwhile: a job whose pipe is full waits."""
        deadline = Deadline(timeout, f"wait for job {self.job} of jail {self.jail}")
        while True:
            report = self._take(deadline)
            if report is not None:
                return report

    def poll(self) -> Optional[JobReport]:
        """The report when the job has ended; waits for nothing."""
        if self._end is None and not self._readable():
            return None
        return self._take(Deadline(self._client.call_timeout, f"job {self.job} of jail {self.jail}"))

    def communicate(self, input: Optional[bytes] = None, timeout: Optional[float] = None,
                    max_output: Optional[int] = MOST_OUTPUT) -> Completed:
        """Writes input, reads both outputs to their end, waits. Of each output max_output bytes are kept."""
        return _Pump(self, input or b"", max_output).run(Deadline(timeout, f"job {self.job} of jail {self.jail}"))

    def send_signal(self, signal: int) -> None:
        """To the job's process group."""
        self._client._do(_calls.signal_job(self.jail, self.job, signal))

    def terminate(self, grace: float = 10.0) -> None:
        """SIGTERM, and SIGKILL when the job is still there after grace."""
        self._client._do(_calls.kill(self.jail, self.job, signals.SIGTERM, grace))

    def kill(self) -> None:
        self._client._do(_calls.kill(self.jail, self.job, signals.SIGKILL, 0))

    def resize(self, rows: int, columns: int) -> None:
        """The job's terminal."""
        self._client._do(_calls.resize(self.jail, self.job, rows, columns))

    def detach(self) -> None:
        """From now on the job outlives this object and this process."""
        self._client._do(_calls.detach(self.jail, self.job))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for stream in (self.stdin, self.stdout, self.stderr):
            close_stream(stream)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Job {self.job} of jail {self.jail!r}>"

    def _readable(self) -> bool:
        poller = select.poll()
        if self._connection is None:
            return True
        poller.register(self._connection, select.POLLIN)
        return bool(poller.poll(0))

    def _take(self, deadline: Deadline) -> Optional[JobReport]:
        """One reply; the report when it was that, or has come before."""
        with self._lock:
            if self._end is None:
                if self._connection is None:
                    raise SandboxdError("the job is closed")
                try:
                    reply = self._connection.receive(deadline).checked()
                    fields = Fields(reply.parameters)
                    if fields.has("report"):
                        self._end = JobReport.from_fields(fields.object("report"))
                    elif not reply.continues:
                        raise ProtocolError("the daemon's last answer has no report")
                    else:
                        return None
                except DeadlineExpired:
                    raise
                except SandboxdError as error:
                    self._end = error
                self._release()
            if isinstance(self._end, SandboxdError):
                raise self._end
            return self._end

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if isinstance(self._end, JobReport):
            self._client._pool.give_back(connection)
        else:
            connection.close()


def close_stream(stream: Optional[Stream]) -> None:
    """What is still buffered for a job that reads no more is lost, as with a pipe."""
    if stream is None:
        return
    try:
        stream.close()
    except (OSError, ValueError):
        pass


class _Pump:
    """Serves a job's pipes and its connection until the report is here and the outputs are at their end. A process that outlived
    the job may hold the pipes: once the report is here, what is in them is the rest."""

    def __init__(self, job: Job, input: bytes, most: Optional[int]) -> None:
        self._job = job
        self._input = memoryview(input)
        self._poller = select.poll()
        self._actions: Dict[int, Callable[[], None]] = {}
        self._files: Dict[int, Stream] = {}
        self._connection: Optional[int] = None
        self._captures = [Capture(most), Capture(most)]

    def run(self, deadline: Deadline) -> Completed:
        self._start()
        report = self._job._take(deadline) if self._connection is None else None
        while report is None or self._reading():
            ready = [fd for fd, _ in self._poller.poll(0 if report is not None else _milliseconds(deadline.left()))]
            if report is not None and not ready:
                break
            for fd in ready:
                if fd == self._connection:
                    report = self._job._take(deadline)
                    if report is not None:
                        self._poller.unregister(fd)
                elif fd in self._actions:
                    self._actions[fd]()
        for fd in list(self._files):
            self._end(fd)
        (out, out_tail, out_cut), (err, err_tail, err_cut) = (capture.result() for capture in self._captures)
        return Completed(out, err, report, out_tail, err_tail, out_cut, err_cut)

    def _start(self) -> None:
        job = self._job
        connection = job._connection
        if connection is None and job._end is None:
            raise SandboxdError("the job is closed")
        for stream, capture in zip((job.stdout, job.stderr), self._captures):
            if stream is not None and not stream.closed:
                self._watch(stream, select.POLLIN, self._reader(stream, capture))
        if not job.stdin.closed:
            if self._input:
                self._watch(job.stdin, select.POLLOUT, self._write)
            else:
                close_stream(job.stdin)
        if connection is not None:
            self._connection = connection.fileno()
            self._poller.register(self._connection, select.POLLIN)

    def _watch(self, stream: Stream, events: int, action: Callable[[], None]) -> None:
        fd = stream.fileno()
        os.set_blocking(fd, False)
        self._poller.register(fd, events)
        self._actions[fd], self._files[fd] = action, stream

    def _reading(self) -> bool:
        return any(stream is not self._job.stdin for stream in self._files.values())

    def _end(self, fd: int) -> None:
        self._poller.unregister(fd)
        del self._actions[fd]
        close_stream(self._files.pop(fd))

    def _reader(self, stream: io.BufferedReader, capture: Capture) -> Callable[[], None]:
        fd = stream.fileno()
        os.set_blocking(fd, False)
        # What the caller's own reading has left in the buffer comes first.
        capture.add(stream.read(len(stream.peek())) or b"")

        def read() -> None:
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                capture.add(data)
            else:
                self._end(fd)

        return read

    def _write(self) -> None:
        fd = self._job.stdin.fileno()
        try:
            self._input = self._input[os.write(fd, self._input[:_CHUNK]):]
        except BlockingIOError:
            return
        except OSError:  # the job reads no more
            self._input = self._input[:0]
        if not self._input:
            self._end(fd)


def _milliseconds(seconds: Optional[float]) -> Optional[float]:
    return None if seconds is None else seconds * 1000 + 1
