"""`stop` and `release`: the run is closed, its processes are ended, and the lease is released."""

from __future__ import annotations

from typing import Any

from jobs import collect_requests, lease, prune, status, terminate


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `stop` at once: the supervisors end the jobs, TERM first."""
    root, key = request["root"], request["run"]["key"]
    states = {}
    with lease.locked(root):
        terminate.close(root, key, request["reason"])
        for job, folder in terminate.jobs_of(root, key):
            states[job] = status.find_state(folder)[0]
            if states[job] == "running":
                terminate.request_stop(folder, request["grace"], terminate.unit_of(key, folder))
    return {"jobs": states}


def release(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `release`. `released`: no process of the run is left, and it does not hold the lease any more."""
    root, key = request["root"], request["run"]["key"]
    with lease.locked(root):
        terminate.close(root, key, "released")
        states, is_empty = terminate.kill(root, key)
        collect_requests.kill(root, key)
        if is_empty:
            terminate.free_rooms(root, key)
            lease.drop(root, key)
    prune.run(root, request["keep"])
    return {"released": is_empty, "jobs": states}
