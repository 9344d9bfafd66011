"""Ends a job whose supervisor is gone, and writes its end in the supervisor's stead."""

import os
import signal
import time

from common import marker, paths, processes
from jobs import terminate

_LOOK_AGAIN = 0.1


def main(folder):
    """The process `stop`. Returns 0; also when nothing of the job lives any more."""
    path = os.path.join(folder, paths.IDENTITY)
    identity = marker.read(path)
    pid, start = identity["pid"], identity["startTime"]
    if identity["bootId"] != processes.boot_id() or not processes.group(pid, start):
        return 0
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a supervisor is told so of a new stop.json; here it is read anyway
    me = processes.look(os.getpid())
    # From here on the job counts as running until its end is written, though its last process goes before that.
    marker.write(path, dict(identity, supervisor={"pid": me.pid, "startTime": me.start}))
    _end(folder, pid, start)
    marker.write(os.path.join(folder, paths.EXIT), terminate.end_of(reason="stop"))
    return 0


def _end(folder, pid, start):
    """TERM to the group, KILL when the grace is over; whoever asks again can shorten it."""
    began = time.monotonic()
    terminate.send(signal.SIGTERM, processes.group(pid, start))
    terminate.send(signal.SIGCONT, processes.group(pid, start))
    grace = float("inf")
    while True:
        left = processes.group(pid, start)
        if not left:
            return
        grace = min(grace, marker.read(os.path.join(folder, paths.STOP))["grace"])
        if time.monotonic() - began >= grace:
            terminate.send(signal.SIGKILL, left)
        time.sleep(_LOOK_AGAIN)
