"""The state of a job, from its markers and from /proc. Takes no lock."""

from __future__ import annotations

import json
import os
import time

from common import marker, paths, processes, protocol
from jobs import log_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: An answer has at least so much room for log, so that every poll advances.
_MIN_LOG_ROOM = 2_048
#: An answer has no more times than these, and the log as far as they reach: they take 5 KB.
_MAX_TIMES = 200


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `poll`."""
    folder = paths.job_folder(request["root"], request["run"]["key"], request["job"], request["attempt"])
    window = (request["offset"], request["maxBytes"], request.get("put"), request["times"])
    return describe(folder, request["job"], *window, request)


def describe(
    folder: str,
    job: str,
    offset: int,
    max_bytes: int,
    put: str | None = None,
    times: bool = False,
    poll: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The job status of instance/CONTRACT.md, within the limit of an answer.

    put: a URL for log that does not fit. times: with the times of the log. poll: its request, which may have rights to
    send checkpoints and the environment.
    """
    state, identity, end = find_state(folder)
    status = blank(job, state, processes.boot_id())
    status["pid"] = identity.get("pid")
    status["startedAt"] = identity.get("startedAt")
    status["progress"] = marker.read(os.path.join(folder, paths.PROGRESS))
    if job == "train":
        status["usage"] = _usage(folder)
    if end:
        status["exit"] = {key: end[key] for key in ("code", "signal", "endedAt", "maxRssBytes", "outOfMemory")}
        status["reason"] = end["reason"]
        status["result"] = end["result"]
    if poll is not None and job == "train" and identity:
        if poll["checkpoints"] is not None:
            unit = f"runctl-{poll['run']['key']}-{os.path.basename(folder)}"
            status["checkpoints"] = _checkpoints(folder, unit, status, poll["checkpoints"])
        if poll["environment"] is not None:
            status["environment"] = _environment(poll, status)
    _add_log(status, folder, identity, offset, max_bytes, put, times)
    return status


def blank(job: str, state: str, boot: str) -> dict[str, Any]:
    """A job status that has only a state."""
    return dict(
        job=job,
        state=state,
        reason=None,
        holder=None,
        queue=None,
        pid=None,
        startedAt=None,
        now=time.time(),
        exit=None,
        progress=None,
        usage=None,
        checkpoints=None,
        environment=None,
        result=None,
        log={"offset": 0, "bytes": 0, "size": 0, "data": log_read.pack(None, 0, 0, 0)[1], "put": None},
        tail=None,
        bootId=boot,
    )


def find_state(folder: str) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """(state, identity or {}, end or None) of the job whose folder this is.

    running    its supervisor, its process or a member of its group runs
    vanished   none of them does, and exit.json is missing; or the machine has booted since
    exited     its supervisor wrote exit.json, and has ended. While it runs, that file does not count: where the job
               runs as the runner's own user, the job may have written it
    absent     never begun. A job's program begins after its supervisor has written identity.json (spawn.py), so
               without that file there was no start, or one that was cut off before it had any effect
    """
    identity = marker.read(os.path.join(folder, paths.IDENTITY)) or {}
    path = os.path.join(folder, paths.EXIT)
    if _has_supervisor(identity) or (not marker.exists(path) and _is_running(folder, identity)):
        return "running", identity, None
    # Read last: the supervisor may have written it, and ended, during the checks above.
    end = marker.read(path)
    if end is not None:
        return ("stopped" if end["reason"] else "exited"), identity, end
    return ("vanished" if identity else "absent"), identity, None


def was_interrupted(state: str, end: dict[str, Any] | None) -> bool:
    """Whether a job ended without a decision of its own or of its run: the machine went down, or it was killed."""
    return state == "vanished" or (state == "exited" and end is not None and end["signal"] == "SIGTERM")


def _is_running(folder: str, identity: dict[str, Any]) -> bool:
    """Without a known supervisor: whether one is starting, or the job still runs."""
    if not identity:
        return _is_claimed(folder)
    if identity["bootId"] != processes.boot_id():
        return False
    pid, start = identity["pid"], identity["startTime"]
    return processes.alive(pid, start) or bool(processes.group(pid, start))


def _usage(folder: str) -> dict[str, Any] | None:
    """The latest sample of a training. It is for people: one that cannot be read must not cost a poll."""
    try:
        sample = marker.read(os.path.join(folder, paths.USAGE))
        json.dumps(sample, allow_nan=False)
    except (OSError, ValueError, RecursionError, marker.Untrusted):
        return None
    return sample


def _checkpoints(folder: str, unit: str, status: dict[str, Any], grant: dict[str, Any]) -> dict[str, Any] | None:
    """What the keeper reports. A keeper that cannot be started must not cost a poll."""
    from jobs import keep

    try:
        return keep.refresh(folder, unit, status, grant)
    except (OSError, ValueError, KeyError, marker.Untrusted):
        return None


def _environment(request: dict[str, Any], status: dict[str, Any]) -> dict[str, Any] | None:
    """What the process reports that stores the environment. One that cannot be started must not cost a poll."""
    from jobs import store

    try:
        return store.refresh(request, status["state"] == "running")
    except (OSError, ValueError, KeyError, marker.Untrusted, protocol.Refusal):
        return None


def _has_supervisor(identity: dict[str, Any]) -> bool:
    supervisor = identity.get("supervisor")
    if supervisor is None or identity["bootId"] != processes.boot_id():
        return False
    return processes.alive(supervisor["pid"], supervisor["startTime"])


def _is_claimed(folder: str) -> bool:
    """Whether a supervisor has taken its input and not yet written identity.json: it holds the job's lock."""
    return marker.is_locked(os.path.join(folder, paths.LOCK))


def _add_log(
    status: dict[str, Any],
    folder: str,
    identity: dict[str, Any],
    offset: int,
    max_bytes: int,
    put: str | None,
    times: bool,
) -> None:
    """Offsets count all bytes that the log ever had: what a job cut off its own log leaves a gap (log_watch.py).

    An offset beyond the end means that the log was truncated and that the supervisor has not noticed: log-cut.json
    notifies it (the only write of a poll), and until it has recorded the place there is nothing to read. Without a
    supervisor nothing will be recorded, and reading goes on with what the file has now.
    """
    begins = (marker.read(os.path.join(folder, paths.LOG_START)) or {}).get("offset", 0)
    fd = log_read.open_log(os.path.join(folder, paths.LOG))
    try:
        if status["state"] not in ("running", "absent"):
            status["tail"] = _tail(folder, status["job"], fd)
        end = begins + log_read.size(fd)
        if offset > end and status["state"] == "running" and _has_supervisor(identity):
            marker.write(os.path.join(folder, paths.LOG_CUT), {"offset": offset}, durable=False)
        elif not begins <= offset <= end:
            offset = begins
        status["log"] = {"offset": offset, "bytes": 0, "size": end, "data": "", "put": None}
        if times:
            status["log"]["times"] = _times(folder, offset)
            if len(status["log"]["times"]) == _MAX_TIMES:
                max_bytes = min(max_bytes, status["log"]["times"][-1][0] - offset)
        status.update(protocol.fit(dict(status, ok=True), _MIN_LOG_ROOM))
        room = protocol.MAX_ANSWER_BYTES - len(protocol.encode(status)) - 32
        start = max(offset - begins, 0)
        count, data = log_read.pack(fd, start, max_bytes, room)
        sent = None
        if fd is not None and put is not None and count < min(max_bytes, end - offset):
            from jobs import log_put  # a poll imports little

            sent = log_put.send(fd, start, max_bytes, put)
        if sent is not None:
            status["log"].update(bytes=sent[0], put=sent[1])
        else:
            status["log"].update(bytes=count, data=data)
    finally:
        if fd is not None:
            os.close(fd)


def _times(folder: str, offset: int) -> list[tuple[int, int]]:
    """[(bytes of the log, epoch milliseconds when it had them)] of what follows the offset."""
    import itertools

    from common import log_times

    try:
        fd = marker.open_regular(os.path.join(folder, paths.LOG_TIMES))
    except FileNotFoundError:
        return []  # The job has not begun.
    try:
        return list(itertools.islice(log_times.after(fd, offset), _MAX_TIMES))
    finally:
        os.close(fd)


def _tail(folder: str, job: str, fd: int | None) -> list[str]:
    """The log's last lines. Those of a job with secrets come from its supervisor, which alone knows the values."""
    kept = marker.read(os.path.join(folder, paths.TAIL))
    if kept is not None:
        return kept["lines"]
    request = marker.read(os.path.join(folder, paths.REQUEST)) or {}
    if request.get(job, {}).get("secrets"):
        return ["[runctl] the last lines are in the log only: they may contain secrets, and the supervisor was killed"]
    return log_read.tail(fd)
