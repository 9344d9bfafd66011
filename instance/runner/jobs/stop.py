"""`stop` and `release`: the run is closed, what lives of it is ended, and the lease given back."""

from jobs import collect_requests, lease, prune, status, terminate


def answer(request):
    """Answers `stop` at once: the jobs end on their own, TERM first."""
    root, key = request["root"], request["run"]["key"]
    states = {}
    with lease.locked(root):
        terminate.close(root, key, request["reason"])
        for job, folder in terminate.jobs_of(root, key):
            states[job] = status.find_state(folder)[0]
            if states[job] == "running":
                terminate.ask(folder, request["grace"], f"runctl-{key}-{job}")
    return {"jobs": states}


def release(request):
    """Answers `release`. `released`: nothing of the run lives, and it does not hold the lease any more."""
    root, key = request["root"], request["run"]["key"]
    with lease.locked(root):
        terminate.close(root, key, "released")
        states, gone = terminate.kill(root, key)
        collect_requests.kill(root, key)
        if gone:
            terminate.free_rooms(root, key)
            lease.drop(root, key)
    prune.run(root, request["keep"])
    return {"released": gone, "jobs": states}
