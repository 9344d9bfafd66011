"""The finisher: the processes `collect <folder>`, `upload <folder>` and `fetch <folder>`, detached.

The folder is the run's `finish`; of a `fetch` and its `upload`, the folder of that request.
"""

from __future__ import annotations

import fcntl
import os
import time

from common import marker, paths, processes

#: Half a second, in steps of 0.01 s.
_LOCK_ATTEMPTS = 50


def main(work: str, folder: str) -> int:
    """Returns 0; also when another finisher holds the lock."""
    os.umask(0o022)
    os.chdir("/")
    lock = os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_NOFOLLOW)
    if not _take(lock):
        return 0
    errors = os.open(os.path.join(folder, paths.ERRORS), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(errors, 2)
    own = processes.look(os.getpid())
    if own is None:
        raise RuntimeError("/proc does not show this process")
    identity = {"pid": own.pid, "startTime": own.start, "bootId": processes.boot_id()}
    marker.write(os.path.join(folder, paths.IDENTITY), identity)
    if work == "collect":
        from collect import pack

        pack.main(folder)
    elif work == "fetch":
        from collect import pack

        pack.fetch(folder)
    else:
        from collect import upload

        upload.main(folder)
    return 0


def _take(lock: int) -> bool:
    """Takes the lock, which a request that checks it holds for a moment. Returns False when it stays locked."""
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False
