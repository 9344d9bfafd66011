"""Starts a job of the same attempt again: one that was interrupted, or a restore that failed."""

from __future__ import annotations

import os
import time
from typing import Any

from common import marker, paths
from jobs import status, terminate

#: How often each job is started again.
_MAX_TIMES = {"install": 1, "restore": 3}


def is_due(job: str, state: str, end: dict[str, Any] | None) -> bool:
    """Whether a job in this state is one to start again. A restore that failed gets new URLs with the request."""
    if job not in _MAX_TIMES:
        return False
    return status.was_interrupted(state, end) or (job == "restore" and _error_of(end) == "RestoreFailed")


def may_start(job: str, folder: str) -> bool:
    """Whether it was not started again too often, and nothing of it is left."""
    return count(folder) < _MAX_TIMES[job] and terminate.empty(folder)


def count(folder: str) -> int:
    """How often the job was started again."""
    earlier = marker.read(os.path.join(folder, paths.RESTARTED))
    return 0 if earlier is None else earlier["count"]


def forget(folder: str, interrupted: bool) -> None:
    """Makes a job that has ended one that has not begun, with the log that it has. The marker comes first."""
    restarted = {"at": time.time(), "count": count(folder) + 1, "interrupted": interrupted}
    marker.write(os.path.join(folder, paths.RESTARTED), restarted)
    for name in (paths.EXIT, paths.TAIL, paths.PROGRESS, paths.LINGERED, paths.LOG_CUT, paths.ROOM, paths.IDENTITY):
        marker.remove(os.path.join(folder, name))
    marker.sync_folder(folder)


def _error_of(end: dict[str, Any] | None) -> str | None:
    error = ((end or {}).get("result") or {}).get("error")
    return error.get("name") if isinstance(error, dict) else None
