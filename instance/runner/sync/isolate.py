"""Runs a short piece of work where the kill of a job does not reach it.

A `kill -9` of the sync in the middle of its renames would leave a mix of old and new code until the next sync. So a
child does them, in a process group of its own: it ends them in milliseconds, whatever becomes of its parent. It stays
in the job's session, so the supervisor waits for it; the project's lock is open in it, so the next sync waits as well.
"""

import os
import signal

from common import child
from sync.report import SyncError

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def apart(work):
    """Returns what `work` returns (as JSON can say it); raises its OSError or SyncError."""
    # A stop waits until the work is done, here and in the child, which inherits this.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        answer: dict = child.run(lambda: _result_of(work))
    except RuntimeError:
        answer = {"broken": "it was killed"}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]), answer["file"])
    if "error" in answer:
        raise SyncError(*answer["error"])
    if "broken" in answer:
        raise SyncError(
            "SyncFailed", "Applying the code was interrupted (%s); the next sync completes it" % answer["broken"]
        )
    return answer["done"]


def _result_of(work):
    """The child's whole life."""
    try:
        os.setpgid(0, 0)
        return {"done": work()}
    except OSError as error:
        return {"errno": error.errno, "file": os.fsdecode(error.filename) if error.filename else None}
    except SyncError as error:
        return {"error": [error.name, error.message]}
    except BaseException as error:
        return {"broken": type(error).__name__}
