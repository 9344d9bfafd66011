"""Fetches the archive by its presigned URL, a secret: neither it nor an error's own text goes into a message."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import re
import ssl
import time
import urllib.error
import urllib.request

from sync.report import SyncError, format_size, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO
    from typing import Callable

PIECE_BYTES = 1 << 18
SILENCE_S = 30  # without a byte, then the attempt is given up
MAX_ATTEMPTS = 6
FIRST_WAIT_S = 0.5  # then 1, 2, 4, 8, each up to half as much again: below 25 s, of the URL's 300
RETRIED_STATUSES = {408, 425, 429, 500, 502, 503, 504}
BAD_URL_MESSAGE = "The archive's address is not an http or https URL."
EXPIRY_ADVICE = " The link is valid for a few minutes and for one version of the archive: start the run again."


class RetryableError(Exception):
    """An attempt failed, and the next one may succeed."""


class Meter:
    """Counts the bytes that were fetched, also by attempts that failed."""

    def __init__(self) -> None:
        self.fetched = 0


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


def fetch(url: str, expected: int, sha256: str, file: FileIO, meter: Meter, report: Callable[[int, int], None]) -> None:
    """Downloads `expected` bytes into the open, unbuffered file; checks size and SHA-256.

    `report(done, total)` is called for each piece.

    Raises SyncError FetchFailed or DigestMismatch; OSError when the file cannot be written.
    """
    wait = FIRST_WAIT_S
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            digest = _attempt(url, expected, file, meter, report)
            break
        except RetryableError as error:
            if attempt == MAX_ATTEMPTS:
                raise SyncError(
                    "FetchFailed", "The archive could not be fetched in %d tries: %s." % (MAX_ATTEMPTS, error)
                ) from None
            pause = wait * random.uniform(1, 1.5)  # noqa: S311 (spreads retries, hides nothing)
            log("Fetching failed: %s; again in %.1f s" % (error, pause))
            time.sleep(pause)
            wait *= 2
    if digest != sha256:
        advice = "It was changed in transit, or the request is for another archive. Nothing was changed."
        raise SyncError(
            "DigestMismatch", "The archive's SHA-256 is %s, but the run verified %s. %s" % (digest, sha256, advice)
        )


def _attempt(url: str, expected: int, file: FileIO, meter: Meter, report: Callable[[int, int], None]) -> str:
    """One download; returns the SHA-256. Raises SyncError, or RetryableError."""
    file.seek(0)
    file.truncate()
    digest = hashlib.sha256()
    done = 0
    with open_url(url) as response:
        content_length = response.length  # Content-Length, None for an answer in chunks
        while done != content_length:
            try:
                piece = response.read1(PIECE_BYTES)  # what has arrived: read() would wait for the whole piece
            except (OSError, http.client.HTTPException) as error:
                raise RetryableError(
                    "the connection was reset after %s (%s)" % (format_size(done), _describe(error))
                ) from None
            if not piece:
                break
            done += len(piece)
            meter.fetched += len(piece)
            if done > expected:
                raise _wrong_size("more than %d" % expected, expected)
            digest.update(piece)
            remaining = memoryview(piece)
            while remaining:
                remaining = remaining[file.write(remaining) :]
            report(done, expected)
    if done < expected:
        if content_length and done < content_length:
            raise RetryableError("the connection ended after %s of %s" % (format_size(done), format_size(expected)))
        raise _wrong_size(done, expected)
    return digest.hexdigest()


def open_url(url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
    """The open response. Raises SyncError, or RetryableError."""
    try:
        return _build_opener().open(urllib.request.Request(url, headers=headers or {}), timeout=SILENCE_S)  # noqa: S310 (this opener knows http and https alone)
    except urllib.error.HTTPError as error:
        code = re.search(rb"<Code>([A-Za-z0-9.]{1,64})</Code>", error.read(4096))
        outcome = "S3 answered %d%s" % (error.code, " " + code.group(1).decode() if code else "")
        if error.code in RETRIED_STATUSES:
            raise RetryableError(outcome) from None
        raise SyncError("FetchFailed", "The archive could not be fetched: %s.%s" % (outcome, EXPIRY_ADVICE)) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise SyncError(
                "FetchFailed", "The server's certificate is not trusted: " + error.reason.verify_message
            ) from None
        if not isinstance(error.reason, OSError):
            raise SyncError("FetchFailed", BAD_URL_MESSAGE) from None
        raise RetryableError(_describe(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise RetryableError(_describe(error)) from None
    except ValueError:
        raise SyncError("FetchFailed", BAD_URL_MESSAGE) from None


def _describe(error: Exception) -> str:
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


def _wrong_size(found: int | str, expected: int) -> SyncError:
    return SyncError(
        "DigestMismatch", "The archive has %s bytes, but the run verified %d. Nothing was changed." % (found, expected)
    )
