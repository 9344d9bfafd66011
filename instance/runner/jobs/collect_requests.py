"""`collect` and `upload`: logs and outputs go to S3. The finisher does the work (package collect)."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable

from common import accounts, environment, marker, paths, processes
from jobs import launch, lease, status, terminate

#: An answer comes within this time, whatever the request says: the agent has five workers.
_MAX_WAIT_S = 20.0
_MAX_LAUNCH_S = 10.0
_CHECK_INTERVAL_S = 0.05
#: A finisher that crashed so often is not started again. The last attempt packs logs only.
_MAX_ATTEMPTS = 4
_GRACE_S = 10
_MAX_KILL_S = 5.0


def collect(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `collect`. Raises Refusal."""
    root, key = request["root"], request["run"]["key"]
    folder = paths.finish_folder(root, key)
    with lease.locked(root):
        terminate.close(root, key, "finished")
        _request_stops(root, key, request["grace"])
    jobs: dict[str, str] = {}

    def check() -> str:
        states, is_empty = terminate.survey(root, key)
        jobs.update(states)
        if not is_empty:
            return "ending"
        terminate.free_rooms(root, key)
        return _advance(request, folder, "collect", paths.COLLECTED, _give_up_collecting)

    state = _until(root, request["wait"], check, "collected")
    found = marker.read(os.path.join(folder, paths.COLLECTED)) if state == "collected" else None
    return {
        "state": "collecting" if state == "working" else state,
        "jobs": jobs,
        "files": found["files"] if found else None,
        "warnings": found["warnings"] if found else [],
    }


def upload(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `upload`."""
    root, key = request["root"], request["run"]["key"]
    folder = paths.finish_folder(root, key)
    if not marker.exists(os.path.join(folder, paths.COLLECTED)):
        return {"state": "absent", "failed": {}}

    def check() -> str:
        _reopen_upload(folder, request["puts"])
        return _advance(request, folder, "upload", paths.UPLOADED, _give_up_uploading)

    is_done = _until(root, request["wait"], check, "uploaded") == "uploaded"
    failed = marker.read_existing(os.path.join(folder, paths.UPLOADED))["failed"] if is_done else {}
    return {"state": "uploaded" if is_done else "uploading", "failed": failed}


def _reopen_upload(folder: str, puts: dict[str, str]) -> None:
    """Lets the finisher upload again when this request has names that earlier requests lacked."""
    path = os.path.join(folder, paths.UPLOADED)
    ended = marker.read(path)
    if ended is not None and "names" in ended and not set(puts) <= set(ended["names"]):
        marker.remove(os.path.join(folder, _attempts("upload")))
        marker.remove(path)


def kill(root: str, key: str) -> None:
    """Ends a finisher that is still working, since its run is released. Removes URLs that it has not read."""
    folder = paths.finish_folder(root, key)
    deadline = time.monotonic() + _MAX_KILL_S
    # A finisher writes its identity shortly after it has its lock; its packing child keeps the lock when it is killed.
    while is_working(folder) and time.monotonic() < deadline:
        identity = marker.read(os.path.join(folder, paths.IDENTITY))
        if identity is not None and identity["bootId"] == processes.boot_id():
            terminate.send(signal.SIGKILL, processes.group(identity["pid"], identity["startTime"]))
        time.sleep(0.01)
    marker.remove(os.path.join(folder, paths.PUTS))


def _request_stops(root: str, key: str, grace: float) -> None:
    for job, folder in terminate.jobs_of(root, key):
        if status.find_state(folder)[0] == "running":
            terminate.request_stop(folder, grace, f"runctl-{key}-{job}")


def _until(root: str, wait: float, check: Callable[[], str], expected: str) -> str:
    """Checks, under the lock each time, until the state is `expected` or the time is over. Returns the last state."""
    deadline = time.monotonic() + min(wait, _MAX_WAIT_S)
    while True:
        with lease.locked(root):
            state = check()
        if state == expected or time.monotonic() > deadline:
            return state
        time.sleep(_CHECK_INTERVAL_S)


def _advance(
    request: dict[str, Any], folder: str, work: str, done: str, give_up: Callable[[str], dict[str, Any]]
) -> str:
    """Starts the finisher for `work` unless it is working or has written the marker `done`. Returns the state."""
    path = os.path.join(folder, done)
    if marker.exists(path):
        return done.rsplit(".", 1)[0]
    if is_working(folder):
        return "working"
    marker.folder(folder)
    count_path = os.path.join(folder, _attempts(work))
    attempts = (marker.read(count_path) or {"count": 0})["count"]
    if attempts >= _MAX_ATTEMPTS:
        marker.write(path, give_up(folder))
        return done.rsplit(".", 1)[0]
    marker.write(count_path, {"count": attempts + 1})
    _write_input(request, folder, work, attempts + 1 == _MAX_ATTEMPTS)
    _launch(request, folder, work, path)
    return "working"


def _attempts(work: str) -> str:
    return f"{work}-attempts.json"


def _write_input(request: dict[str, Any], folder: str, work: str, is_last: bool) -> None:
    os.close(os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    if work == "upload":
        marker.write(os.path.join(folder, paths.PUTS), request["puts"], mode=0o600)
        return
    account = accounts.find(request)
    work_input = {name: request[name] for name in ("project", "run", "outputs", "outputsFrom", "maxBytes")}
    work_input.update(account=account._asdict(), agent=environment.of_agent(), logsOnly=is_last)
    marker.write(os.path.join(folder, paths.INPUT), work_input, mode=0o600)


def _launch(request: dict[str, Any], folder: str, work: str, done: str) -> None:
    """Starts the finisher and waits until it holds its lock, so that nobody starts a second one."""
    unit = "runctl-{}-{}-{}".format(request["run"]["key"], work, os.getpid())
    launch.detached([work, folder], unit, _GRACE_S)
    deadline = time.monotonic() + _MAX_LAUNCH_S
    while not is_working(folder) and not marker.exists(done) and time.monotonic() < deadline:
        time.sleep(0.01)


def is_working(folder: str) -> bool:
    """Whether a finisher is working in this folder."""
    return marker.is_locked(os.path.join(folder, paths.LOCK))


def _give_up_collecting(_folder: str) -> dict[str, Any]:
    return {"files": [], "warnings": [f"packing outputs and logs crashed in all of {_MAX_ATTEMPTS} attempts"]}


def _give_up_uploading(folder: str) -> dict[str, Any]:
    sent = (marker.read(os.path.join(folder, paths.SENT)) or {"names": []})["names"]
    files = marker.read_existing(os.path.join(folder, paths.COLLECTED))["files"]
    reason = f"sending it did not complete in {_MAX_ATTEMPTS} attempts"
    return {
        "names": [file["name"] for file in files],
        "failed": {file["name"]: reason for file in files if file["name"] not in sent},
    }
