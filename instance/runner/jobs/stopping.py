"""That the instance is about to be stopped, and when a run used it last: facts of this boot, kept beside the lease.

Their times are seconds since boot, which a clock that is set does not change. Changes need the lease's lock.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from common import image, marker, paths, processes

#: The function stops the instance within its own time-out, 180 s, of the answer that marked it. After this time a mark
#: means nothing: the stop was refused, and runs may start again.
MARK_S = 600.0


def uptime() -> float:
    """Seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def now() -> dict[str, Any]:
    """{bootId, uptime}: the time, as a fact of this boot."""
    return {"bootId": processes.boot_id(), "uptime": uptime()}


def mark(root: str) -> None:
    """From now on no job starts, until the next boot. Raises OSError."""
    marker.write(_mark_path(root), now())


def is_marked(root: str) -> bool:
    if image.is_under_way(root):
        return True  # for longer than a mark, and after its file has been removed
    found = _of_this_boot(_mark_path(root))
    return found is not None and uptime() - found["uptime"] < MARK_S


def note_use(root: str, key: str) -> None:
    """A run has got the lease, or has given it back. A full disk costs the note alone."""
    with contextlib.suppress(OSError):
        marker.write(_use_path(root), dict(now(), key=key), durable=False)


def last_use(root: str) -> tuple[str | None, float]:
    """(key of the run that used the instance last in this boot, or None; seconds since then, or since the boot)."""
    found = _of_this_boot(_use_path(root))
    return (None, uptime()) if found is None else (found["key"], uptime() - found["uptime"])


def _of_this_boot(path: str) -> dict[str, Any] | None:
    found = marker.read(path)
    return found if found is not None and found["bootId"] == processes.boot_id() else None


def _mark_path(root: str) -> str:
    return os.path.join(paths.lease_folder(root), "stopping.json")


def _use_path(root: str) -> str:
    return os.path.join(paths.lease_folder(root), "used.json")
