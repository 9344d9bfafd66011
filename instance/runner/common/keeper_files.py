"""What the keeper of a training keeps in the folder of the job, and how a poll knows that it works."""

from __future__ import annotations

import os
import time
from typing import Any

from common import marker, paths

#: Where trainings save checkpoints unless their spec names another folder.
CHECKPOINTS = "checkpoints"
#: Below the job's folder.
FOLDER = "keeper"
#: What to watch: written when the training starts.
INPUT = "input.json"
#: The right to send, of the latest poll. It is a secret for 300 s.
GRANT = "grant.json"
REPORT = "report.json"
#: What must survive a keeper that was killed: what has been sent, and what is being sent.
STATE = "state.json"
UPLOAD = "upload.json"
#: That EC2 recommends to move to another instance.
REBALANCE = "rebalance.json"
#: Since when a keeper sends what a training has left that ended without a record of it.
DRAIN = "drain.json"
#: How often it was started.
STARTS = "starts.json"
#: S3 accepts a policy for 300 s after it was signed; a request that begins has to arrive.
GRANT_S = 270.0
#: So long after its training's end a keeper may still send. A run's end is not delayed by more.
DRAIN_S = 60.0


def folder(job_folder: str) -> str:
    return os.path.join(job_folder, FOLDER)


def path(job_folder: str, name: str) -> str:
    return os.path.join(job_folder, FOLDER, name)


def write_grant(job_folder: str, grant: dict[str, Any]) -> None:
    """Keeps the right to send that came with a poll. Raises OSError."""
    kept = dict(grant, receivedAt=time.time())
    marker.write(path(job_folder, GRANT), kept, mode=0o600, durable=False)


def read_grant(job_folder: str) -> dict[str, Any] | None:
    """The latest right to send; None: there is none that S3 would accept."""
    grant = marker.read(path(job_folder, GRANT))
    if grant is None or not 0 <= time.time() - grant["receivedAt"] < GRANT_S:
        return None
    return grant


def is_working(job_folder: str) -> bool:
    """Whether a keeper holds its lock."""
    return marker.is_locked(path(job_folder, paths.LOCK))


def begin(job_folder: str) -> bool:
    """Makes this process the one that works in the folder, until it ends, with a file of its errors.

    Returns False when another one works there.
    """
    import fcntl  # not needed by a poll

    os.umask(0o077)
    os.chdir("/")
    lock = os.open(path(job_folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    errors = os.open(path(job_folder, paths.ERRORS), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(errors, 2)
    os.close(errors)
    return True
