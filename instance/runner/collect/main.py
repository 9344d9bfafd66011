"""The finisher: the processes `collect <folder>` and `upload <folder>`, detached; the folder is the run's `finish`."""

import fcntl
import os
import time

from common import marker, paths, processes

#: Half a second, in steps of 0.01 s.
_TRIES = 50


def main(work, folder):
    """Returns 0; also when another finisher is at it."""
    os.umask(0o022)
    os.chdir("/")
    lock = os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_NOFOLLOW)
    if not _taken(lock):
        return 0
    errors = os.open(os.path.join(folder, paths.ERRORS), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(errors, 2)
    me = processes.look(os.getpid())
    identity = {"pid": me.pid, "startTime": me.start, "bootId": processes.boot_id()}
    marker.write(os.path.join(folder, paths.IDENTITY), identity)
    if work == "collect":
        from collect import pack

        pack.main(folder)
    else:
        from collect import upload

        upload.main(folder)
    return 0


def _taken(lock):
    """Takes the lock, which a request that looks whether it is taken holds for a moment; not for longer."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False
