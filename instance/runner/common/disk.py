"""Room on the disks that a job writes to."""

import contextlib
import errno
import os
import sys

from common import marker
from common.protocol import Refusal

#: Markers take a few KB. What has less than this is full: not even a checkpoint of digits fits.
_LEAST_FREE = 1 << 20
#: Kept, so that a job whose log filled the disk can still be stopped, say how it ended, and be collected.
_RESERVED = bytes(65_536)
_PIECE = 16_384


def is_full_error(error):
    """Whether an OSError means that there was no room, or no quota left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_full(folder):
    """Whether an ordinary user can still write something of use there. False for a folder that is not there."""
    try:
        found = os.statvfs(folder)
    except FileNotFoundError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST_FREE


def describe(folder):
    """What answers say of the disk that a folder is on, or will be on: {path, free, bytes}."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    found = os.statvfs(folder)
    return {"path": folder, "free": found.f_bavail * found.f_frsize, "bytes": found.f_blocks * found.f_frsize}


def check(root):
    """Raises Refusal `DiskFull` when a job that begins now could not even say how it ended."""
    if is_full(root):
        raise Refusal("DiskFull", f"less than 1 MiB is free on the filesystem of {root}: free space on the instance")


def complain(text):
    """A line for supervisor.err. That lies on a disk too: what cannot be written there is said nowhere."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")


def reserve(path):
    """Takes room that `free` gives back, a piece at a time."""
    marker.replace(path, _RESERVED)


def free(path):
    """Whether there was any left."""
    try:
        left = os.stat(path).st_size - _PIECE
        os.truncate(path, left) if left > 0 else os.unlink(path)
    except FileNotFoundError:
        return False
    return True
