"""The finisher's entrance: `collect <folder>` or `upload <folder>`, detached; the folder is the run's `finish`."""

import fcntl
import os
import sys
import time

import marker
import places
import procs

#: Half a second, in steps of 0.01 s.
_TRIES = 50


def main(work, folder):
    """Returns 0; also when another finisher is at it."""
    os.umask(0o022)
    os.chdir("/")
    lock = os.open(os.path.join(folder, places.LOCK), os.O_RDWR | os.O_NOFOLLOW)
    if not _taken(lock):
        return 0
    errors = os.open(os.path.join(folder, places.ERRORS), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(errors, 2)
    me = procs.look(os.getpid())
    identity = {"pid": me.pid, "startTime": me.start, "bootId": procs.boot_id()}
    marker.write(os.path.join(folder, places.IDENTITY), identity)
    if work == "collect":
        import finish_collect

        finish_collect.main(folder)
    else:
        import finish_upload

        finish_upload.main(folder)
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


sys.exit(main(*sys.argv[1:]))
