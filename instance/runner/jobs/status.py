"""What is so with a job now: read from its markers and from /proc. Writes nothing, takes no lock."""

import os
import time

from common import marker, paths, processes, protocol
from jobs import log_read

#: An answer has at least so much room for log, or a poll would not come further.
_LEAST_LOG_ROOM = 2_048


def answer(request):
    """Answers `poll`."""
    folder = paths.job_folder(request["root"], request["run"]["key"], request["job"])
    return describe(folder, request["job"], request["offset"], request["maxBytes"], request.get("put"))


def describe(folder, job, offset, most, put=None):
    """The job status of instance/CONTRACT.md, as long as fits one answer. put: a URL for log that does not fit."""
    state, identity, end = find_state(folder)
    status = blank(job, state, processes.boot_id())
    status["pid"] = identity.get("pid")
    status["startedAt"] = identity.get("startedAt")
    status["progress"] = marker.read(os.path.join(folder, paths.PROGRESS))
    if end:
        status["exit"] = {key: end[key] for key in ("code", "signal", "endedAt", "maxRssBytes", "outOfMemory")}
        status["reason"] = end["reason"]
        status["result"] = end["result"]
    _add_log(status, folder, identity, offset, most, put)
    return status


def blank(job, state, boot, **more):
    """A job status that says only its state."""
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
        result=None,
        log={"offset": 0, "bytes": 0, "size": 0, "data": log_read.pack(None, 0, 0, 0)[1], "put": None},
        tail=None,
        bootId=boot,
        **more,
    )


def find_state(folder):
    """(state, identity or {}, end or None) of the job whose folder this is.

    running    its supervisor, its process or a member of its group lives
    vanished   none of them does, and nobody wrote how it ended; or the machine has started anew since
    exited     its supervisor wrote how it ended, and has gone. What stands there while it lives is not its last word:
               where the job runs as the runner's own user, the job may have written it
    absent     never begun. A process runs nothing before its supervisor has written identity.json (spawn.py), so
               without that file a start was not asked for, or was cut off before it had any effect
    """
    identity = marker.read(os.path.join(folder, paths.IDENTITY)) or {}
    path = os.path.join(folder, paths.EXIT)
    if _has_supervisor(identity) or (not marker.exists(path) and _is_running(folder, identity)):
        return "running", identity, None
    # Read last: the supervisor may have written it, and gone, during the looks above.
    end = marker.read(path)
    if end is not None:
        return ("stopped" if end["reason"] else "exited"), identity, end
    return ("vanished" if identity else "absent"), identity, None


def _is_running(folder, identity):
    """Without a supervisor: whether one is about to be, or the job lives on."""
    if not identity:
        return _is_claimed(folder)
    if identity["bootId"] != processes.boot_id():
        return False
    pid, start = identity["pid"], identity["startTime"]
    return processes.alive(pid, start) or bool(processes.group(pid, start))


def _has_supervisor(identity):
    supervisor = identity.get("supervisor")
    here = supervisor is not None and identity["bootId"] == processes.boot_id()
    return here and processes.alive(supervisor["pid"], supervisor["startTime"])


def _is_claimed(folder):
    """Whether a supervisor is between taking its input and writing whom it started: it holds the job's lock."""
    return marker.is_locked(os.path.join(folder, paths.LOCK))


def _add_log(status, folder, identity, offset, most, put):
    """Offsets count all bytes that the log ever had: what a job cut off its own log leaves a gap (log_watch.py).

    An offset beyond the end means that the log was cut since. The supervisor has not seen it yet: it is told, and
    until it has marked the place there is nothing to read. (The only write of a poll.) Without a supervisor nothing
    will be marked, and reading goes on with what the file has now.
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
        status.update(protocol.fit(dict(status, ok=True), _LEAST_LOG_ROOM))
        room = protocol.MAX_ANSWER_BYTES - len(protocol.encode(status)) - 32
        start = max(offset - begins, 0)
        count, data = log_read.pack(fd, start, most, room)
        sent = None
        if put is not None and count < min(most, end - offset):
            from jobs import log_put  # a poll imports little

            sent = log_put.send(fd, start, most, put)
        if sent is not None:
            status["log"].update(bytes=sent[0], put=sent[1])
        else:
            status["log"].update(bytes=count, data=data)
    finally:
        if fd is not None:
            os.close(fd)


def _tail(folder, job, fd):
    """The log's last lines. Those of a job with secrets are kept by its supervisor, which alone knows the values."""
    kept = marker.read(os.path.join(folder, paths.TAIL))
    if kept is not None:
        return kept["lines"]
    request = marker.read(os.path.join(folder, paths.REQUEST)) or {}
    if request.get(job, {}).get("secrets"):
        return ["[runctl] the last lines are in the log only: they may contain secrets, and the supervisor was killed"]
    return log_read.tail(fd)
