"""One HTTP request with the standard library: no proxy, no redirect, bounded time and size.

The metadata service must never be reached through a proxy, and a redirect could carry credentials to another host;
urllib does both by default.
"""

from __future__ import annotations

import http.client
import os
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

#: A secret of 64 KiB in JSON, with every byte escaped, and the fields around it.
_MAX_ANSWER_BYTES = 512 * 1024


class NoAnswer(Exception):
    """No whole HTTP answer came. The text has the system's reason, and nothing of the request or the answer."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def call(method: str, url: str, headers: dict[str, str], body: bytes, timeout: float) -> Answer:
    """timeout: seconds without a byte. Raises NoAnswer."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.scheme not in ("http", "https"):
        raise NoAnswer("its address is not an http or https URL")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, parts.path or "/", body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read(_MAX_ANSWER_BYTES + 1)
        if len(content) > _MAX_ANSWER_BYTES:
            raise NoAnswer(f"the answer has more than {_MAX_ANSWER_BYTES} bytes")
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(_reason(error, timeout)) from None
    finally:
        connection.close()


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError):
        if "timed out" in str(error):
            return f"no byte came for {timeout:.1f} s"
        if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
            return os.strerror(error.errno)
        if error.strerror:
            return error.strerror
    return type(error).__name__
