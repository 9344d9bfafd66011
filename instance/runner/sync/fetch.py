"""Fetches the archive by its presigned URL, a secret: neither it nor an error's own text goes into a message."""

import hashlib
import http.client
import os
import random
import re
import ssl
import time
import urllib.error
import urllib.request

from sync.report import SyncError, say, size

PIECE = 1 << 18
SILENCE = 30  # seconds without a byte until a try is given up
TRIES = 6
FIRST_WAIT = 0.5  # seconds, then 1, 2, 4, 8, each up to half as much again: below 25 s, of the URL's 300
RETRIED = {408, 425, 429, 500, 502, 503, 504}
NO_URL = "The archive's address is not an http or https URL."
LIMIT = " The link is valid for a few minutes and for one version of the archive: start the run again."


class Again(Exception):
    """A try failed in a way that the next one may not."""


def opener():
    """Only http and https: urllib's own would open file: and ftp: as well."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        made.add_handler(handler)
    return made


def fetch(url, expected, sha256, file, tell):
    """Downloads `expected` bytes into the open, unbuffered file, checks size and SHA-256; `tell(bytes)` hears of it.

    Raises SyncError FetchFailed or DigestMismatch; OSError when the file cannot be written.
    """
    wait = FIRST_WAIT
    for attempt in range(1, TRIES + 1):
        try:
            digest = once(url, expected, file, tell)
            break
        except Again as reason:
            if attempt == TRIES:
                raise SyncError(
                    "FetchFailed", "The archive could not be fetched in %d tries: %s." % (TRIES, reason)
                ) from None
            pause = wait * random.uniform(1, 1.5)  # noqa: S311 (spreads retries, hides nothing)
            say("Fetching failed: %s; again in %.1f s" % (reason, pause))
            time.sleep(pause)
            wait *= 2
    if digest != sha256:
        advice = "It was changed in transit, or the request is for another archive. Nothing was changed."
        raise SyncError(
            "DigestMismatch", "The archive's SHA-256 is %s, but the run verified %s. %s" % (digest, sha256, advice)
        )


def once(url, expected, file, tell):
    file.seek(0)
    file.truncate()
    digest = hashlib.sha256()
    done = 0
    with answer(url) as response:
        promised = response.length  # Content-Length, None for an answer in chunks
        while done != promised:
            try:
                piece = response.read1(PIECE)  # what has come: read() would wait for the whole piece
            except (OSError, http.client.HTTPException) as error:
                raise Again("the connection was reset after %s (%s)" % (size(done), reason(error))) from None
            if not piece:
                break
            done += len(piece)
            if done > expected:
                raise wrong_size("more than %d" % expected, expected)
            digest.update(piece)
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]
            tell(done)
    if done < expected:
        if promised and done < promised:
            raise Again("the connection ended after %s of %s" % (size(done), size(expected)))
        raise wrong_size(done, expected)
    return digest.hexdigest()


def answer(url):
    """The open response. Raises SyncError, or Again."""
    try:
        return opener().open(urllib.request.Request(url), timeout=SILENCE)  # noqa: S310 (this opener knows http and https alone)
    except urllib.error.HTTPError as error:
        code = re.search(rb"<Code>([A-Za-z0-9.]{1,64})</Code>", error.read(4096))
        told = "S3 answered %d%s" % (error.code, " " + code.group(1).decode() if code else "")
        if error.code in RETRIED:
            raise Again(told) from None
        raise SyncError("FetchFailed", "The archive could not be fetched: %s.%s" % (told, LIMIT)) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise SyncError(
                "FetchFailed", "The server's certificate is not trusted: " + error.reason.verify_message
            ) from None
        if not isinstance(error.reason, OSError):
            raise SyncError("FetchFailed", NO_URL) from None
        raise Again(reason(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise Again(reason(error)) from None
    except ValueError:
        raise SyncError("FetchFailed", NO_URL) from None


def reason(error):
    """What went wrong, in words that hold no URL: the system's text for its error number, or the kind of error."""
    if isinstance(error, TimeoutError) or (isinstance(error, OSError) and "timed out" in str(error)):
        return "no data for %d s" % SILENCE
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return "it was closed"
    return type(error).__name__


def wrong_size(found, expected):
    return SyncError(
        "DigestMismatch", "The archive has %s bytes, but the run verified %d. Nothing was changed." % (found, expected)
    )
