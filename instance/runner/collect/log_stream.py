"""A job's log as gzip, without a copy on the disk: the same bytes each time it is read."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from typing import Any, Iterable, Iterator

from common import log_times, marker

_CHUNK_BYTES = 1 << 20
_LINES_AT_ONCE = 10_000
#: Of a log's raw bytes: no script writes so much for people.
_MAX_RAW_BYTES = 4 << 30
#: Of wall time, to read and pack them.
MAX_READ_S = 300
#: A log that takes so many times less room on its disk is a hole, made by its job.
#: Compressing filesystems save less.
_MAX_HOLE_RATIO = 64


def kept_bytes(fd: int) -> tuple[int, str | None]:
    """(how many bytes of a log are kept, why not all or None)."""
    info = os.fstat(fd)
    on_disk = max(info.st_blocks * 512, 1 << 20)
    if info.st_size > on_disk * _MAX_HOLE_RATIO:
        return on_disk, f"it has a length of {info.st_size} bytes, of which the disk holds {info.st_blocks * 512}"
    if info.st_size > _MAX_RAW_BYTES:
        return _MAX_RAW_BYTES, f"it has {info.st_size} bytes"
    return info.st_size, None


class Gzipped:
    """The gzip of a file's first `limit` bytes, in chunks; of fewer when `seconds` are over.

    zlib writes no time stamp: two readings of as many bytes give the same.
    `raw`: how many bytes it has read.
    """

    def __init__(self, fd: int, limit: int, seconds: float = float("inf")) -> None:
        self.raw = 0
        self._fd, self._limit, self._until = fd, limit, time.monotonic() + seconds

    def __iter__(self) -> Iterator[bytes]:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        while self.raw < self._limit and time.monotonic() < self._until:
            chunk = os.pread(self._fd, min(_CHUNK_BYTES, self._limit - self.raw), self.raw)
            if not chunk:
                break
            self.raw += len(chunk)
            packed = packer.compress(chunk)
            if packed:
                yield packed
        yield packer.flush()


class Times:
    """The gzip of a log's times as lines `<bytes> <epoch milliseconds>`: when the file had how many bytes.

    begins: bytes that the log had before the first one of its file.
    """

    def __init__(self, fd: int, begins: int, limit: int) -> None:
        self._fd, self._begins, self._limit = fd, begins, limit

    def __iter__(self) -> Iterator[bytes]:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        lines: list[bytes] = []
        for reached, millis in log_times.after(self._fd, self._begins):
            lines.append(b"%d %d\n" % (min(reached - self._begins, self._limit), millis))
            if len(lines) == _LINES_AT_ONCE or reached - self._begins >= self._limit:
                yield packer.compress(b"".join(lines))
                lines = []
            if reached - self._begins >= self._limit:
                break
        yield packer.compress(b"".join(lines))
        yield packer.flush()


def plain(fd: int) -> Iterator[bytes]:
    """A file's bytes in chunks."""
    at = 0
    while True:
        chunk = os.pread(fd, _CHUNK_BYTES, at)
        if not chunk:
            return
        at += len(chunk)
        yield chunk


def entry(name: str, chunks: Iterable[bytes]) -> dict[str, Any]:
    """What collected.json says of a file: {name, bytes, sha256}."""
    size, digest = measure(chunks)
    return {"name": name, "bytes": size, "sha256": digest}


def add(folder: str, name: str, data: bytes, what: str, files: list[dict[str, Any]], warnings: list[str]) -> None:
    """Writes a file of the finisher and adds it to `files`. what: it is, for the warning when that fails."""
    try:
        marker.replace(os.path.join(folder, name), data)
    except OSError as error:
        warnings.append(f"{what} was not written: {error.strerror or error}")
        return
    files.append(entry(name, [data]))


def measure(chunks: Iterable[bytes]) -> tuple[int, str]:
    """(bytes, hex SHA-256) of all of them."""
    digest, count = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        count += len(chunk)
    return count, digest.hexdigest()
