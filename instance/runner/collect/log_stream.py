"""A job's log as gzip, without a copy on the disk: the same bytes each time it is read."""

import hashlib
import os
import zlib

_CHUNK = 1 << 20


def gzipped(fd, most):
    """The gzip of a file's first `most` bytes, in chunks. zlib writes no time stamp: two readings give the same."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    at = 0
    while at < most:
        chunk = os.pread(fd, min(_CHUNK, most - at), at)
        if not chunk:
            break
        at += len(chunk)
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
