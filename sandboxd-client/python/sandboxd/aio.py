"""sandboxd for asyncio: the same names as in sandboxd, with coroutines. A Client belongs to one event loop.

    async with sandboxd.aio.Client() as client:
        done = await client.run(["make", "test"], workspace=".")
"""

from __future__ import annotations

import asyncio
import os
import signal as signals
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Dict, Generic, List, Mapping, Optional, Sequence, Tuple, TypeVar
from typing import Union

from . import _calls
from ._aio_connection import Connection, Pool, Replies
from ._aio_files import Files
from ._aio_job import Job, Reader, Writer
from ._ancillary import close_all
from ._broker import HandedIn, hand_in
from ._bytes import Text
from ._calls import Call
from ._deadline import Deadline
from ._job import MOST_OUTPUT
from ._paths import sockets_to_try
from ._spec import Spec, exec_spec, job_spec
from ._streams import EventCursor
from .client import _checked, _limit, _told
from .errors import NotFound, ProtocolError
from .model import Completed, Denials, Event, Fields, Gap, JailInfo, JailStats, JobInfo, JobReport, LearnedProfile, LogPiece, StrPath

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._spec import ExecOptions, JobOptions, Limits, SessionOptions

__all__ = ["Client", "Events", "Files", "Job", "Reader", "Session", "Stream", "Writer"]

T = TypeVar("T")


class Stream(Generic[T]):
    """Iterates over what a call's replies hold. Close it, or use it in an async with-block."""

    def __init__(self, replies: Replies, parse: Callable[[Fields], Optional[T]]) -> None:
        self._replies = replies
        self._parse = parse

    async def next(self, timeout: Optional[float] = None) -> Optional[T]:
        """None: the end. DeadlineExpired closes the stream."""
        deadline = Deadline(timeout, "wait for the next reply")
        while True:
            fields = await self._replies.next(deadline)
            if fields is None:
                return None
            value = self._parse(fields)
            if value is not None:
                return value

    async def __aiter__(self) -> AsyncIterator[T]:
        while (value := await self.next()) is not None:
            yield value

    async def aclose(self) -> None:
        self._replies.close()

    async def __aenter__(self) -> Stream[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


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


class Client:
    """See sandboxd.Client."""

    def __init__(self, socket: Optional[StrPath] = None, call_timeout: float = 60.0) -> None:
        self.call_timeout = call_timeout
        self._pool = Pool(sockets_to_try(socket, os.geteuid() == 0))

    async def aclose(self) -> None:
        self._pool.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def run(self, argv: Sequence[Text], *, stdin: bytes = b"", check: bool = False,
                  max_output: Optional[int] = MOST_OUTPUT, **options: Unpack[JobOptions]) -> Completed:
        async with await self.popen(argv, **options) as job:
            return _checked(await job.communicate(stdin, _limit(options), max_output), check)

    async def popen(self, argv: Sequence[Text], **options: Unpack[JobOptions]) -> Job:
        spec = await _in_thread(lambda: job_spec(argv, options, stdio="pass"))
        with spec:
            deadline = self._deadline("start a jail")
            connection = await self._pool.take(deadline)
            handed_in = None
            try:
                handed_in = await self._hand_in(spec, connection, deadline)
                await connection.send(_calls.JAIL + "Run", {"spec": spec.json}, deadline, more=True)
                return await self._started(connection, deadline, handed_in)
            except BaseException:
                connection.close()
                raise
            finally:
                if handed_in is not None:
                    handed_in.close()

    async def spawn(self, argv: Sequence[Text], *, stdin: Optional[bytes] = None, **options: Unpack[JobOptions]) -> Session:
        spec = await _in_thread(lambda: job_spec(argv, options, detach=True, stdin_data=stdin))
        with spec:
            return Session(self, await self._with_files(spec, _calls.run_detached))

    async def create(self, **options: Unpack[SessionOptions]) -> Session:
        spec = await _in_thread(lambda: job_spec(None, options))
        with spec:
            return Session(self, await self._with_files(spec, _calls.create))

    async def session(self, jail: str) -> Session:
        return Session(self, await self.inspect(jail))

    async def explain(self, argv: Sequence[Text], **options: Unpack[JobOptions]) -> Dict[str, Any]:
        spec = await _in_thread(lambda: job_spec(argv, options))
        with spec:
            if spec.fds:
                spec.json["token"] = os.urandom(16).hex()
            return await self._do(_calls.explain(spec.json))

    async def list(self) -> List[JailInfo]:
        return await self._gather(_calls.JAIL + "List", {}, _calls.list_piece)

    async def inspect(self, jail: str) -> JailInfo:
        return await self._do(_calls.inspect(jail))

    async def stats(self, jail: Optional[str] = None) -> List[JailStats]:
        return await self._gather(_calls.JAIL + "Stats", _calls.stats(jail), _calls.stats_piece)

    async def why(self, jail: str) -> Denials:
        return await self._do(_calls.why(jail))

    async def learned(self, jail: str, name: str) -> LearnedProfile:
        return await self._do(_calls.learned(jail, name))

    async def update(self, jail: str, **limits: Unpack[Limits]) -> Dict[str, str]:
        return await self._do(_calls.update(jail, limits))

    async def wait(self, jail: str, job: Optional[int] = None, timeout: Optional[float] = None) -> JobReport:
        return await self._do(_calls.wait(jail, job), Deadline(timeout, f"wait for jail {jail!r}"))

    async def kill(self, jail: str, job: Optional[int] = None, signal: int = signals.SIGTERM, grace: Optional[float] = None) -> None:
        await self._do(_calls.kill(jail, job, signal, grace))

    async def remove(self, jail: str, force: bool = False) -> None:
        await self._do(_calls.remove(jail, force))

    async def events(self, after: Optional[int] = None, epoch: Optional[str] = None, follow: bool = True) -> Events:
        parameters = _calls.events(after, epoch, follow)
        return Events(await self._replies(_calls.JAIL + "Events", parameters), EventCursor(after, epoch))

    async def info(self) -> Dict[str, Any]:
        return await self._do(_calls.info())

    async def features(self) -> Dict[str, Any]:
        return await self._do(_calls.features())

    async def profiles(self, name: Optional[str] = None) -> List[Dict[str, Any]]:
        return await self._do(_calls.profiles(name))

    async def version(self) -> Tuple[str, int]:
        return await self._do(_calls.version())

    def _deadline(self, what: str) -> Deadline:
        return Deadline(self.call_timeout, what)

    async def _do(self, call: Call[T], deadline: Optional[Deadline] = None) -> T:
        return await self._one_reply(lambda: call, deadline or self._deadline(call.method), None)

    async def _one_reply(self, make: Callable[[], Call[T]], deadline: Deadline, spec: Optional[Spec]) -> T:
        connection = await self._pool.take(deadline)
        handed_in = None
        try:
            if spec is not None:
                handed_in = await self._hand_in(spec, connection, deadline)
            call = make()
            await connection.send(call.method, call.parameters, deadline)
            reply = await connection.receive(deadline)
            close_all(connection.take_fds())
        except BaseException:
            connection.close()
            if handed_in is not None:
                handed_in.close()
            raise
        self._pool.give_back(connection)
        try:
            return call.parse(Fields(_told(reply, handed_in).parameters))
        finally:
            if handed_in is not None:
                handed_in.close()

    async def _with_files(self, spec: Spec, make: Callable[[Dict[str, Any]], Call[T]]) -> T:
        return await self._one_reply(lambda: make(spec.json), self._deadline("start a jail"), spec)

    async def _hand_in(self, spec: Spec, connection: Connection, deadline: Deadline) -> Optional[HandedIn]:
        # A profile that is named may be for some users only: that it is us is the broker's to say, whatever we hand over.
        if not spec.fds and not spec.mount_namespace and "profile" not in spec.json:
            return None
        handed_in = await _in_thread(lambda: hand_in(connection.paths.broker, spec.fds, spec.mount_namespace, deadline))
        spec.json["token"] = handed_in.token
        spec.close()
        return handed_in

    async def _replies(self, method: str, parameters: Mapping[str, Any]) -> Replies:
        return await Replies.start(self._pool, method, parameters, self._deadline(method))

    async def _gather(self, method: str, parameters: Mapping[str, Any], parse: Callable[[Fields], List[T]]) -> List[T]:
        found: List[T] = []
        deadline = self._deadline(method)
        replies = await Replies.start(self._pool, method, parameters, deadline)
        try:
            while (fields := await replies.next(deadline)) is not None:
                found += parse(fields)
        finally:
            replies.close()
        return found

    async def _start_job(self, method: str, parameters: Mapping[str, Any]) -> Job:
        deadline = self._deadline(method)
        connection = await self._pool.take(deadline)
        try:
            await connection.send(method, parameters, deadline, more=True)
            return await self._started(connection, deadline, None)
        except BaseException:
            connection.close()
            raise

    async def _started(self, connection: Connection, deadline: Deadline, handed_in: Optional[HandedIn]) -> Job:
        reply = await connection.receive(deadline)
        started = Fields(_told(reply, handed_in).parameters).object("started")
        jail, number = started.string("jail"), started.number("job", 1)
        fds = connection.take_fds()
        if len(fds) not in (2, 3):
            problem = ProtocolError(f"the daemon sent {len(fds)} descriptors, not 2 or 3")
            close_all(fds)
            raise problem
        return Job(self, connection, jail, number, fds)


class Session:
    """See sandboxd.Session."""

    def __init__(self, client: Client, info: JailInfo) -> None:
        self._client = client
        self.id = info.jail
        self.name = info.name
        self.files = Files(client, self.id)

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.remove(force=True)
        except NotFound:
            pass

    def __repr__(self) -> str:
        return f"<Session {self.id!r}>"

    async def exec(self, argv: Sequence[Text], *, stdin: bytes = b"", check: bool = False,
                   max_output: Optional[int] = MOST_OUTPUT, **options: Unpack[ExecOptions]) -> Completed:
        async with await self.popen(argv, **options) as job:
            return _checked(await job.communicate(stdin, _limit(options), max_output), check)

    async def popen(self, argv: Sequence[Text], **options: Unpack[ExecOptions]) -> Job:
        parameters = {"jail": self.id, "spec": exec_spec(argv, options, stdio="pass")}
        return await self._client._start_job(_calls.JAIL + "Exec", parameters)

    async def spawn(self, argv: Sequence[Text], *, stdin: Optional[bytes] = None, **options: Unpack[ExecOptions]) -> JobInfo:
        return await self._client._do(_calls.exec_detached(self.id, exec_spec(argv, options, detach=True, stdin_data=stdin)))

    async def attach(self, job: int = 1, replay: Optional[int] = None) -> Job:
        return await self._client._start_job(_calls.JAIL + "Attach", _calls.attach(self.id, job, replay))

    async def logs(self, job: int = 1, follow: bool = False) -> Stream[LogPiece]:
        return Stream(await self._client._replies(_calls.JAIL + "Logs", _calls.logs(self.id, job, follow)), _calls.log_piece)

    async def jobs(self) -> List[JobInfo]:
        return await self._client._do(_calls.jobs(self.id))

    async def wait(self, job: Optional[int] = None, timeout: Optional[float] = None) -> JobReport:
        return await self._client.wait(self.id, job, timeout)

    async def signal(self, signal: int, job: Optional[int] = None) -> None:
        await self._client._do(_calls.signal_job(self.id, job, signal))

    async def kill(self, job: Optional[int] = None, signal: int = signals.SIGTERM, grace: Optional[float] = None) -> None:
        await self._client.kill(self.id, job, signal, grace)

    async def resize(self, rows: int, columns: int, job: int = 1) -> None:
        await self._client._do(_calls.resize(self.id, job, rows, columns))

    async def freeze(self) -> None:
        await self._client._do(_calls.freeze(self.id))

    async def thaw(self) -> None:
        await self._client._do(_calls.thaw(self.id))

    async def extend(self, ttl: float) -> int:
        return await self._client._do(_calls.extend(self.id, ttl))

    async def inspect(self) -> JailInfo:
        return await self._client.inspect(self.id)

    async def remove(self, force: bool = True) -> None:
        await self._client.remove(self.id, force)


async def _in_thread(work: Callable[[], T]) -> T:
    """Opening a client's file may hang, on a network's file system say: not in the loop."""
    return await asyncio.get_running_loop().run_in_executor(None, work)
