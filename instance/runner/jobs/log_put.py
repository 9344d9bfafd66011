"""Sends a piece of log that is too large for an answer: its gzip, with a PUT to a presigned URL."""

from __future__ import annotations

import hashlib
import os
import zlib

from common import presigned

#: For the whole PUT: the command that waits for it has 60 s.
_MAX_S = 20.0
_CHUNK = 1 << 20


def send(fd: int, start: int, max_bytes: int, url: str) -> tuple[int, str] | None:
    """PUTs up to `max_bytes` bytes from `start`. Returns (raw bytes, hex SHA-256 of the gzip), or None: not sent."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed: list[bytes] = []
    taken = 0
    while taken < max_bytes:
        chunk = os.pread(fd, min(_CHUNK, max_bytes - taken), start + taken)
        if not chunk:
            break
        packed.append(packer.compress(chunk))
        taken += len(chunk)
    if not taken:
        return None  # the job has truncated the log meanwhile
    packed.append(packer.flush())
    body = b"".join(packed)
    try:
        status = presigned.put(url, body, len(body), _MAX_S / 2, _MAX_S)
    except presigned.ERRORS:
        return None  # The answer then carries what fits, and the next one tries again.
    return (taken, hashlib.sha256(body).hexdigest()) if status == 200 else None
