"""Reads the files that a training on this image needs, once: EC2 loads the blocks of an image when they are read first.

With a low priority, as the user whose list it is, and at most so much. Nothing depends on it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

from common import accounts, marker, paths

_MAX_LIST_BYTES = 32 << 20
_MAX_FILES = 50_000
_MAX_BYTES = 20 << 30
_PIECE = 1 << 20
#: Each read waits for the network: several at a time.
_THREADS = 8
_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def main(root: str) -> int:
    work = marker.read(paths.read_ahead(root))
    if work is None:
        return 0
    account = accounts.Account(**work["account"])
    os.nice(19)
    if os.geteuid() == 0 and account.uid != 0:
        accounts.drop_to(account)
    files = _listed(os.path.join(account.home, paths.OPENED))
    Reader(_MAX_BYTES).read(files)
    return 0


class Reader:
    """max_bytes: of all files together."""

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._lock = threading.Lock()

    def read(self, files: list[bytes]) -> None:
        rest = iter(files)
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in range(_THREADS):
                pool.submit(self._read_all, rest)

    def _read_all(self, rest: Iterator[bytes]) -> None:
        for path in rest:
            self._read(path)

    def _read(self, path: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            fd = os.open(path, _READ_FILE)
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    while self._may_read() and os.read(fd, _PIECE):
                        pass
            finally:
                os.close(fd)

    def _may_read(self) -> bool:
        with self._lock:
            self._left -= _PIECE
            return self._left >= 0


def _listed(path: str) -> list[bytes]:
    try:
        fd = os.open(path, _READ_FILE)
    except OSError:
        return []
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return []
        lines = file.read(_MAX_LIST_BYTES).split(b"\n")
    return [line for line in lines[:_MAX_FILES] if line.startswith(b"/")]
