"""One recvmsg(2) with descriptors beside the bytes. Descriptors that come are close-on-exec from birth."""

from __future__ import annotations

import array
import os
import socket
from typing import List, Tuple

from .errors import ProtocolError

MOST_FDS = 16
_BYTES = 65536


def receive(sock: socket.socket) -> Tuple[bytes, List[int]]:
    data, ancillary, flags, _ = sock.recvmsg(_BYTES, socket.CMSG_SPACE(4 * MOST_FDS), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if flags & socket.MSG_CTRUNC:
        close_all(fds.tolist())
        raise ProtocolError("the daemon's answer carries too many descriptors")
    return data, fds.tolist()


def close_all(fds: List[int]) -> None:
    while fds:
        os.close(fds.pop())
