"""Names of files and folders under the runner's root, in this module only."""

from __future__ import annotations

import os
import sys

CLOSED = "closed.json"
REQUEST = "request.json"
INPUT = "input.json"
IDENTITY = "identity.json"
PROGRESS = "progress.json"
EXIT = "exit.json"
#: The last lines of a job with secrets, without their values.
TAIL = "tail.json"
STOP = "stop.json"
#: That EC2 takes the instance away: {action, time, seenAt}; the training is ended.
SPOT = "spot.json"
LOG = "log"
LOG_START = "log-start.json"
LOG_CUT = "log-cut.json"
#: When the log had how many bytes.
LOG_TIMES = "log-times"
LOG_CHANGED = "log-changed.json"
#: Processes that were ended because they were idle after the job's main process had exited with code 0.
LINGERED = "lingered.json"
#: A job that was interrupted or failed has been started again, and how often.
RESTARTED = "restarted.json"
#: Why the job could not be kept from the instance metadata service.
METADATA_OPEN = "metadata-open.json"
#: Of a training: the latest sample of what it uses, and all of them.
USAGE = "usage.json"
USAGE_SERIES = "usage.jsonl"
ROOM = "room"
LOCK = "lock"
#: Written by the instance's root user, in the runner's root folder: jobs may run as root.
ALLOW_ROOT = "allow-root"
ERRORS = "supervisor.err"
#: Begins the names of folders with files that a person requested.
FETCH = "fetch-"
#: Of the finisher: what it packed, the URLs to send it to, what it has sent, and that it has tried all.
COLLECTED = "collected.json"
PUTS = "puts.json"
SENT = "sent.json"
UPLOADED = "uploaded.json"
UPLOAD_ATTEMPTS = "upload-attempts.json"
#: Of files that are sent in parts: the rights to send them, of the latest request, and the parts that were sent.
GRANTS = "grants.json"
SENT_PARTS = "sent-parts.json"


def runs_folder(root: str) -> str:
    return os.path.join(root, "runs")


def run_folder(root: str, key: str) -> str:
    return os.path.join(root, "runs", key)


def job_name(job: str, attempt: int = 1) -> str:
    """Names a job of an attempt: its folder, its units and its logs."""
    return job if attempt == 1 else f"{job}-{attempt}"


def job_folder(root: str, key: str, job: str, attempt: int = 1) -> str:
    return os.path.join(root, "runs", key, job_name(job, attempt))


def finish_folder(root: str, key: str) -> str:
    return os.path.join(root, "runs", key, "finish")


def fetch_folder(root: str, key: str, name: str) -> str:
    return os.path.join(root, "runs", key, FETCH + name)


def metrics_file(root: str, key: str) -> str:
    """RUNCTL_METRICS_FILE of a run. Its user writes it, and so it is beside the folders of runs, which are root's."""
    return os.path.join(root, "metrics", key + ".jsonl")


def lease_folder(root: str) -> str:
    return os.path.join(root, "lease")


def heard(root: str) -> str:
    """When the last request came; there while a dead man's switch waits for one."""
    return os.path.join(lease_folder(root), "heard")


def image(root: str) -> str:
    """What became of the scrub, also on the instances that were started from its image (common/image.py)."""
    return os.path.join(root, "image.json")


def scrub_work(root: str) -> str:
    """Of the process that scrubs: what it has to do."""
    return os.path.join(root, "scrub.json")


def scrub_lock(root: str) -> str:
    """Held by the process that scrubs."""
    return os.path.join(root, "scrub.lock")


def read_ahead(root: str) -> str:
    """Of which boot the process that reads an image's files is, and of which user."""
    return os.path.join(lease_folder(root), "read-ahead.json")


#: Below a home: the files that the warm command of an image opened (instance/warm.py), one path a line.
OPENED = ".runctl/image/opened.txt"


def program_path() -> str:
    """Path of this program, to start it again in another process.

    The document that runs a request sets argv[0]: it executes a descriptor, which has no path of its own.
    """
    return os.path.abspath(sys.argv[0])
