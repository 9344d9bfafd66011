"""Rebuilds an archive from the one of the last sync and the ranges that it lacks.

Whatever is not as expected raises NotRebuilt: then the archive is fetched whole.
"""

from __future__ import annotations

import hashlib
import http.client
import os

from common.presigned_get import PIECE_BYTES, Refused, RetryableError, open_url
from common.report import format_count, format_size, log
from sync import archive_index, previous
from sync.archive_index import InvalidIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from typing import Callable, Optional, Tuple

    from sync.archive_index import Member
    from sync.fetch import Meter
    from sync.workspace import Workspace

    #: Start and length in the new archive, and the start in the previous one; None: to fetch.
    Stretch = Tuple[int, int, Optional[int]]

#: A stretch that is shorter is fetched with those around it: a request takes as long as so many bytes.
SHORTEST_KEPT = 64 << 10
MAX_RANGES = 32
#: When more is missing, one request for the whole is simpler, and about as fast.
MAX_MISSING_SHARE = 0.7


class NotRebuilt(Exception):
    """The archive has to be fetched whole, for this reason."""


def fetch_index(url: str, sha256: str, expected: int, meter: Meter) -> tuple[list[Member], int]:
    """The members of the run's archive, and what they unpack to. Raises NotRebuilt."""
    data = b""
    try:
        with open_url(url) as response:
            while len(data) <= archive_index.MAX_BYTES:
                piece = response.read1(PIECE_BYTES)
                if not piece:
                    break
                data += piece
                meter.fetched += len(piece)
        return archive_index.read(data, sha256, expected)
    except (OSError, http.client.HTTPException, RetryableError, Refused):
        raise NotRebuilt("the archive's index could not be fetched") from None
    except InvalidIndex as error:
        raise NotRebuilt("the archive's index is of no use: %s" % error) from None


def plan(members: list[Member], earlier: list[Member]) -> list[Stretch]:
    """What to keep and what to fetch, in order. Raises NotRebuilt."""
    starts: dict[Member, int] = {}
    at = 0
    for member in earlier:
        starts.setdefault(member, at)
        at += member[0]
    stretches: list[Stretch] = []
    at = 0
    for member in members:
        _append(stretches, (at, member[0], starts.get(member)))
        at += member[0]
    shortest = SHORTEST_KEPT
    while True:
        joined = _join(stretches, shortest)
        if sum(source is None for _, _, source in joined) <= MAX_RANGES:
            break
        shortest *= 2
    missing = sum(length for _, length, source in joined if source is None)
    if missing > at * MAX_MISSING_SHARE:
        raise NotRebuilt("too little of it is in the archive of the last sync")
    return joined


def _append(stretches: list[Stretch], stretch: Stretch) -> None:
    start, length, source = stretch
    if not length:
        return
    if stretches:
        last_start, last_length, last_source = stretches[-1]
        follows = last_source is not None and source == last_source + last_length
        if follows or (source is None and last_source is None):
            stretches[-1] = (last_start, last_length + length, last_source)
            return
    stretches.append((start, length, source))


def _join(stretches: list[Stretch], shortest: int) -> list[Stretch]:
    """The same with kept stretches between missing ones fetched too, where they are too short."""
    joined: list[Stretch] = []
    for index, (start, length, source) in enumerate(stretches):
        is_between = 0 < index < len(stretches) - 1
        _append(joined, (start, length, None if is_between and length < shortest else source))
    return joined


def rebuild(
    workspace: Workspace,
    url: str,
    members: list[Member],
    sha256: str,
    archive: FileIO,
    meter: Meter,
    report: Callable[[int, int], None],
) -> None:
    """Writes the archive into the open, empty file. Raises NotRebuilt; OSError when the file cannot be written.

    `report(done, total)` is called with bytes that were fetched, and that are to be.
    """
    try:
        kept = previous.load(workspace)
    except InvalidIndex as error:
        raise NotRebuilt("the archive of the last sync is of no use: %s" % error) from None
    if kept is None:
        raise NotRebuilt("no archive of an earlier sync is kept here")
    file, earlier = kept
    with file:
        stretches = plan(members, earlier)
        ranges = [length for _, length, source in stretches if source is None]
        total, expected = sum(ranges), sum(length for length, _ in members)
        what = "%s of it in %s" % (format_size(total), format_count(len(ranges), "range"))
        log("Fetching %s; the rest is in the archive of the last sync" % what)
        digest, done = hashlib.sha256(), 0
        for start, length, source in stretches:
            pieces = _fetch(url, start, length, expected) if source is None else _read(file, source, length)
            for piece in pieces:
                if source is None:
                    done += len(piece)
                    meter.fetched += len(piece)
                    report(done, total)
                digest.update(piece)
                remaining = memoryview(piece)
                while remaining:
                    remaining = remaining[archive.write(remaining) :]
    if digest.hexdigest() != sha256:
        raise NotRebuilt("the archive of the last sync, or the index, is damaged")


def _read(file: FileIO, start: int, length: int) -> Iterator[bytes]:
    while length:
        try:
            piece = os.pread(file.fileno(), min(length, PIECE_BYTES), start)
        except OSError as error:
            raise NotRebuilt("the archive of the last sync cannot be read: %s" % error.strerror) from None
        if not piece:
            raise NotRebuilt("the archive of the last sync is cut off")
        yield piece
        start += len(piece)
        length -= len(piece)


def _fetch(url: str, start: int, length: int, size: int) -> Iterator[bytes]:
    """The bytes of one range, exactly: another answer raises NotRebuilt."""
    try:
        response = open_url(url, {"Range": "bytes=%d-%d" % (start, start + length - 1)})
    except (RetryableError, Refused):
        raise NotRebuilt("a range of it could not be fetched") from None
    with response:
        where = "bytes %d-%d/%d" % (start, start + length - 1, size)
        if response.status != 206 or response.headers.get("Content-Range") != where or response.length != length:
            raise NotRebuilt("the server did not answer with the range (status %d)" % response.status)
        while length:
            try:
                piece = response.read1(min(length, PIECE_BYTES))
            except (OSError, http.client.HTTPException):
                raise NotRebuilt("the connection ended in a range of it") from None
            if not piece:
                raise NotRebuilt("the connection ended in a range of it")
            yield piece
            length -= len(piece)
