"""Fetches the archive by its presigned URL, a secret: neither it nor an error's own text goes into a message."""

from __future__ import annotations

import hashlib
import http.client
import random
import time

from common.presigned_get import FIRST_WAIT_S, MAX_ATTEMPTS, PIECE_BYTES, Refused, RetryableError, describe, open_url
from common.report import format_size, log
from sync.report import SyncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO
    from typing import Callable

EXPIRY_ADVICE = " The link is valid for a few minutes and for one version of the archive: start the run again."


class Meter:
    """Counts the bytes that were fetched, also by attempts that failed."""

    def __init__(self) -> None:
        self.fetched = 0


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
    with _open(url) as response:
        content_length = response.length  # Content-Length, None for an answer in chunks
        while done != content_length:
            try:
                piece = response.read1(PIECE_BYTES)  # what has arrived: read() would wait for the whole piece
            except (OSError, http.client.HTTPException) as error:
                raise RetryableError(
                    "the connection was reset after %s (%s)" % (format_size(done), describe(error))
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


def _open(url: str) -> http.client.HTTPResponse:
    """The open response. Raises SyncError, or RetryableError."""
    try:
        return open_url(url)
    except Refused as error:
        advice = "." + EXPIRY_ADVICE if error.answered else "."
        raise SyncError("FetchFailed", "The archive could not be fetched: %s%s" % (error, advice)) from None


def _wrong_size(found: int | str, expected: int) -> SyncError:
    return SyncError(
        "DigestMismatch", "The archive has %s bytes, but the run verified %d. Nothing was changed." % (found, expected)
    )
