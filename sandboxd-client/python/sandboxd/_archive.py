"""Tar streams to and from a jail. What comes from a jail is hostile: names that are absolute or hold '..', links that lead out, hard
links, devices, FIFOs, sparse files and what exceeds the bounds are refused, and nothing is left of a stream that holds one."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import tempfile
from dataclasses import dataclass
from typing import IO, Any, Dict, List, Set, Tuple, Union

from .errors import UnsafeArchive
from .model import StrPath

# Of one header that says something about the next: a path is at most 4 KiB (PATH_MAX), twice.
_MOST_HEADER = 64 << 10
_ABOUT_THE_NEXT = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)

_MOST_GLOBALS = 1000  # keys of headers that are about all entries: tarfile keeps them


@dataclass(frozen=True)
class Bounds:
    size: int = 1 << 30
    entries: int = 100_000
    depth: int = 64


class _Header(tarfile.TarInfo):
    """tarfile takes a header's size as it comes: a negative one leads backwards, a large one into memory."""

    @classmethod
    def frombuf(cls, buf: Union[bytes, bytearray], encoding: Any, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _ABOUT_THE_NEXT and header.size > _MOST_HEADER):
            raise UnsafeArchive(f"a header of the archive has the size {header.size}")
        return header


def pack(source: StrPath, out: IO[bytes]) -> None:
    """A regular file, a symlink, or a directory with all below it, under its last name. Owners are left out."""
    path = os.path.abspath(source)
    if not os.path.basename(path):
        raise ValueError(f"{os.fspath(source)!r} has no name")
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _pack_one(tar, path, os.path.basename(path))


def _pack_one(tar: tarfile.TarFile, path: str, name: str) -> None:
    found = os.lstat(path)
    header = tarfile.TarInfo(name)
    header.mode, header.mtime = stat.S_IMODE(found.st_mode) & 0o777, int(found.st_mtime)
    if stat.S_ISDIR(found.st_mode):
        header.type = tarfile.DIRTYPE
        tar.addfile(header)
        for entry in sorted(os.listdir(path)):
            _pack_one(tar, os.path.join(path, entry), f"{name}/{entry}")
    elif stat.S_ISLNK(found.st_mode):
        header.type, header.linkname = tarfile.SYMTYPE, os.readlink(path)
        tar.addfile(header)
    elif stat.S_ISREG(found.st_mode):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            header.size = os.fstat(file.fileno()).st_size
            tar.addfile(header, file)
    else:
        raise ValueError(f"{path!r} is neither a regular file, a directory nor a symlink")


def unpack(archive: IO[bytes], destination: StrPath, bounds: Bounds) -> List[str]:
    """Unpacks below a directory that exists, all or nothing; returns the paths of what lies in it now. What is there already is
    not replaced: FileExistsError. Permission bits lose the umask."""
    folder = tempfile.mkdtemp(prefix=".sandboxd-", dir=destination)
    try:
        try:
            with tarfile.open(fileobj=archive, mode="r|", tarinfo=_Header, errorlevel=2) as tar:
                _Unpacking(folder, bounds, _umask_in(folder)).all(tar)
        except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
            raise UnsafeArchive(f"no archive: {error}") from error
        names = sorted(os.listdir(folder))
        for name in names:
            if os.path.lexists(os.path.join(destination, name)):
                raise FileExistsError(f"{os.path.join(destination, name)!r} exists")
        for name in names:
            os.rename(os.path.join(folder, name), os.path.join(destination, name))
        return [os.path.join(destination, name) for name in names]
    finally:
        shutil.rmtree(folder)


def _umask_in(folder: str) -> int:
    """Of a directory that is made: umask(2) tells it only by changing it, for all threads."""
    probe = os.path.join(folder, "umask")
    os.mkdir(probe, 0o777)
    mode = os.stat(probe).st_mode
    os.rmdir(probe)
    return 0o777 & ~mode


class _Unpacking:
    def __init__(self, folder: str, bounds: Bounds, umask: int) -> None:
        self._folder = folder
        self._umask = umask
        self._bounds = bounds
        self._entries = 0
        self._bytes = 0
        self._modes: Dict[str, int] = {}
        self._links: List[Tuple[str, str]] = []
        self._seen: Set[str] = set()

    def all(self, tar: tarfile.TarFile) -> None:
        while (member := tar.next()) is not None:
            setattr(tar, "members", [])  # each that was read would be kept
            if len(tar.pax_headers) > _MOST_GLOBALS:
                raise UnsafeArchive(f"global headers of more than {_MOST_GLOBALS} keys")
            parts = self._parts(member)
            if parts:
                self._one(tar, member, parts)
        # Last: until here nothing could be written through one.
        for path, target in self._links:
            try:
                os.symlink(target, path)
            except FileExistsError:
                raise UnsafeArchive(f"{os.path.relpath(path, self._folder)!r} comes twice") from None
        for path in sorted(self._modes, reverse=True):
            os.chmod(path, self._modes[path])

    def _parts(self, member: tarfile.TarInfo) -> List[str]:
        name = member.name
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise UnsafeArchive(f"the name {name!r} leads out")
        # A pax header says it too, of a directory as well; tarfile believes a negative one.
        if member.size < 0 or (member.size and not member.isreg()):
            raise UnsafeArchive(f"{name!r} has the size {member.size}")
        self._entries += 1
        self._bytes += member.size
        for what, value, most in (("entries", self._entries, self._bounds.entries), ("bytes", self._bytes, self._bounds.size),
                                  ("folders within folders", len(parts), self._bounds.depth)):
            if value > most:
                raise UnsafeArchive(f"more than {most} {what}")
        return parts

    def _one(self, tar: tarfile.TarFile, member: tarfile.TarInfo, parts: List[str]) -> None:
        path = os.path.join(self._folder, *parts)
        if path in self._seen and not member.isdir():
            raise UnsafeArchive(f"{member.name!r} comes twice")
        self._seen.add(path)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            if member.isdir():
                os.makedirs(path, mode=0o700, exist_ok=True)
                self._modes[path] = member.mode & 0o777 & ~self._umask | 0o700
            elif member.issym():
                self._links.append((path, _inner_target(member, len(parts))))
            elif member.isreg() and not member.issparse():
                self._file(tar, member, path)
            else:
                raise UnsafeArchive(f"{member.name!r} is neither a file, a directory nor a symlink")
        except (FileExistsError, NotADirectoryError):
            raise UnsafeArchive(f"{member.name!r} lies below a file, or comes twice") from None

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        content = tar.extractfile(member)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            if content is not None:
                shutil.copyfileobj(content, file)
            if file.tell() != member.size:
                raise UnsafeArchive(f"{member.name!r} is cut")
            os.fchmod(fd, member.mode & 0o777 & ~self._umask)


def _inner_target(member: tarfile.TarInfo, depth: int) -> str:
    """'..' at the beginning only: behind a name, which may be a symlink itself, it leads to who knows where."""
    target = member.linkname
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    if not target or target.startswith("/") or up >= depth or ".." in parts[up:] or "\0" in target:
        raise UnsafeArchive(f"the symlink {member.name!r} leads out, to {target!r}")
    return target
