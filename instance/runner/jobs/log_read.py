"""Pieces of a job's log for an answer: as many bytes as fit, and the last lines for people."""

from __future__ import annotations

import binascii
import os
import zlib

from common import marker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from common.secrets.redact import Redactor

_CHUNK = 16_384
#: The search for the last byte that fits stops at this step.
_MIN_STEP = 512
_TAIL_LINES = 20
_TAIL_BYTES = 4_096
#: The tail's lines are taken from this many bytes at the end of the log.
_TAIL_WINDOW = 65_536


def open_log(path: str) -> int | None:
    """A descriptor of the log, or None when it does not exist or is not the runner's file."""
    try:
        return marker.open_regular(path)
    except (OSError, marker.Untrusted):
        return None


def size(fd: int | None) -> int:
    return 0 if fd is None else os.fstat(fd).st_size


def pack(fd: int | None, start: int, limit: int, room: int) -> tuple[int, str]:
    """Up to `limit` raw bytes from `start` of the file, whose base64 of gzip has at most `room` characters.

    Returns (number of raw bytes, text). Log lines repeat each other, so gzip carries about five times `room`; what
    exactly fits is found by trying, on a copy of the compressor.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    packed, taken, step = b"", 0, _CHUNK
    while fd is not None and taken < limit:
        chunk = os.pread(fd, min(step, limit - taken), start + taken)
        if not chunk:
            break
        trial = packer.copy()
        more = trial.compress(chunk)
        if _base64_length(len(packed) + len(more) + len(trial.copy().flush())) <= room:
            packer, packed, taken = trial, packed + more, taken + len(chunk)
        elif step > _MIN_STEP:
            step //= 2
        else:
            break
    return taken, binascii.b2a_base64(packed + packer.flush(), newline=False).decode("ascii")


def _base64_length(count: int) -> int:
    return (count + 2) // 3 * 4


def tail(fd: int | None, redact: Redactor | None = None) -> list[str]:
    """The last 20 lines, 4 KB at most, for a terminal: without overwritten parts, unprintable characters escaped.

    redact: a Redactor of the job's secrets, or None.
    """
    end = size(fd)
    if fd is None or end == 0:
        return []
    # A value that begins before the window is recognized only as a whole.
    window = min(end, _TAIL_WINDOW + (redact.longest if redact else 0))
    text = os.pread(fd, window, end - window).decode("utf-8", "backslashreplace")
    if redact:
        text = redact(text)
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")[-_TAIL_LINES:]
    kept: list[str] = []
    room = _TAIL_BYTES
    for line in reversed(lines):
        text = _printable(line.rstrip("\r").rsplit("\r", 1)[-1])
        cost = len(text.encode("utf-8")) + 1
        if cost > room:
            if not kept:
                kept.append(text.encode("utf-8")[1 - room :].decode("utf-8", "ignore"))
            break
        kept.append(text)
        room -= cost
    return kept[::-1]


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in line)
