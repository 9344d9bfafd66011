"""A piece of log that is too much for an answer: gzip of it, PUT to a presigned URL."""

import hashlib
import os
import zlib

from common import presigned

#: Of all waiting together: the command that asks has 60 s.
_SECONDS = 20.0
_CHUNK = 1 << 20


def send(fd, start, most, url):
    """PUTs up to `most` bytes from `start`. Returns (raw bytes, hex SHA-256 of the gzip), or None: not sent."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed, taken = [], 0
    while taken < most:
        chunk = os.pread(fd, min(_CHUNK, most - taken), start + taken)
        if not chunk:
            break
        packed.append(packer.compress(chunk))
        taken += len(chunk)
    if not taken:
        return None  # its job has cut the log meanwhile
    packed.append(packer.flush())
    body = b"".join(packed)
    try:
        status = presigned.put(url, body, len(body), _SECONDS / 2, _SECONDS)
    except presigned.ERRORS:
        return None  # The answer then carries what fits, and the next one tries again.
    return (taken, hashlib.sha256(body).hexdigest()) if status == 200 else None
