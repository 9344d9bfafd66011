"""A piece of log that is too much for an answer: gzip of it, PUT to a presigned URL."""

import hashlib
import http.client
import os
import time
import zlib
from urllib.parse import urlsplit

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
        return (taken, hashlib.sha256(body).hexdigest()) if _put(url, body) else None
    except (OSError, http.client.HTTPException):
        return None  # The answer then carries what fits, and the next one tries again.


def _put(url, body):
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    ends = time.monotonic() + _SECONDS
    connection = kind(parts.hostname, parts.port, timeout=_SECONDS / 2)
    try:
        connection.connect()
        connection.sock.settimeout(max(ends - time.monotonic(), 0.1))
        connection.request("PUT", f"{parts.path}?{parts.query}", body)
        connection.sock.settimeout(max(ends - time.monotonic(), 0.1))
        return connection.getresponse().status == 200
    finally:
        connection.close()
