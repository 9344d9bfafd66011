"""Who may use the instance. One run at a time: the one that holds the lease.

Everything that changes something on the instance (a start, a stop, a release) happens under `lease/lock`; a poll needs
no lock. A queue of waiting runs belongs here as well: tickets beside holder.json, served in `take`.
"""

import contextlib
import fcntl
import os
import time

import marker
import places
from protocol import Refusal

#: Longer than whoever holds the lock can need: a launch (15 s), or killing what is left of a run (8 s).
_LOCK_SECONDS = 30.0
_LOOK_AGAIN = 0.02


@contextlib.contextmanager
def locked(root):
    """Nobody else changes anything on this instance meanwhile. Makes the root's folders. Raises Refusal, Untrusted."""
    os.makedirs(os.path.dirname(root) or "/", exist_ok=True)
    for folder in (root, os.path.join(root, "runs"), places.lease_folder(root)):
        marker.folder(folder)
    # 0600: a job that could open the lock could hold it, and nothing would ever be stopped again.
    path = os.path.join(places.lease_folder(root), places.LOCK)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                raise Refusal("RunnerBroken", f"another request has held the instance's lock for {_LOCK_SECONDS:g} s")
            time.sleep(_LOOK_AGAIN)
        yield
    finally:
        os.close(fd)


def _try_lock(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(root):
    """{run, key, arn, since} of the run that holds the instance, or None."""
    return marker.read(_holder_path(root))


def take(root, run, ended, clear):
    """Gives the instance to `run` and returns None; or returns the holder that it has to wait for.

    ended: ARNs of executions that have ended: a holder among them is cleared up by `clear(key)`, which says whether
    nothing of it is left. Under the lock.
    """
    now = holder(root)
    if now is not None and now["key"] == run["key"]:
        return None
    if now is not None and not (now["arn"] in ended and clear(now["key"])):
        return {name: now[name] for name in ("run", "arn", "since")}
    mine = {"run": run["id"], "key": run["key"], "arn": run["arn"], "since": time.time()}
    marker.write(_holder_path(root), mine)
    return None


def is_holder(root, key):
    now = holder(root)
    return now is not None and now["key"] == key


def drop(root, key):
    """Gives the instance back if it is this run's. Under the lock."""
    if is_holder(root, key):
        marker.remove(_holder_path(root))
        marker.sync_folder(places.lease_folder(root))


def _holder_path(root):
    return os.path.join(places.lease_folder(root), "holder.json")
