"""The plain client. Every call that the daemon answers at once has call_timeout; those that wait for a job have the timeout that they
are given."""

from __future__ import annotations

import os
import signal as signals
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from . import _calls
from ._ancillary import close_all
from ._broker import HandedIn, hand_in
from ._bytes import Text
from ._calls import Call
from ._connection import Connection, Pool
from ._deadline import Deadline
from ._files import Files
from ._frames import Reply
from ._job import MOST_OUTPUT, Job
from ._paths import sockets_to_try
from ._spec import Spec, exec_spec, job_spec
from ._streams import EventCursor, Events, Replies, Stream
from .errors import JobFailed, NotFound, ProtocolError
from .model import Completed, Denials, Fields, JailInfo, JailStats, JobInfo, JobReport, LearnedProfile, LogPiece, StrPath

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._spec import ExecOptions, JobOptions, Limits, SessionOptions

T = TypeVar("T")
# How long after its own time limit a job's report may take: the daemon kills, reads what is left, and writes its record.
_AFTER_LIMIT = 60.0


class Client:
    """socket: the daemon's, else SANDBOXD_SOCKET, else /run/sandboxd/sandboxd.sock. It may be used by several threads at once."""

    def __init__(self, socket: Optional[StrPath] = None, call_timeout: float = 60.0) -> None:
        self.call_timeout = call_timeout
        self._pool = Pool(sockets_to_try(socket, os.geteuid() == 0))

    def close(self) -> None:
        """Jobs and streams that are open stay so."""
        self._pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, argv: Sequence[Text], *, stdin: bytes = b"", check: bool = False, max_output: Optional[int] = MOST_OUTPUT,
            **options: Unpack[JobOptions]) -> Completed:
        """Runs argv in a jail of its own and waits for its end. With check, an end other than exit code 0 is JobFailed. Of each
        output max_output bytes are kept."""
        with self.popen(argv, **options) as job:
            return _checked(job.communicate(stdin, _limit(options), max_output), check)

    def popen(self, argv: Sequence[Text], **options: Unpack[JobOptions]) -> Job:
        """Starts argv in a jail of its own. When the Job is closed, or this process ends, the jail is killed."""
        with job_spec(argv, options, stdio="pass") as spec:
            return self._start_run(spec)

    def spawn(self, argv: Sequence[Text], *, stdin: Optional[bytes] = None, **options: Unpack[JobOptions]) -> Session:
        """Starts argv in a jail of its own that outlives this process. Its job is number 1."""
        with job_spec(argv, options, detach=True, stdin_data=stdin) as spec:
            return Session(self, self._with_files(spec, _calls.run_detached))

    def create(self, **options: Unpack[SessionOptions]) -> Session:
        """Starts a jail without a job, that lives until session_ttl has passed or it is removed, as leaving a with-block does."""
        with job_spec(None, options) as spec:
            return Session(self, self._with_files(spec, _calls.create))

    def session(self, jail: str) -> Session:
        """A live jail of the caller's, by its id or its name."""
        return Session(self, self.inspect(jail))

    def explain(self, argv: Sequence[Text], **options: Unpack[JobOptions]) -> Dict[str, Any]:
        """What run would do, with the profile's rules applied: nothing is started."""
        with job_spec(argv, options) as spec:
            if spec.fds:
                spec.json["token"] = os.urandom(16).hex()
            return self._do(_calls.explain(spec.json))

    def list(self) -> List[JailInfo]:
        """The caller's jails; everybody's on admin.sock."""
        return self._gather("List", {}, _calls.list_piece)

    def inspect(self, jail: str) -> JailInfo:
        return self._do(_calls.inspect(jail))

    def stats(self, jail: Optional[str] = None) -> List[JailStats]:
        """What live jails use now: that one, or all that list() has."""
        return self._gather("Stats", _calls.stats(jail), _calls.stats_piece)

    def why(self, jail: str) -> Denials:
        """What its jobs asked for and did not get; of an ended jail too, as long as it is remembered."""
        return self._do(_calls.why(jail))

    def learned(self, jail: str, name: str) -> LearnedProfile:
        """The files of a profile, and of its filter, both named `name`, that let an ended jail's jobs do what they did; of a jail whose
        profile learns, and for the administrator."""
        return self._do(_calls.learned(jail, name))

    def update(self, jail: str, **limits: Unpack[Limits]) -> Dict[str, str]:
        """New limits of a live jail, those that a cgroup holds. Returns what is in force then, by the kernel's names."""
        return self._do(_calls.update(jail, limits))

    def wait(self, jail: str, job: Optional[int] = None, timeout: Optional[float] = None) -> JobReport:
        """When the jail, or that job of it, has ended."""
        return self._do(_calls.wait(jail, job), Deadline(timeout, f"wait for jail {jail!r}"))

    def kill(self, jail: str, job: Optional[int] = None, signal: int = signals.SIGTERM, grace: Optional[float] = None) -> None:
        """The signal, and SIGKILL when it is still there after grace (10 seconds)."""
        self._do(_calls.kill(jail, job, signal, grace))

    def remove(self, jail: str, force: bool = False) -> None:
        """Forgets an ended jail and its report. force: kills a live one first."""
        self._do(_calls.remove(jail, force))

    def events(self, after: Optional[int] = None, epoch: Optional[str] = None, follow: bool = True) -> Events:
        """Events with a cursor above after, oldest first; with follow without end. A Gap says that some are missing."""
        deadline = self._deadline("events")
        parameters = _calls.events(after, epoch, follow)
        return Events(Replies.start(self._pool, _calls.JAIL + "Events", parameters, deadline), EventCursor(after, epoch))

    def info(self) -> Dict[str, Any]:
        return self._do(_calls.info())

    def features(self) -> Dict[str, Any]:
        return self._do(_calls.features())

    def profiles(self, name: Optional[str] = None) -> List[Dict[str, Any]]:
        return self._do(_calls.profiles(name))

    def version(self) -> Tuple[str, int]:
        """The daemon's version, and its interfaces'."""
        return self._do(_calls.version())

    def _deadline(self, what: str) -> Deadline:
        return Deadline(self.call_timeout, what)

    def _do(self, call: Call[T], deadline: Optional[Deadline] = None) -> T:
        return self._one_reply(lambda: call, deadline or self._deadline(call.method), None)

    def _gather(self, method: str, parameters: Mapping[str, Any], parse: Callable[[Fields], List[T]]) -> List[T]:
        found: List[T] = []
        deadline = self._deadline(method)
        replies = Replies.start(self._pool, _calls.JAIL + method, parameters, deadline)
        try:
            while (fields := replies.next(deadline)) is not None:
                found += parse(fields)
        finally:
            replies.close()
        return found

    def _one_reply(self, make: Callable[[], Call[T]], deadline: Deadline, spec: Optional[Spec]) -> T:
        connection = self._pool.take(deadline)
        handed_in = None
        try:
            if spec is not None:
                handed_in = self._hand_in(spec, connection, deadline)
            call = make()
            connection.send(call.method, call.parameters, deadline)
            reply = connection.receive(deadline)
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

    def _hand_in(self, spec: Spec, connection: Connection, deadline: Deadline) -> Optional[HandedIn]:
        # A profile that is named may be for some users only: that it is us is the broker's to say, whatever we hand over.
        if not spec.fds and not spec.mount_namespace and "profile" not in spec.json:
            return None
        handed_in = hand_in(connection.paths.broker, spec.fds, spec.mount_namespace, deadline)
        spec.json["token"] = handed_in.token
        spec.close()
        return handed_in

    def _with_files(self, spec: Spec, make: Callable[[Dict[str, Any]], Call[T]]) -> T:
        """A call with one reply, whose spec may name files."""
        return self._one_reply(lambda: make(spec.json), self._deadline("start a jail"), spec)

    def _start_run(self, spec: Spec) -> Job:
        deadline = self._deadline("start a jail")
        connection = self._pool.take(deadline)
        handed_in = None
        try:
            handed_in = self._hand_in(spec, connection, deadline)
            connection.send(_calls.JAIL + "Run", {"spec": spec.json}, deadline, more=True)
            return self._started(connection, deadline, handed_in)
        except BaseException:
            connection.close()
            raise
        finally:
            if handed_in is not None:
                handed_in.close()

    def _start_job(self, method: str, parameters: Mapping[str, Any]) -> Job:
        deadline = self._deadline(method)
        connection = self._pool.take(deadline)
        try:
            connection.send(method, parameters, deadline, more=True)
            return self._started(connection, deadline, None)
        except BaseException:
            connection.close()
            raise

    def _started(self, connection: Connection, deadline: Deadline, handed_in: Optional[HandedIn]) -> Job:
        """The Job of a first reply with descriptors."""
        reply = connection.receive(deadline)
        started = Fields(_told(reply, handed_in).parameters).object("started")
        jail, number = started.string("jail"), started.number("job", 1)
        fds = connection.take_fds()
        if len(fds) not in (2, 3):
            problem = ProtocolError(f"the daemon sent {len(fds)} descriptors, not 2 or 3")
            close_all(fds)
            raise problem
        return Job(self, connection, jail, number, fds)


class Session:
    """A live jail. Leaving a with-block removes it with all that runs in it."""

    def __init__(self, client: Client, info: JailInfo) -> None:
        self._client = client
        self.id = info.jail
        self.name = info.name
        self.files = Files(client, self.id)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.remove(force=True)
        except NotFound:
            pass

    def __repr__(self) -> str:
        return f"<Session {self.id!r}>"

    def exec(self, argv: Sequence[Text], *, stdin: bytes = b"", check: bool = False, max_output: Optional[int] = MOST_OUTPUT,
             **options: Unpack[ExecOptions]) -> Completed:
        """Runs argv in this jail and waits for its end; see Client.run."""
        with self.popen(argv, **options) as job:
            return _checked(job.communicate(stdin, _limit(options), max_output), check)

    def popen(self, argv: Sequence[Text], **options: Unpack[ExecOptions]) -> Job:
        """Starts argv in this jail. When the Job is closed, or this process ends, the job is killed."""
        return self._client._start_job(_calls.JAIL + "Exec", {"jail": self.id, "spec": exec_spec(argv, options, stdio="pass")})

    def spawn(self, argv: Sequence[Text], *, stdin: Optional[bytes] = None, **options: Unpack[ExecOptions]) -> JobInfo:
        """Starts argv in this jail as a job that outlives this process; attach(job) gives its streams."""
        return self._client._do(_calls.exec_detached(self.id, exec_spec(argv, options, detach=True, stdin_data=stdin)))

    def attach(self, job: int = 1, replay: Optional[int] = None) -> Job:
        """The streams of a job that has a terminal or was started by spawn, beginning with up to replay of the last bytes that it
        wrote (all that are kept, when None). Closing this Job leaves the job alone."""
        return self._client._start_job(_calls.JAIL + "Attach", _calls.attach(self.id, job, replay))

    def logs(self, job: int = 1, follow: bool = False) -> Stream[LogPiece]:
        """What a job with log=True wrote, in the order in which it was read."""
        deadline = self._client._deadline("logs")
        replies = Replies.start(self._client._pool, _calls.JAIL + "Logs", _calls.logs(self.id, job, follow), deadline)
        return Stream(replies, _calls.log_piece)

    def jobs(self) -> List[JobInfo]:
        """Those alive, and the last that ended."""
        return self._client._do(_calls.jobs(self.id))

    def wait(self, job: Optional[int] = None, timeout: Optional[float] = None) -> JobReport:
        return self._client.wait(self.id, job, timeout)

    def signal(self, signal: int, job: Optional[int] = None) -> None:
        """To a job's process group; without job, to every process of the jail."""
        self._client._do(_calls.signal_job(self.id, job, signal))

    def kill(self, job: Optional[int] = None, signal: int = signals.SIGTERM, grace: Optional[float] = None) -> None:
        self._client.kill(self.id, job, signal, grace)

    def resize(self, rows: int, columns: int, job: int = 1) -> None:
        self._client._do(_calls.resize(self.id, job, rows, columns))

    def freeze(self) -> None:
        """Stops every process; its clocks go on."""
        self._client._do(_calls.freeze(self.id))

    def thaw(self) -> None:
        self._client._do(_calls.thaw(self.id))

    def extend(self, ttl: float) -> int:
        """The session ends this many seconds from now; returns when, in microseconds since 1970."""
        return self._client._do(_calls.extend(self.id, ttl))

    def inspect(self) -> JailInfo:
        return self._client.inspect(self.id)

    def remove(self, force: bool = True) -> None:
        self._client.remove(self.id, force)


def _told(reply: Reply, handed_in: Optional[HandedIn]) -> Reply:
    """A call that failed because the broker has refused the files says only that the token is not known."""
    refusal = handed_in.refusal() if handed_in is not None and reply.error is not None else None
    if refusal is not None:
        raise refusal
    return reply.checked()


def _limit(options: Mapping[str, Any]) -> Optional[float]:
    timeout = options.get("timeout")
    return None if timeout is None else float(timeout) + _AFTER_LIMIT


def _checked(completed: Completed, check: bool) -> Completed:
    if check and not completed.ok:
        raise JobFailed(completed)
    return completed
