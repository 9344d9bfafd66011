"""Fetches the files of a checkpoint into their staging, over several connections, and verifies each part."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from typing import Callable, NamedTuple

from common import form_post
from restore import ranges
from restore.checkpoint_list import File, Part
from restore.errors import RestoreError

_CONNECTIONS = 8
#: A part may have 5 GB: several connections fetch it.
_RANGE_BYTES = 32 << 20
#: So often is a part fetched whose MD5 is wrong.
_MAX_ROUNDS = 3
_REPORT_S = 0.25


class Staged(NamedTuple):
    """A file, and the name of its copy in the staging folder `fd`."""

    file: File
    fd: int
    name: str

    def open(self, flags: int) -> int:
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=self.fd)

    def allocated(self) -> int:
        """Bytes on the disk that an earlier restore has filled."""
        try:
            return os.stat(self.name, dir_fd=self.fd, follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            return 0


class _Range(NamedTuple):
    staged: Staged
    part: Part
    start: int
    end: int


class Fetch:
    """report(bytes so far, path): called a few times a second."""

    def __init__(self, report: Callable[[int, str], None]) -> None:
        self.bytes = 0
        self._report = report
        self._current = ""
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def run(self, missing: list[tuple[Staged, Part]]) -> None:
        """Fetches parts. Raises RestoreError, OSError; what was fetched stays in the staging."""
        for _ in range(_MAX_ROUNDS):
            self._fetch(missing)
            missing = [one for one, is_right in zip(missing, verify(missing)) if not is_right]
            if not missing:
                return
        names = ", ".join(sorted({staged.file.path for staged, _ in missing})[:3])
        raise RestoreError(f"what S3 has is not what was saved: the MD5 of {names} is wrong")

    def _fetch(self, missing: list[tuple[Staged, Part]]) -> None:
        work = [
            _Range(staged, part, start, min(start + _RANGE_BYTES, part.bytes))
            for staged, part in missing
            for start in range(0, part.bytes, _RANGE_BYTES)
        ]
        with concurrent.futures.ThreadPoolExecutor(_CONNECTIONS) as pool:
            futures = {pool.submit(self._fetch_range, item) for item in work}
            try:
                while futures:
                    done, futures = concurrent.futures.wait(futures, _REPORT_S, concurrent.futures.FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    self._report(self.bytes, self._current)
            except BaseException:
                self._stop.set()
                for future in futures:
                    future.cancel()
                raise

    def _fetch_range(self, item: _Range) -> None:
        if self._stop.is_set():
            return
        staged, part = item.staged, item.part
        fd = staged.open(os.O_WRONLY)

        def take(piece: bytes, at: int) -> None:
            view, place = memoryview(piece), part.offset + at
            while view:
                written = os.pwrite(fd, view, place)
                view, place = view[written:], place + written
            with self._lock:
                self.bytes += len(piece)
                self._current = staged.file.path

        try:
            ranges.read(part.url, item.start, item.end, part.bytes, take, self._stop)
        except RestoreError as error:
            raise RestoreError(f"{staged.file.path} could not be fetched: {error}") from None
        finally:
            os.close(fd)


def verify(parts: list[tuple[Staged, Part]]) -> list[bool]:
    """Whether each part has its MD5. Raises OSError."""
    with concurrent.futures.ThreadPoolExecutor(min(_CONNECTIONS, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda one: _is_right(*one), parts))


def _is_right(staged: Staged, part: Part) -> bool:
    fd = staged.open(os.O_RDONLY)
    try:
        return has_content(fd, part)
    finally:
        os.close(fd)


def has_content(fd: int, part: Part) -> bool:
    """Whether a file has this part at its place."""
    if os.fstat(fd).st_size < part.offset + part.bytes:
        return False
    return form_post.md5_of(fd, part.offset, part.bytes).hex() == part.md5
