"""PUTs to presigned URLs. A URL is a secret: it is in no message and in no error of these functions."""

from __future__ import annotations

import http.client
import time
from typing import Iterable
from urllib.parse import urlsplit

#: What a PUT can fail with. Of an HTTPException only the type may be shown: its text may contain the URL.
ERRORS = (OSError, http.client.HTTPException)


def put(url: str, body: bytes | Iterable[bytes], length: int, silence: float, within: float | None = None) -> int:
    """Sends a body of `length` bytes (bytes, or chunks of them). Returns the HTTP status. Raises ERRORS.

    silence: seconds that one read or write may take. within: seconds for all of it; None: as long as it takes.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    ends = None if within is None else time.monotonic() + within
    connection = kind(parts.hostname or "", parts.port, timeout=silence)

    def limit() -> None:
        if ends is not None and connection.sock is not None:
            connection.sock.settimeout(max(ends - time.monotonic(), 0.1))

    try:
        connection.connect()
        limit()
        connection.request("PUT", f"{parts.path}?{parts.query}", body, {"Content-Length": str(length)})
        limit()
        return connection.getresponse().status
    finally:
        connection.close()
