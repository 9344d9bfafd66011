"""Ends what is left of jobs: by asking their supervisor, and where that is gone, by itself."""

import os
import signal
import time

from common import append_only, disk, marker, paths, processes
from jobs import containers, lease, status

#: How long to wait for killed processes to be gone. The kernel takes milliseconds, unless one hangs in a driver.
_GONE_SECONDS = 8.0
_LOOK_AGAIN = 0.02


def send(number, processes):
    """A signal to each of them; whoever is gone by now needs none."""
    for process in processes:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            continue


def ask(folder, grace, unit):
    """Has a running job ended: TERM now, KILL after `grace` seconds. Returns at once. Under the lease's lock.

    Asked again, it can only come sooner.
    """
    identity = marker.read(os.path.join(folder, paths.IDENTITY))
    now = time.time()
    before = marker.read(os.path.join(folder, paths.STOP))
    if before is not None:
        grace = min(grace, max(0, before["askedAt"] + before["grace"] - now))
    _insist(os.path.dirname(folder), os.path.join(folder, paths.STOP), {"grace": grace, "askedAt": now})
    if identity is None:
        return  # Its supervisor has not yet written whom it started; it looks for stop.json before it waits.
    supervisor = identity["supervisor"]
    if processes.alive(supervisor["pid"], supervisor["startTime"]):
        os.kill(supervisor["pid"], signal.SIGTERM)
        os.kill(supervisor["pid"], signal.SIGCONT)  # one that somebody halted could not take the TERM
        return
    from jobs import launch

    launch.detached(["stop", folder], unit + "-stop", grace)


def kill(root, key):
    """Kills what lives of a run's jobs and waits until it is gone. Under the lease's lock.

    Returns ({job: state}, whether nothing of them lives any more).
    """
    for job, folder in jobs_of(root, key):
        if status.find_state(folder)[0] == "running":
            ask(folder, 0, f"runctl-{key}-{job}")
    deadline = time.monotonic() + _GONE_SECONDS
    while True:
        states, is_empty = survey(root, key)
        if is_empty or time.monotonic() > deadline:
            return states, is_empty
        time.sleep(_LOOK_AGAIN)


def survey(root, key):
    """({job: state}, whether nothing of a run's jobs lives any more). Kills what a job left that has ended."""
    states, is_empty = {}, True
    for job, folder in jobs_of(root, key):
        states[job] = status.find_state(folder)[0]
        if states[job] == "running" or not _is_emptied(folder):
            is_empty = False
    return states, is_empty


def _is_emptied(folder):
    """Whether the container of a job that does not run is empty. Where its supervisor was killed it may not be."""
    identity = marker.read(os.path.join(folder, paths.IDENTITY))
    container = containers.of(identity) if identity else None
    if container and not container.is_empty():
        container.kill()
        return False
    if container:
        container.remove()
    append_only.clear(os.path.join(folder, paths.LOG))  # its supervisor may have been killed before it did
    return True


def close(root, key, reason):
    """Leaves the closing marker, after which no start of that run is accepted. The first one stays."""
    lease.leave(root, key)
    folder = marker.folder(paths.run_folder(root, key))
    path = os.path.join(folder, paths.CLOSED)
    if not marker.exists(path):
        _insist(folder, path, {"reason": reason, "at": time.time()})


def _insist(run, path, value):
    """Writes a marker, on a full disk with the room that the run's jobs keep: nothing may hinder a stop."""
    from common import protocol

    rooms = [os.path.join(run, job, paths.ROOM) for job in protocol.JOBS]
    while True:
        try:
            return marker.write(path, value)
        except OSError as error:
            if not disk.is_full_error(error) or not any(map(disk.free, rooms)):
                raise


def free_rooms(root, key):
    """Gives back what is left of the room that ended jobs kept; the finisher may need it."""
    for _, folder in jobs_of(root, key):
        marker.remove(os.path.join(folder, paths.ROOM))


def clear(root, key):
    """Clears up after a run whose execution has ended. Returns whether nothing of it lives any more."""
    close(root, key, "its execution has ended")
    return kill(root, key)[1]


def jobs_of(root, key):
    """[(job, folder)] of the jobs that the run has begun."""
    from common import protocol

    folders = [(job, paths.job_folder(root, key, job)) for job in protocol.JOBS]
    return [(job, folder) for job, folder in folders if os.path.isdir(folder)]


def end_of(code=None, signal_name=None, max_rss=None, out_of_memory=False, reason=None, result=None):
    """The content of exit.json. max_rss: bytes. reason: `stop`, `max-duration` or None."""
    return {
        "code": code,
        "signal": signal_name,
        "endedAt": time.time(),
        "maxRssBytes": max_rss,
        "outOfMemory": out_of_memory,
        "reason": reason,
        "result": result,
    }
