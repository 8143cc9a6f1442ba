"""Client of sandboxd: commands in jails, sessions with many of them, their streams, terminals and files.

    import sandboxd

    with sandboxd.Client() as client:
        print(client.run(["make", "test"], workspace=".", timeout=600).text)
        with client.create(workspace=sandboxd.Bind(".", writable=True)) as session:
            session.exec(["make"], check=True)

sandboxd.aio has the same for asyncio. Standard library only.
"""

from ._archive import Bounds
from ._files import Files
from ._job import Job
from ._streams import Events, Stream
from .client import Client, Session
from .errors import (
    BrokerRefused,
    ConnectionLost,
    DaemonError,
    DeadlineExpired,
    Denied,
    FileFailed,
    FileRefused,
    InvalidArgument,
    JobFailed,
    LimitReached,
    NotFound,
    ProtocolError,
    SandboxdError,
    SetupFailed,
    Unavailable,
    UnsafeArchive,
)
from .model import (
    Bind,
    Completed,
    Denial,
    Denials,
    Event,
    FileStat,
    Gap,
    JailInfo,
    JailStats,
    JobFailure,
    JobInfo,
    JobReport,
    LearnedProfile,
    LogPiece,
    Tmpfs,
    Transfer,
    Usage,
    WindowSize,
)

__all__ = [
    "Bind", "Bounds", "BrokerRefused", "Client", "Completed", "ConnectionLost", "DaemonError", "DeadlineExpired", "Denial", "Denials",
    "Denied",
    "Event", "Events", "FileFailed", "FileRefused", "FileStat", "Files", "Gap", "InvalidArgument", "JailInfo", "JailStats", "Job", "JobFailed",
    "JobFailure", "JobInfo", "JobReport", "LearnedProfile", "LimitReached", "LogPiece", "NotFound", "ProtocolError", "SandboxdError", "Session", "SetupFailed",
    "Stream", "Tmpfs", "Transfer", "Unavailable", "UnsafeArchive", "Usage", "WindowSize",
]
