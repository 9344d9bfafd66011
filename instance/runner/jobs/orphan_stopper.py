"""Ends a job whose supervisor is gone, and writes exit.json in its place."""

from __future__ import annotations

import os
import signal
import time

from common import append_only, marker, paths, processes
from jobs import containers, terminate

_CHECK_INTERVAL_S = 0.1


def main(folder: str) -> int:
    """The process `stop`. Returns 0; also when no process of the job is left."""
    path = os.path.join(folder, paths.IDENTITY)
    identity = marker.read(path)
    container = containers.of(identity) if identity else None
    if identity is None or container is None or container.is_empty():
        return 0
    # A TERM announces a new stop.json to a supervisor; this process reads it again anyway.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # From here on the job counts as running until exit.json is written, though its last process ends before that.
    supervisor = {"pid": os.getpid(), "startTime": processes.existing(os.getpid()).start}
    marker.write(path, dict(identity, supervisor=supervisor))
    _end(folder, container)
    append_only.clear(os.path.join(folder, paths.LOG))
    marker.write(os.path.join(folder, paths.EXIT), terminate.end_of(reason="stop"))
    return 0


def _end(folder: str, container: containers.Container) -> None:
    """Sends TERM to all in it, and KILL when the grace is over; a later request can shorten it."""
    begun_at = time.monotonic()
    terminate.send(signal.SIGTERM, container.members())
    terminate.send(signal.SIGCONT, container.members())
    grace = float("inf")
    while not container.is_empty():
        grace = min(grace, marker.read_existing(os.path.join(folder, paths.STOP))["grace"])
        if time.monotonic() - begun_at >= grace:
            container.kill()
        time.sleep(_CHECK_INTERVAL_S)
    container.remove()
