"""`collect` and `upload`: what outlives the instance. The finisher does the work (package collect)."""

import os
import signal
import time

from common import accounts, environment, marker, paths, processes
from jobs import launch, lease, status, terminate

#: An answer comes within this time, whatever the request says: the agent has five workers.
_MOST_WAIT = 20.0
_LAUNCH_SECONDS = 10.0
_LOOK_AGAIN = 0.05
#: A finisher that dies so often is not started again. The last one packs logs only.
_MOST_ATTEMPTS = 4
_GRACE = 10
_KILL_SECONDS = 5.0


def collect(request):
    """Answers `collect`. Raises Refusal."""
    root, key = request["root"], request["run"]["key"]
    folder = paths.finish_folder(root, key)
    with lease.locked(root):
        terminate.close(root, key, "finished")
        _ask_living(root, key, request["grace"])
    jobs = {}

    def look():
        states, is_empty = terminate.survey(root, key)
        jobs.update(states)
        if not is_empty:
            return "ending"
        terminate.free_rooms(root, key)
        return _advance(request, folder, "collect", paths.COLLECTED, _give_up_collecting)

    state = _until(root, request["wait"], look, "collected")
    found = marker.read(os.path.join(folder, paths.COLLECTED)) if state == "collected" else None
    return {
        "state": "collecting" if state == "working" else state,
        "jobs": jobs,
        "files": found["files"] if found else None,
        "warnings": found["warnings"] if found else [],
    }


def upload(request):
    """Answers `upload`."""
    root, key = request["root"], request["run"]["key"]
    folder = paths.finish_folder(root, key)
    if not marker.exists(os.path.join(folder, paths.COLLECTED)):
        return {"state": "absent", "failed": {}}

    def look():
        _begin_rest(folder, request["puts"])
        return _advance(request, folder, "upload", paths.UPLOADED, _give_up_uploading)

    done = _until(root, request["wait"], look, "uploaded") == "uploaded"
    failed = marker.read(os.path.join(folder, paths.UPLOADED))["failed"] if done else {}
    return {"state": "uploaded" if done else "uploading", "failed": failed}


def _begin_rest(folder, puts):
    """Lets the finisher upload again when this request has names that the ones before lacked."""
    path = os.path.join(folder, paths.UPLOADED)
    ended = marker.read(path)
    if ended is not None and "names" in ended and not set(puts) <= set(ended["names"]):
        marker.remove(os.path.join(folder, _attempts("upload")))
        marker.remove(path)


def kill(root, key):
    """Ends a finisher that still works, since its run is released. No URL that nobody read stays behind."""
    folder = paths.finish_folder(root, key)
    deadline = time.monotonic() + _KILL_SECONDS
    # One that has its lock writes in a moment who it is; its packing child may outlive it, and holds the lock then.
    while is_working(folder) and time.monotonic() < deadline:
        identity = marker.read(os.path.join(folder, paths.IDENTITY))
        if identity is not None and identity["bootId"] == processes.boot_id():
            terminate.send(signal.SIGKILL, processes.group(identity["pid"], identity["startTime"]))
        time.sleep(0.01)
    marker.remove(os.path.join(folder, paths.PUTS))


def _ask_living(root, key, grace):
    for job, folder in terminate.jobs_of(root, key):
        if status.find_state(folder)[0] == "running":
            terminate.ask(folder, grace, f"runctl-{key}-{job}")


def _until(root, wait, look, wanted):
    """Looks, under the lock each time, until it sees what is wanted or the time is over. Returns what it saw last."""
    deadline = time.monotonic() + min(wait, _MOST_WAIT)
    while True:
        with lease.locked(root):
            seen = look()
        if seen == wanted or time.monotonic() > deadline:
            return seen
        time.sleep(_LOOK_AGAIN)


def _advance(request, folder, work, done, give_up):
    """Sees to it that the finisher works on `work` until it has written the marker `done`. Returns the state."""
    path = os.path.join(folder, done)
    if marker.exists(path):
        return done.rsplit(".", 1)[0]
    if is_working(folder):
        return "working"
    marker.folder(folder)
    count_path = os.path.join(folder, _attempts(work))
    attempts = (marker.read(count_path) or {"count": 0})["count"]
    if attempts >= _MOST_ATTEMPTS:
        marker.write(path, give_up(folder))
        return done.rsplit(".", 1)[0]
    marker.write(count_path, {"count": attempts + 1})
    _write_input(request, folder, work, attempts + 1 == _MOST_ATTEMPTS)
    _launch(request, folder, work, path)
    return "working"


def _attempts(work):
    return f"{work}-attempts.json"


def _write_input(request, folder, work, is_last):
    os.close(os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    if work == "upload":
        marker.write(os.path.join(folder, paths.PUTS), request["puts"], mode=0o600)
        return
    account = accounts.find(request)
    asked = {name: request[name] for name in ("project", "run", "outputs", "outputsFrom", "maxBytes")}
    asked.update(account=account._asdict(), agent=environment.of_agent(), logsOnly=is_last)
    marker.write(os.path.join(folder, paths.INPUT), asked, mode=0o600)


def _launch(request, folder, work, done):
    """Starts the finisher and waits until it holds its lock: nobody starts a second one meanwhile."""
    unit = "runctl-{}-{}-{}".format(request["run"]["key"], work, os.getpid())
    launch.detached([work, folder], unit, _GRACE)
    deadline = time.monotonic() + _LAUNCH_SECONDS
    while not is_working(folder) and not marker.exists(done) and time.monotonic() < deadline:
        time.sleep(0.01)


def is_working(folder):
    """Whether a finisher works there."""
    return marker.is_locked(os.path.join(folder, paths.LOCK))


def _give_up_collecting(_folder):
    return {"files": [], "warnings": [f"packing outputs and logs crashed in all of {_MOST_ATTEMPTS} attempts"]}


def _give_up_uploading(folder):
    sent = (marker.read(os.path.join(folder, paths.SENT)) or {"names": []})["names"]
    files = marker.read(os.path.join(folder, paths.COLLECTED))["files"]
    why = f"sending it did not complete in {_MOST_ATTEMPTS} attempts"
    return {
        "names": [file["name"] for file in files],
        "failed": {file["name"]: why for file in files if file["name"] not in sent},
    }
