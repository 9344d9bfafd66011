"""Whether the training of a keeper goes on, from its markers and /proc."""

from __future__ import annotations

import os

from common import attempts, marker, paths, processes


def is_over(folder: str) -> bool:
    """Whether the training has ended: nothing can write a checkpoint any more."""
    identity = marker.read(os.path.join(folder, paths.IDENTITY))
    if identity is None:
        return False
    if identity["bootId"] != processes.boot_id():
        return True
    supervisor = identity["supervisor"]
    if processes.alive(supervisor["pid"], supervisor["startTime"]):
        return False
    if marker.exists(os.path.join(folder, paths.EXIT)):
        return True
    pid, start = identity["pid"], identity["startTime"]
    return not processes.alive(pid, start) and not processes.group(pid, start)


def is_wanted(folder: str) -> bool:
    """Whether the keeper may go on: no later attempt has begun, and the run has not given the instance back."""
    if not os.path.isdir(folder) or attempts.is_superseded(folder):
        return False
    run = os.path.dirname(folder)
    if not marker.exists(os.path.join(run, paths.CLOSED)):
        return True
    root = os.path.dirname(os.path.dirname(run))
    holder = marker.read(os.path.join(paths.lease_folder(root), "holder.json"))
    return holder is not None and holder["key"] == os.path.basename(run)
