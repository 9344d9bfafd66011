"""Where things lie under the runner's root: the only place that puts these names together."""

import os

CLOSED = "closed.json"
REQUEST = "request.json"
INPUT = "input.json"
IDENTITY = "identity.json"
PROGRESS = "progress.json"
EXIT = "exit.json"
#: The last lines of a job with secrets, without their values.
TAIL = "tail.json"
STOP = "stop.json"
LOG = "log"
LOG_START = "log-start.json"
LOG_CUT = "log-cut.json"
ROOM = "room"
LOCK = "lock"
ERRORS = "supervisor.err"
#: Of the finisher: what it packed, the URLs to send it to, what has been sent, and that all was tried.
COLLECTED = "collected.json"
PUTS = "puts.json"
SENT = "sent.json"
UPLOADED = "uploaded.json"


def run_folder(root, key):
    return os.path.join(root, "runs", key)


def job_folder(root, key, job):
    return os.path.join(root, "runs", key, job)


def finish_folder(root, key):
    return os.path.join(root, "runs", key, "finish")


def lease_folder(root):
    return os.path.join(root, "lease")
