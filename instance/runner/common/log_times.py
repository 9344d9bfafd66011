"""When a job's log had how many bytes: a record of 16 bytes about once a second, while the log grows."""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

#: Bytes that the log has had, epoch milliseconds.
_RECORD = struct.Struct(">QQ")
#: Between two records: a second, since the log is checked once a second. After six days that log lines
#: without a pause, ten seconds: 16 bytes a second would fill the disk of a very long training.
_INTERVAL_S, _LONG_INTERVAL_S = 0.9, 9.0
_MANY_RECORDS = 500_000
_RECORDS_AT_ONCE = 4_096


class Recorder:
    """Appends to the file of a job's log."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._records = os.fstat(self._fd).st_size // _RECORD.size
        os.ftruncate(self._fd, self._records * _RECORD.size)
        self._reached, self._at = 0, 0.0

    def record(self, reached: int, now: float, is_last: bool = False) -> None:
        """Records how many bytes the log has had, when it has grown since. Raises OSError."""
        interval = _INTERVAL_S if self._records < _MANY_RECORDS else _LONG_INTERVAL_S
        if reached <= self._reached or (0 <= now - self._at < interval and not is_last):
            return
        os.write(self._fd, _RECORD.pack(reached, int(now * 1_000)))
        self._reached, self._at = reached, now
        self._records += 1


def after(fd: int, offset: int) -> Iterator[tuple[int, int]]:
    """The records of what follows byte `offset` of the log: (bytes, epoch milliseconds), oldest first."""
    low, high = 0, os.fstat(fd).st_size // _RECORD.size
    while low < high:
        middle = (low + high) // 2
        reached = _RECORD.unpack(os.pread(fd, _RECORD.size, middle * _RECORD.size))[0]
        low, high = (middle + 1, high) if reached <= offset else (low, middle)
    at = low * _RECORD.size
    while True:
        data = os.pread(fd, _RECORD.size * _RECORDS_AT_ONCE, at)
        data = data[: len(data) // _RECORD.size * _RECORD.size]
        if not data:
            return
        at += len(data)
        yield from _RECORD.iter_unpack(data)
