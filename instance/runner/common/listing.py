"""Which files a project had when a training started: what differs from that later, the run created or changed.

A listing holds 16 bytes for each file, a digest of its path, size, times and inode. So it is small,
and no file name is stored, which may hold a secret.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING, Any

from common import child, marker, paths

if TYPE_CHECKING:
    from common.accounts import Account

#: Of wall time: a training never starts later than this because of its listing. A disk that has the
#: folders in its cache lists about 60,000 files a second.
MAX_S = 5.0
#: For a process that hangs in a read, and is killed.
_KILL_AFTER_S = 0.5
#: They take 16 MB on the disk, and 130 MB of memory while outputs are packed.
_MAX_FILES = 1_000_000
_DIGEST_BYTES = 16
_BUFFER_BYTES = 1 << 20
#: The kernel takes a file's times from its last tick, so they may lie before the clock's time.
_CLOCK_MARGIN_S = 2.0
DIGESTS, SUMMARY = "files", "files.json"


class Listing:
    """Tells files that the run created or changed from those that were there before."""

    def __init__(self, started_at: float, digests: frozenset[bytes], complete: bool) -> None:
        self._since_ns = int((started_at - _CLOCK_MARGIN_S) * 1e9)
        self._digests = digests
        #: Where it is not, the time of the last change decides: nobody can set a file's ctime.
        self._complete = complete

    def is_new(self, name: str, info: os.stat_result) -> bool:
        """Whether the run created or changed the file. name: its path in the project."""
        if _digest(name, info) in self._digests:
            return False
        return self._complete or info.st_ctime_ns >= self._since_ns


def take(folder: str, project: str, account: Account | None) -> None:
    """Writes the listing of a project, read as the user, into a job's folder. Raises OSError, RuntimeError."""
    fd = os.open(os.path.join(folder, DIGESTS), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        summary = child.run(lambda: _write(fd, project), account, MAX_S + _KILL_AFTER_S)
        os.fsync(fd)
    finally:
        os.close(fd)
    marker.write(os.path.join(folder, SUMMARY), summary, mode=0o600)


def read(folder: str) -> Listing | None:
    """The listing in the folder of a training, or None: it has not begun. Without a whole listing, times decide."""
    identity = marker.read(os.path.join(folder, paths.IDENTITY))
    if identity is None:
        return None
    try:
        with os.fdopen(marker.open_regular(os.path.join(folder, DIGESTS)), "rb") as file:
            data = file.read(_MAX_FILES * _DIGEST_BYTES)
    except OSError:
        data = b""
    digests = frozenset(data[at : at + _DIGEST_BYTES] for at in range(0, len(data), _DIGEST_BYTES))
    summary = marker.read(os.path.join(folder, SUMMARY)) or {"files": None, "complete": False}
    complete = summary["complete"] and len(data) == summary["files"] * _DIGEST_BYTES
    return Listing(identity["startedAt"], digests, complete)


def _write(fd: int, project: str) -> dict[str, Any]:
    until = time.monotonic() + MAX_S
    buffer, files, complete = bytearray(), 0, True
    folders = [""]
    while folders and complete:
        name = folders.pop()
        try:
            entries = os.scandir(os.path.join(project, name))
        except OSError:
            continue  # What the user cannot list, the user's training cannot have listed either.
        with entries:
            for entry in entries:
                if files >= _MAX_FILES or time.monotonic() > until:
                    complete = False
                    break
                path = os.path.join(name, entry.name)
                try:
                    info = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(info.st_mode):
                    folders.append(path)
                    continue
                buffer += _digest(path, info)
                files += 1
        if len(buffer) >= _BUFFER_BYTES or not folders or not complete:
            _write_all(fd, buffer)
            buffer = bytearray()
    return {"files": files, "complete": complete}


def _write_all(fd: int, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _digest(name: str, info: os.stat_result) -> bytes:
    numbers = f"{info.st_size} {info.st_mtime_ns} {info.st_ctime_ns} {info.st_ino}"
    return hashlib.blake2b(os.fsencode(name) + b"\0" + numbers.encode("ascii"), digest_size=_DIGEST_BYTES).digest()
