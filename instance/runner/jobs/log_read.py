"""Pieces of a job's log for an answer: as many bytes as fit, and the last lines for people."""

import binascii
import os
import zlib

from common import marker

_CHUNK = 16_384
#: Finer than this the search for the last byte that fits is not worth its time.
_FINEST = 512
_TAIL_LINES = 20
_TAIL_BYTES = 4_096
#: A line of the tail is looked for in so many bytes at the end of the log.
_TAIL_WINDOW = 65_536


def open_log(path):
    """A descriptor of the log, or None when there is none (or something else lies in its place)."""
    try:
        return marker.open_regular(path)
    except (OSError, marker.Untrusted):
        return None


def size(fd):
    return 0 if fd is None else os.fstat(fd).st_size


def pack(fd, start, limit, room):
    """Up to `limit` raw bytes from `start` of the file, whose base64 of gzip has at most `room` characters.

    Returns (number of raw bytes, text). A log line repeats the one before, so gzip carries five times the room;
    what exactly fits is only known by trying, on a copy of the compressor.
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
        elif step > _FINEST:
            step //= 2
        else:
            break
    return taken, binascii.b2a_base64(packed + packer.flush(), newline=False).decode("ascii")


def _base64_length(count):
    return (count + 2) // 3 * 4


def tail(fd, redact=None):
    """The last 20 lines, 4 KB at most, fit to be shown: what was drawn over left out, the unprintable escaped.

    redact: a Redactor of the job's secrets, or None.
    """
    end = size(fd)
    if end == 0:
        return []
    # A value that begins before the window must be seen whole to be recognized.
    window = min(end, _TAIL_WINDOW + (redact.longest if redact else 0))
    text = os.pread(fd, window, end - window).decode("utf-8", "backslashreplace")
    if redact:
        text = redact(text)
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")[-_TAIL_LINES:]
    kept, room = [], _TAIL_BYTES
    for line in reversed(lines):
        shown = _printable(line.rstrip("\r").rsplit("\r", 1)[-1])
        cost = len(shown.encode("utf-8")) + 1
        if cost > room:
            if not kept:
                kept.append(shown.encode("utf-8")[1 - room :].decode("utf-8", "ignore"))
            break
        kept.append(shown)
        room -= cost
    return kept[::-1]


def _printable(line):
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in line)
