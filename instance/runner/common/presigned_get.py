"""GETs of presigned URLs. A URL is a secret: neither it nor an error's own text goes into a message."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import urllib.error
import urllib.request

PIECE_BYTES = 1 << 18
SILENCE_S = 30  # without a byte, then the attempt is given up
#: Of connections that bring no byte, one after another.
MAX_ATTEMPTS = 6
FIRST_WAIT_S = 0.5  # then 1, 2, 4, 8, each up to half as much again: below 25 s, of the URL's 300
_RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504}


class RetryableError(Exception):
    """An attempt failed, and the next one may succeed."""


class Refused(Exception):
    """The server does not give what the URL names. `answered`: whether it said so; else the URL is of no use."""

    def __init__(self, message: str, answered: bool = True) -> None:
        super().__init__(message)
        self.answered = answered


def _build_opener() -> urllib.request.OpenerDirector:
    """An opener of http and https alone: urllib's own would open file: and ftp: as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def open_url(url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    """The open response. Raises Refused, or RetryableError."""
    try:
        return _build_opener().open(urllib.request.Request(url, headers=headers or {}), timeout=SILENCE_S)  # noqa: S310 (this opener knows http and https alone)
    except urllib.error.HTTPError as error:
        outcome = "S3 answered %d%s" % (error.code, _code_of(error))
        if error.code in _RETRIED_STATUSES:
            raise RetryableError(outcome) from None
        raise Refused(outcome) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            message = "the server's certificate is not trusted: " + error.reason.verify_message
            raise Refused(message, answered=False) from None
        if not isinstance(error.reason, OSError):
            raise Refused("its address is not an http or https URL", answered=False) from None
        raise RetryableError(describe(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise RetryableError(describe(error)) from None
    except ValueError:
        raise Refused("its address is not an http or https URL", answered=False) from None


def _code_of(error: urllib.error.HTTPError) -> str:
    """What S3 calls the error, after a space."""
    try:
        code = re.search(rb"<Code>([A-Za-z0-9.]{1,64})</Code>", error.read(4096))
    except (OSError, http.client.HTTPException):
        return ""
    return " " + code.group(1).decode() if code else ""


def describe(error: Exception) -> str:
    """What failed, in words without the URL: the system's text for its error number, or the kind of error."""
    if isinstance(error, TimeoutError) or (isinstance(error, OSError) and "timed out" in str(error)):
        return "no data for %d s" % SILENCE_S
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return "it was closed"
    return type(error).__name__
