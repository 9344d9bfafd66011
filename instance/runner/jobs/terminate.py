"""Ends what is left of jobs: through their supervisor, and without one by itself."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Iterable

from common import append_only, disk, marker, paths, processes
from common.processes import Process
from jobs import containers, lease, status

#: How long to wait until killed processes have ended. The kernel takes milliseconds, unless one hangs in a driver.
_MAX_KILL_S = 8.0
_CHECK_INTERVAL_S = 0.02


def send(number: int, members: Iterable[Process]) -> None:
    """Sends a signal to each process that still exists."""
    for process in members:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            continue


def request_stop(folder: str, grace: float, unit: str) -> None:
    """Has a running job ended: TERM now, KILL after `grace` seconds. Returns at once. Needs the lease's lock.

    Another request can only bring the KILL forward.
    """
    identity = marker.read(os.path.join(folder, paths.IDENTITY))
    now = time.time()
    earlier = marker.read(os.path.join(folder, paths.STOP))
    if earlier is not None:
        grace = min(grace, max(0, earlier["askedAt"] + earlier["grace"] - now))
    _write_with_reserve(os.path.dirname(folder), os.path.join(folder, paths.STOP), {"grace": grace, "askedAt": now})
    if identity is None:
        return  # Its supervisor has not written identity.json yet; it checks stop.json before it waits.
    supervisor = identity["supervisor"]
    if processes.alive(supervisor["pid"], supervisor["startTime"]):
        os.kill(supervisor["pid"], signal.SIGTERM)
        os.kill(supervisor["pid"], signal.SIGCONT)  # a supervisor that was stopped does not receive the TERM
        return
    from jobs import launch

    launch.detached(["stop", folder], unit + "-stop", grace)


def kill(root: str, key: str) -> tuple[dict[str, str], bool]:
    """Kills all processes of a run's jobs and waits until they have ended. Needs the lease's lock.

    Returns ({job: state of its latest attempt}, whether none of their processes is left).
    """
    for _, folder in jobs_of(root, key):
        if status.find_state(folder)[0] == "running":
            request_stop(folder, 0, unit_of(key, folder))
    deadline = time.monotonic() + _MAX_KILL_S
    while True:
        states, is_empty = survey(root, key)
        if is_empty or time.monotonic() > deadline:
            return states, is_empty
        time.sleep(_CHECK_INTERVAL_S)


def empty(folder: str) -> bool:
    """Kills what a job that has ended left behind, and waits for it. Returns whether nothing is left."""
    deadline = time.monotonic() + _MAX_KILL_S
    while not _is_emptied(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(_CHECK_INTERVAL_S)
    return True


def survey(root: str, key: str) -> tuple[dict[str, str], bool]:
    """({job: state of its latest attempt}, whether no process of a run's jobs is left).

    Kills what jobs that have ended left behind.
    """
    states, is_empty = {}, True
    for job, folder in jobs_of(root, key):
        states[job] = status.find_state(folder)[0]
        if states[job] == "running" or not _is_emptied(folder):
            is_empty = False
    return states, is_empty


def _is_emptied(folder: str) -> bool:
    """Whether the container of a job that does not run is empty. It may not be when the supervisor was killed."""
    identity = marker.read(os.path.join(folder, paths.IDENTITY))
    container = containers.of(identity) if identity else None
    if container and not container.is_empty():
        container.kill()
        return False
    if container:
        container.remove()
    append_only.clear(os.path.join(folder, paths.LOG))  # its supervisor may have been killed before it did
    return True


def close(root: str, key: str, reason: str) -> None:
    """Writes the closing marker, after which no start of that run is accepted. The first one stays."""
    lease.leave(root, key)
    folder = marker.folder(paths.run_folder(root, key))
    path = os.path.join(folder, paths.CLOSED)
    if not marker.exists(path):
        _write_with_reserve(folder, path, {"reason": reason, "at": time.time()})


def _write_with_reserve(run: str, path: str, value: dict[str, Any]) -> None:
    """Writes a marker, on a full disk into the space that the run's jobs reserved: a stop must always work."""
    from common import attempts

    rooms = [os.path.join(one.path, paths.ROOM) for one in attempts.folders(run)]
    while True:
        try:
            return marker.write(path, value)
        except OSError as error:
            if not disk.is_full_error(error) or not any(map(disk.free, rooms)):
                raise


def free_rooms(root: str, key: str) -> None:
    """Frees the space that ended jobs reserved; the finisher may need it."""
    for _, folder in jobs_of(root, key):
        marker.remove(os.path.join(folder, paths.ROOM))


def clear(root: str, key: str) -> bool:
    """Ends what is left of a run whose execution has ended. Returns whether no process of it is left."""
    close(root, key, "its execution has ended")
    return kill(root, key)[1]


def jobs_of(root: str, key: str) -> list[tuple[str, str]]:
    """[(job, folder)] of the jobs that the run has started; of a job the latest attempt is the last."""
    from common import attempts

    return [(one.job, one.path) for one in attempts.folders(paths.run_folder(root, key))]


def unit_of(key: str, folder: str) -> str:
    """The name of a job's systemd unit."""
    return f"runctl-{key}-{os.path.basename(folder)}"


def end_of(
    code: int | None = None,
    signal_name: str | None = None,
    max_rss: int | None = None,
    out_of_memory: bool = False,
    reason: str | None = None,
    result: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of exit.json. max_rss: bytes. reason: `stop`, `max-duration`, `interrupted` or None."""
    return {
        "code": code,
        "signal": signal_name,
        "endedAt": time.time(),
        "maxRssBytes": max_rss,
        "outOfMemory": out_of_memory,
        "reason": reason,
        "result": result,
    }
