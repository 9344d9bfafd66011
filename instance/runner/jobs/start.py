"""`start`: starts a job once, however often the request is sent."""

from __future__ import annotations

import os
import time
from typing import Any

from common import accounts, append_only, attempts, disk, environment, keeper_files, marker, paths, processes
from common.protocol import Refusal
from jobs import again, launch, lease, log_read, status, stopping, terminate

#: A supervisor starts in 0.1 s; a machine whose disk is busy with an install takes longer.
_MAX_LAUNCH_S = 15.0
_CHECK_INTERVAL_S = 0.01
#: A start waits at most so long for a short job, whatever the request says: the agent has five workers.
_MAX_WAIT_S = 20.0


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `start` with a job status. Raises Refusal."""
    folder = paths.job_folder(request["root"], request["run"]["key"], request["job"], request["attempt"])
    with lease.locked(request["root"]):
        if request["shutdown"] is not None:
            from jobs import dead_man

            dead_man.ensure(request["root"], request["shutdown"]["after"])
        refusal = _begin(request, folder)
        if refusal is None and request["job"] == "sync" and os.path.lexists(paths.image(request["root"])):
            from jobs import read_ahead

            read_ahead.begin(request)
    if refusal is not None:
        return refusal
    if request["job"] == "sync":
        from jobs import prune

        prune.run(request["root"], request["keep"])
    deadline = time.monotonic() + min(request["wait"] if request["job"] != "train" else 0, _MAX_WAIT_S)
    while time.monotonic() < deadline and status.find_state(folder)[0] == "running":
        time.sleep(0.05)
    return status.describe(folder, request["job"], request["offset"], request["maxBytes"])


def _begin(request: dict[str, Any], folder: str) -> dict[str, Any] | None:
    """Starts the job unless it was started before; returns a job status when it may not start, else None."""
    job, run, root = request["job"], request["run"], request["root"]
    state, _, end = status.find_state(folder)
    is_again = request["again"] and again.is_due(job, state, end)
    if state != "absent" and not (is_again and again.may_start(job, folder)):
        return None
    if marker.exists(os.path.join(paths.run_folder(root, run["key"]), paths.CLOSED)):
        return _refused(job, "closed")
    if time.time() > request["notAfter"]:
        return _refused(job, "too-late")
    if stopping.is_marked(root):
        return _refused(job, "stopping")
    why = _check_attempts(request)
    if why:
        return _refused(job, why)
    if request["projects"] is not None and request["project"] not in request["projects"]:
        raise Refusal("ProjectNotAllowed", "the instance's tag runctl:projects does not name " + request["project"])
    account = accounts.find(request)
    disk.check(root)
    had_lease = lease.is_holder(root, run["key"])
    if job == "sync":
        ttl = request["queue"]["ttl"] if request["queue"] else None
        held_by = lease.take(root, run, request["ended"], lambda key: terminate.clear(root, key), ttl)
        if held_by is not None:
            return dict(status.blank(job, "busy", processes.boot_id()), holder=held_by[0], queue=held_by[1])
    elif not had_lease:
        return _refused(job, "no-lease")
    if is_again:
        again.forget(folder, status.was_interrupted(state, end))
    elif not _withdraw(folder):
        return None
    try:
        _write_request(request, folder, account)
        _launch(request, folder)
    except BaseException:
        if _withdraw(folder) and not had_lease:
            lease.drop(root, run["key"])
        raise
    return None


def _check_attempts(request: dict[str, Any]) -> str | None:
    """Why a job of this attempt must not start, or None: one attempt of a run has jobs at a time.

    Ends what jobs of earlier attempts left behind. Frees what they reserved.
    """
    for one in attempts.folders(paths.run_folder(request["root"], request["run"]["key"])):
        if one.attempt > request["attempt"]:
            return "too-late"  # this request was delivered after the next attempt had begun
        if one.attempt == request["attempt"]:
            continue
        marker.remove(os.path.join(one.path, paths.INPUT))  # a supervisor that comes late starts nothing
        if status.find_state(one.path)[0] == "running" or not terminate.empty(one.path):
            return "attempt-open"
        if one.job == "train" and not _end_keeper(one.path):
            return "attempt-open"
        marker.remove(os.path.join(one.path, paths.ROOM))
    return None


def _end_keeper(folder: str) -> bool:
    """Ends the keeper of a training, if it has one. Returns whether none is left."""
    if not os.path.isdir(keeper_files.folder(folder)):
        return True
    from jobs import keep

    return keep.end(folder)


def _refused(job: str, reason: str) -> dict[str, Any]:
    return dict(status.blank(job, "refused", processes.boot_id()), reason=reason)


def _write_request(request: dict[str, Any], folder: str, account: accounts.Account) -> None:
    for path in (os.path.dirname(folder), folder):
        marker.folder(path)
    job = request["job"]
    work = request[job]
    kept = {name: request[name] for name in ("run", "project", "job", "attempt", "user", "home", "notAfter")}
    kept[job] = {name: value for name, value in work.items() if name not in ("url", "list", "environments")}
    if "env" in work:
        kept[job]["env"] = {name: "***" for name in work["env"]}
    marker.write(os.path.join(folder, paths.REQUEST), kept, mode=0o600)
    os.close(os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    work_input = {name: request[name] for name in ("run", "project", "root", "job", "attempt", "imds")}
    work_input.update(work=work, account=account._asdict(), agent=environment.of_agent())
    if job == "train" and work.get("checkpoints") is not None:
        from jobs import keep

        keep.prepare(request, folder, account)
    marker.write(os.path.join(folder, paths.INPUT), work_input, mode=0o600)


def _launch(request: dict[str, Any], folder: str) -> None:
    """Starts the supervisor and waits until it has written identity.json, or exit.json without having started a job."""
    unit = terminate.unit_of(request["run"]["key"], folder)
    count = again.count(folder)
    if count:
        unit += f"-again-{count}"  # systemd may not have removed the first unit yet
    grace = request[request["job"]].get("stopGrace", 10)
    reason = launch.detached(["supervise", folder], unit, grace)
    deadline = time.monotonic() + _MAX_LAUNCH_S
    while not _has_begun(folder):
        late = time.monotonic() > deadline
        if marker.exists(os.path.join(folder, paths.INPUT)):
            if late:
                raise Refusal("RunnerBroken", "the supervisor did not start" + (f" ({reason})" if reason else ""))
        elif status.find_state(folder)[0] == "absent":
            raise Refusal("RunnerBroken", "the supervisor failed: " + _last_error(folder))
        elif late:
            return  # It is starting the job, on a very slow disk: the answer is "running", and a poll has the rest.
        time.sleep(_CHECK_INTERVAL_S)


def _has_begun(folder: str) -> bool:
    return any(marker.exists(os.path.join(folder, name)) for name in (paths.IDENTITY, paths.EXIT))


def _last_error(folder: str) -> str:
    """The last line of the supervisor's own errors."""
    lines = log_read.tail(log_read.open_log(os.path.join(folder, paths.ERRORS)))
    return lines[-1] if lines else "it wrote no message"


def _withdraw(folder: str) -> bool:
    """Removes an input that no supervisor took. Returns whether the job has not begun, and cannot any more."""
    marker.remove(os.path.join(folder, paths.INPUT))
    if status.find_state(folder)[0] != "absent":
        return False
    # The log of an interrupted job has been read; it is continued.
    kept = (
        paths.LOCK,
        paths.RESTARTED,
        *((paths.LOG, paths.LOG_TIMES) if again.count(folder) else ()),
    )
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if name == paths.LOG:
            append_only.clear(os.path.join(folder, name))
        if name not in kept:  # A supervisor that comes late must find the lock that everybody uses.
            _remove(os.path.join(folder, name))
    return True


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil  # of a training alone: its keeper's folder

        shutil.rmtree(path)
    else:
        os.unlink(path)
