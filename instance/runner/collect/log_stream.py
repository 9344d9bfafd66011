"""A job's log as gzip, without a copy on the disk: the same bytes each time it is read."""

import hashlib
import os
import time
import zlib

_CHUNK = 1 << 20


#: Of a log's raw bytes: no script writes so much for people. And of wall time, to read and pack them.
_MOST_RAW = 4 << 30
MOST_SECONDS = 300
#: A log that takes so many times less room on its disk is a hole, made by its job. Compressing filesystems save less.
_HOLLOW = 64


def meant(fd):
    """(how many bytes of a log are kept, why not all or None)."""
    info = os.fstat(fd)
    on_disk = max(info.st_blocks * 512, 1 << 20)
    if info.st_size > on_disk * _HOLLOW:
        return on_disk, f"it has a length of {info.st_size} bytes, of which the disk holds {info.st_blocks * 512}"
    if info.st_size > _MOST_RAW:
        return _MOST_RAW, f"it has {info.st_size} bytes"
    return info.st_size, None


class Gzipped:
    """The gzip of a file's first `most` bytes, in chunks; of fewer when `seconds` are over. `raw`: how many it took.

    zlib writes no time stamp: two readings of as many bytes give the same.
    """

    def __init__(self, fd, most, seconds=float("inf")):
        self.raw = 0
        self._fd, self._most, self._until = fd, most, time.monotonic() + seconds

    def __iter__(self):
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        while self.raw < self._most and time.monotonic() < self._until:
            chunk = os.pread(self._fd, min(_CHUNK, self._most - self.raw), self.raw)
            if not chunk:
                break
            self.raw += len(chunk)
            packed = packer.compress(chunk)
            if packed:
                yield packed
        yield packer.flush()


def plain(fd):
    """A file's bytes in chunks."""
    at = 0
    while True:
        chunk = os.pread(fd, _CHUNK, at)
        if not chunk:
            return
        at += len(chunk)
        yield chunk


def measure(chunks):
    """(bytes, hex SHA-256) of all of them."""
    digest, count = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        count += len(chunk)
    return count, digest.hexdigest()
