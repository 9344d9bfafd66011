"""The append-only attribute of files, for every writer: ext4, xfs and btrfs support it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

#: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_APPEND_FL of linux/fs.h, on every machine that EC2 has.
_GET_FLAGS, _SET_FLAGS, _APPEND = 0x80086601, 0x40086602, 0x20
_INT = struct.Struct("i")


def switch(fd: int, on: bool) -> bool:
    """Returns whether the attribute now is as requested. Needs root, and a filesystem that has the attribute."""
    try:
        flags = _INT.unpack(fcntl.ioctl(fd, _GET_FLAGS, bytes(_INT.size)))[0]
        changed = flags | _APPEND if on else flags & ~_APPEND
        if changed != flags:
            fcntl.ioctl(fd, _SET_FLAGS, _INT.pack(changed))
    except OSError:
        return False
    return True


def clear(path: str) -> None:
    """Lets a file be removed again; does nothing when it is missing or a link."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            switch(fd, False)
        finally:
            os.close(fd)
