"""Runs a short piece of work where the kill of a job does not reach it.

A `kill -9` of the sync in the middle of its renames would leave a mix of old and new code until the next sync. So a
child does them, in a process group of its own: it completes them in milliseconds, whatever happens to its parent. It
stays in the job's session, so the supervisor waits for it. The project's lock is open in it, so the next sync waits
as well.
"""

from __future__ import annotations

import os
import signal

from common import child
from common.job_process import JobError
from sync.report import SyncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    T = TypeVar("T")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_isolated(work: Callable[[], T]) -> T:
    """Returns what `work` returns, through JSON; raises its OSError or SyncError."""
    # A stop waits until the work is done, here and in the child, which inherits the mask.
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        answer: dict[str, Any] = child.run(lambda: _capture(work))
    except RuntimeError:
        answer = {"broken": "it was killed"}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]), answer["file"])
    if "error" in answer:
        raise SyncError(*answer["error"])
    if "broken" in answer:
        raise SyncError(
            "SyncFailed", "Applying the code was interrupted (%s); the next sync completes it" % answer["broken"]
        )
    return answer["done"]


def _capture(work: Callable[[], object]) -> dict[str, Any]:
    """Runs in the child: the result of the work, or its error, as JSON can express it."""
    try:
        os.setpgid(0, 0)
        return {"done": work()}
    except OSError as error:
        return {"errno": error.errno, "file": os.fsdecode(error.filename) if error.filename else None}
    except JobError as error:
        return {"error": [error.name, error.message]}
    except BaseException as error:
        return {"broken": type(error).__name__}
