"""Ends a job whose supervisor is gone, and writes its end in the supervisor's stead."""

import os
import signal
import time

from common import append_only, marker, paths, processes
from jobs import containers, terminate

_LOOK_AGAIN = 0.1


def main(folder):
    """The process `stop`. Returns 0; also when nothing of the job lives any more."""
    path = os.path.join(folder, paths.IDENTITY)
    identity = marker.read(path)
    container = containers.of(identity) if identity else None
    if identity is None or container is None or container.is_empty():
        return 0
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a supervisor is told so of a new stop.json; here it is read anyway
    me = processes.look(os.getpid())
    # From here on the job counts as running until its end is written, though its last process goes before that.
    supervisor = {"pid": me.pid, "startTime": me.start}
    marker.write(path, dict(identity, supervisor=supervisor))
    _end(folder, container)
    append_only.clear(os.path.join(folder, paths.LOG))
    marker.write(os.path.join(folder, paths.EXIT), terminate.end_of(reason="stop"))
    return 0


def _end(folder, container):
    """TERM to all in it, KILL when the grace is over; whoever asks again can shorten it."""
    began = time.monotonic()
    terminate.send(signal.SIGTERM, container.members())
    terminate.send(signal.SIGCONT, container.members())
    grace = float("inf")
    while not container.is_empty():
        grace = min(grace, marker.read(os.path.join(folder, paths.STOP))["grace"])
        if time.monotonic() - began >= grace:
            container.kill()
        time.sleep(_LOOK_AGAIN)
    container.remove()
