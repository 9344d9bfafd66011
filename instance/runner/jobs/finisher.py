"""Starts the finisher (package collect), a process of its own that packs and uploads, and waits for its results."""

from __future__ import annotations

import os
import time
from typing import Any, Callable

from common import marker, paths
from jobs import launch, lease

#: An answer comes within this time, whatever the request says: the agent has five workers.
_MAX_WAIT_S = 20.0
_MAX_LAUNCH_S = 10.0
_CHECK_INTERVAL_S = 0.05
#: A finisher that crashed so often is not started again.
MAX_ATTEMPTS = 4
_GRACE_S = 10


def until(root: str, wait: float, check: Callable[[], str], expected: str) -> str:
    """Checks, under the lock each time, until the state is `expected` or the time is over. Returns the last state."""
    deadline = time.monotonic() + min(wait, _MAX_WAIT_S)
    while True:
        with lease.locked(root):
            state = check()
        if state == expected or time.monotonic() > deadline:
            return state
        time.sleep(_CHECK_INTERVAL_S)


def advance(
    key: str,
    folder: str,
    work: str,
    done: str,
    write_input: Callable[[bool], None],
    give_up: Callable[[], dict[str, Any]],
) -> str:
    """Starts the finisher for `work` unless it is working or has written the marker `done`. Returns the state.

    key: of the run. write_input: writes what the finisher reads; its argument is whether this is the last attempt.
    give_up: what `done` holds when every attempt crashed.
    """
    path = os.path.join(folder, done)
    if marker.exists(path):
        return done.rsplit(".", 1)[0]
    if is_working(folder):
        return "working"
    marker.folder(folder)
    count_path = os.path.join(folder, attempts(work))
    count = (marker.read(count_path) or {"count": 0})["count"]
    if count >= MAX_ATTEMPTS:
        marker.write(path, give_up())
        return done.rsplit(".", 1)[0]
    marker.write(count_path, {"count": count + 1})
    os.close(os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    write_input(count + 1 == MAX_ATTEMPTS)
    _launch(key, folder, work, path)
    return "working"


def attempts(work: str) -> str:
    """The name of the file that counts them."""
    return f"{work}-attempts.json"


def _launch(key: str, folder: str, work: str, done: str) -> None:
    """Starts the finisher and waits until it holds its lock, so that nobody starts a second one."""
    launch.detached([work, folder], f"runctl-{key}-{work}-{os.getpid()}", _GRACE_S)
    deadline = time.monotonic() + _MAX_LAUNCH_S
    while not is_working(folder) and not marker.exists(done) and time.monotonic() < deadline:
        time.sleep(0.01)


def is_working(folder: str) -> bool:
    """Whether a finisher is working in this folder."""
    return marker.is_locked(os.path.join(folder, paths.LOCK))
