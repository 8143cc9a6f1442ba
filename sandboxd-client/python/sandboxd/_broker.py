"""The broker's socket: descriptors go there, under 128 random bits that a later call names (base/broker_message.h)."""

from __future__ import annotations

import array
import os
import secrets
import socket
import struct
from typing import Optional, Sequence

from ._deadline import Deadline
from .errors import BrokerRefused, ConnectionLost

MAGIC = 0x42584253  # "SBXB"
VERSION = 1
MOST_FDS = 15  # and one mount namespace
_MESSAGE = struct.Struct("=II16sII")

_REFUSALS = {
    1: "it could not read the message: client and daemon are of different versions",
    2: "the token is in use",
    3: "too many descriptors, or too many connections of this user",
    4: "this user may hand in no files here (uid 0 needs the admin's sockets)",
}


class HandedIn:
    """The connection has to stay open until the jail has started: the broker drops the descriptors when it closes."""

    def __init__(self, token: bytes, connection: socket.socket) -> None:
        self.token = token.hex()
        self._connection = connection

    def refusal(self) -> Optional[BrokerRefused]:
        """Why the broker refused, when it did; never waits."""
        try:
            code = self._connection.recv(1, socket.MSG_DONTWAIT)
        except OSError:
            return None
        if not code:
            return None
        reason = _REFUSALS.get(code[0], "for a reason that this client does not know")
        return BrokerRefused(f"the broker refused the files: {reason}")

    def close(self) -> None:
        self._connection.close()


def hand_in(path: str, fds: Sequence[int], mount_namespace: bool, deadline: Deadline) -> HandedIn:
    if len(fds) > MOST_FDS:
        raise ValueError(f"{len(fds)} files and directories, at most {MOST_FDS}")
    token = secrets.token_bytes(16)
    every = list(fds)
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC) if mount_namespace else -1
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        if mount_namespace:
            every.append(namespace)
        connection.settimeout(deadline.left())
        connection.connect(path)
        message = _MESSAGE.pack(MAGIC, VERSION, token, len(every), int(mount_namespace))
        connection.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", every))] if every else [])
    except socket.timeout:
        connection.close()
        raise deadline.expired() from None
    except OSError as error:
        connection.close()
        raise ConnectionLost(f"hand descriptors to {path!r}: {error}") from error
    except BaseException:
        connection.close()
        raise
    finally:
        if namespace >= 0:
            os.close(namespace)
    return HandedIn(token, connection)
