"""Reads ranges of what presigned URLs name, with the errors of a restore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from common import ranges
from common.presigned_get import Refused
from restore.errors import RestoreError

if TYPE_CHECKING:
    import threading


def read(url: str, start: int, end: int, size: int, take: Callable[[bytes, int], None], stop: threading.Event) -> None:
    """As ranges.read of common. Raises RestoreError, and what `take` raises."""
    try:
        ranges.read(url, start, end, size, take, stop)
    except Refused as error:
        raise RestoreError(str(error)) from None
