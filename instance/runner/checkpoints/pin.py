"""Holds the files of a unit as they are, whatever the training does with their names: rotation, renames, removal.

A descriptor keeps a file that is removed. Where the filesystem can, it is one of a clone, which also keeps the content
when the training writes into the file; elsewhere a file that was written into meanwhile is noticed by its times.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import resource
import socket
import stat
from typing import Any, NamedTuple

from common import accounts, child

#: _IOW(0x94, 9, int): linux/fs.h.
_FICLONE = 0x40049409
#: The kernel takes at most 253 in a message.
_FDS_PER_MESSAGE = 100
_MAX_S = 60.0
#: Beside the files.
_SPARE_FDS = 64


class Changed(Exception):
    """The unit is not what was judged. It is looked at again."""


class Pinned(NamedTuple):
    #: Of the project.
    path: str
    fd: int
    bytes: int
    mtime_ns: int
    is_clone: bool

    def is_same(self) -> bool:
        """Whether what was read is what was pinned."""
        info = os.fstat(self.fd)
        return self.is_clone or (info.st_size, info.st_mtime_ns) == (self.bytes, self.mtime_ns)


def pin(project: str, signature: list[list[Any]], account: accounts.Account | None) -> list[Pinned]:
    """Opens the files of a unit as the user. Raises Changed, OSError, RuntimeError. The caller closes them."""
    _allow_files(len(signature))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pinned: list[Pinned] = []
    try:
        pid = os.fork()
        if pid == 0:
            _child(project, signature, account, theirs)
        theirs.close()
        ours.settimeout(_MAX_S)
        try:
            _receive(ours, signature, pinned)
        finally:
            child.end(pid)
    except BaseException:
        close(pinned)
        raise
    finally:
        ours.close()
        theirs.close()
    return pinned


def close(pinned: list[Pinned]) -> None:
    for one in pinned:
        with contextlib.suppress(OSError):
            os.close(one.fd)


def _receive(ours: socket.socket, signature: list[list[Any]], pinned: list[Pinned]) -> None:
    while len(pinned) < len(signature):
        fds = array.array("i")
        size = socket.CMSG_LEN(_FDS_PER_MESSAGE * fds.itemsize)
        message, ancillary, flags, _ = ours.recvmsg(1 << 16, size)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        clones = json.loads(message.decode("ascii") or "[]")
        if not clones or len(clones) != len(fds) or flags & socket.MSG_CTRUNC:
            for fd in fds:
                os.close(fd)
            raise Changed("a file of it is gone or was changed")
        for fd, is_clone in zip(fds, clones):
            path, size, mtime_ns, _, _ = signature[len(pinned)]
            pinned.append(Pinned(path, fd, size, mtime_ns, bool(is_clone)))
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or info.st_size != size:
                raise Changed("a file of it was changed")


def _child(project: str, signature: list[list[Any]], account: accounts.Account | None, theirs: socket.socket) -> None:
    try:
        if account is not None and account.uid != os.geteuid():
            accounts.drop_to(account)
        batch: list[tuple[int, bool]] = []
        for path, size, mtime_ns, device, inode in signature:
            fd = os.open(os.path.join(project, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            clone = _clone(fd, os.path.dirname(os.path.join(project, path)))
            info = os.fstat(fd)
            if (info.st_size, info.st_mtime_ns, info.st_dev, info.st_ino) != (size, mtime_ns, device, inode):
                break
            batch.append((fd, False) if clone is None else (clone, True))
            if len(batch) == _FDS_PER_MESSAGE:
                _send(theirs, batch)
                batch = []
        else:
            if batch:
                _send(theirs, batch)
    except OSError:
        pass  # the other side finds that files are missing
    finally:
        os._exit(0)


def _send(theirs: socket.socket, batch: list[tuple[int, bool]]) -> None:
    fds = array.array("i", [fd for fd, _ in batch])
    clones = json.dumps([int(is_clone) for _, is_clone in batch]).encode("ascii")
    theirs.sendmsg([clones], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    for fd in fds:
        os.close(fd)


def _clone(fd: int, folder: str) -> int | None:
    """A descriptor of a file without a name that shares the blocks of this one; None where that is not possible."""
    try:
        clone = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.ioctl(clone, _FICLONE, fd)
    except OSError:
        os.close(clone)
        return None
    os.lseek(clone, 0, os.SEEK_SET)
    return clone


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _SPARE_FDS
    if soft != resource.RLIM_INFINITY and soft < needed and (hard == resource.RLIM_INFINITY or soft < hard):
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
