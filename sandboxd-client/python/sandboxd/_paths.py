"""Where the daemon's sockets are. The broker's lies beside the one that is called: broker.sock, and broker-admin.sock beside
admin.sock."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import List, Optional

from .model import StrPath

DEFAULT_SOCKET = "/run/sandboxd/sandboxd.sock"


@dataclass(frozen=True)
class SocketPaths:
    calls: str
    broker: str


def socket_paths(calls: str) -> SocketPaths:
    folder, name = os.path.split(calls)
    return SocketPaths(calls, os.path.join(folder, "broker-admin.sock" if name == "admin.sock" else "broker.sock"))


def sockets_to_try(argument: Optional[StrPath], is_root: bool) -> List[SocketPaths]:
    """The first of the argument, SANDBOXD_SOCKET and the default that is given. For uid 0 the admin's comes first: on the public
    socket uid 0 is an ordinary client, and the broker vouches for no file of it there."""
    chosen = os.fspath(argument) if argument is not None else os.environ.get("SANDBOXD_SOCKET") or DEFAULT_SOCKET
    folder, name = os.path.split(chosen)
    pairs = [socket_paths(chosen)]
    if is_root and name == "sandboxd.sock":
        pairs.insert(0, socket_paths(os.path.join(folder, "admin.sock")))
    return pairs
