"""`start`: begins a job once, however often it is asked."""

import os
import time

from common import accounts, append_only, disk, environment, marker, paths, processes
from common.protocol import Refusal
from jobs import launch, lease, log_read, status, terminate

#: A supervisor is up in 0.1 s; a machine whose disk is busy with an install takes longer.
_LAUNCH_SECONDS = 15.0
_LOOK_AGAIN = 0.01
#: A start waits at most so long for a short job, whatever it is asked: the agent has five workers.
_MOST_WAIT = 20.0


def answer(request):
    """Answers `start` with a job status. Raises Refusal."""
    folder = paths.job_folder(request["root"], request["run"]["key"], request["job"])
    with lease.locked(request["root"]):
        held_up = _begin(request, folder)
    if held_up is not None:
        return held_up
    if request["job"] == "sync":
        from jobs import prune

        prune.run(request["root"], request["keep"])
    deadline = time.monotonic() + min(request["wait"] if request["job"] != "train" else 0, _MOST_WAIT)
    while time.monotonic() < deadline and status.find_state(folder)[0] == "running":
        time.sleep(0.05)
    return status.describe(folder, request["job"], request["offset"], request["maxBytes"])


def _begin(request, folder):
    """Starts the job unless it has been; returns a job status when it may not be, else None."""
    job, run, root = request["job"], request["run"], request["root"]
    if status.find_state(folder)[0] != "absent":
        return None
    if marker.exists(os.path.join(paths.run_folder(root, run["key"]), paths.CLOSED)):
        return _refused(job, "closed")
    if time.time() > request["notAfter"]:
        return _refused(job, "too-late")
    if request["projects"] is not None and request["project"] not in request["projects"]:
        raise Refusal("ProjectNotAllowed", "the instance's tag runctl:projects does not name " + request["project"])
    account = accounts.find(request)
    disk.check(root)
    had = lease.is_holder(root, run["key"])
    if job == "sync":
        ttl = request["queue"]["ttl"] if request["queue"] else None
        held_by = lease.take(root, run, request["ended"], lambda key: terminate.clear(root, key), ttl)
        if held_by is not None:
            return dict(status.blank(job, "busy", processes.boot_id()), holder=held_by[0], queue=held_by[1])
    elif not had:
        return _refused(job, "no-lease")
    if not _withdraw(folder):
        return None
    try:
        _write_request(request, folder, account)
        _launch(request, folder)
    except BaseException:
        if _withdraw(folder) and not had:
            lease.drop(root, run["key"])
        raise
    return None


def _refused(job, reason):
    return dict(status.blank(job, "refused", processes.boot_id()), reason=reason)


def _write_request(request, folder, account):
    for path in (os.path.dirname(folder), folder):
        marker.folder(path)
    job = request["job"]
    work = request[job]
    shown = {name: request[name] for name in ("run", "project", "job", "user", "home", "notAfter")}
    shown[job] = {name: value for name, value in work.items() if name != "url"}
    if "env" in work:
        shown[job]["env"] = {name: "***" for name in work["env"]}
    marker.write(os.path.join(folder, paths.REQUEST), shown, mode=0o600)
    os.close(os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    whole = {name: request[name] for name in ("run", "project", "root", "job")}
    whole.update(work=work, account=account._asdict(), agent=environment.of_agent())
    marker.write(os.path.join(folder, paths.INPUT), whole, mode=0o600)


def _launch(request, folder):
    """Starts the supervisor and waits until it has written whom it stands over, or that nobody could be started."""
    unit = "runctl-{}-{}".format(request["run"]["key"], request["job"])
    grace = request[request["job"]].get("stopGrace", 10)
    why = launch.detached(["supervise", folder], unit, grace)
    deadline = time.monotonic() + _LAUNCH_SECONDS
    while not _has_begun(folder):
        late = time.monotonic() > deadline
        if marker.exists(os.path.join(folder, paths.INPUT)):
            if late:
                raise Refusal("RunnerBroken", "the supervisor did not start" + (f" ({why})" if why else ""))
        elif status.find_state(folder)[0] == "absent":
            raise Refusal("RunnerBroken", "the supervisor failed: " + _last_words(folder))
        elif late:
            return  # It is at it, on a very slow disk: the answer is "running", and a poll tells the rest.
        time.sleep(_LOOK_AGAIN)


def _has_begun(folder):
    return any(marker.exists(os.path.join(folder, name)) for name in (paths.IDENTITY, paths.EXIT))


def _last_words(folder):
    """The end of what the supervisor said of its own fault."""
    lines = log_read.tail(log_read.open_log(os.path.join(folder, paths.ERRORS)))
    return lines[-1] if lines else "it wrote no message"


def _withdraw(folder):
    """Takes an input back that no supervisor took. Returns whether the job has still not begun, and cannot now."""
    marker.remove(os.path.join(folder, paths.INPUT))
    if status.find_state(folder)[0] != "absent":
        return False
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if name == paths.LOG:
            append_only.clear(os.path.join(folder, name))
        if name != paths.LOCK:  # A supervisor that comes late must find the lock that everybody looks at.
            os.unlink(os.path.join(folder, name))
    return True
