"""Free space on the disks that a job writes to."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any

from common import marker
from common.protocol import Refusal

#: Markers take a few KB. With less than this a disk counts as full: not even a small checkpoint fits.
_MIN_FREE = 1 << 20
#: Reserved, so that a job whose log filled the disk can still be stopped, have its end recorded, and be collected.
_RESERVED = bytes(65_536)
_PIECE = 16_384


def is_full_error(error: OSError) -> bool:
    """Whether an OSError means that no space, or no quota, was left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_full(folder: str) -> bool:
    """Whether an ordinary user has less than 1 MiB there. False for a folder that does not exist."""
    try:
        info = os.statvfs(folder)
    except FileNotFoundError:
        return False
    return info.f_bavail * info.f_frsize < _MIN_FREE


def describe(folder: str) -> dict[str, Any]:
    """The disk that a folder is on, or will be on, for answers: {path, free, bytes}."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    info = os.statvfs(folder)
    return {"path": folder, "free": info.f_bavail * info.f_frsize, "bytes": info.f_blocks * info.f_frsize}


def check(root: str) -> None:
    """Raises Refusal `DiskFull` when a job that begins now could not even record how it ended."""
    if is_full(root):
        raise Refusal("DiskFull", f"less than 1 MiB is free on the filesystem of {root}: free space on the instance")


def reason(error: Exception) -> str:
    """What went wrong, without the name of a file when it is the system that says it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def complain(text: str) -> None:
    """Writes a line to supervisor.err, if its disk has space."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")


def reserve(path: str) -> None:
    """Reserves space that `free` gives back, a piece at a time."""
    marker.replace(path, _RESERVED)


def write_with_reserve(path: str, value: dict[str, Any], rooms: list[str], mode: int = 0o644) -> None:
    """Writes a marker, on a full disk into the space that was reserved in these files. Raises OSError."""
    while True:
        try:
            return marker.write(path, value, mode=mode)
        except OSError as error:
            if not is_full_error(error) or not any(map(free, rooms)):
                raise


def free(path: str) -> bool:
    """Gives a piece of the reserved space back. Returns whether any was left."""
    try:
        left = os.stat(path).st_size - _PIECE
        os.truncate(path, left) if left > 0 else os.unlink(path)
    except FileNotFoundError:
        return False
    return True
