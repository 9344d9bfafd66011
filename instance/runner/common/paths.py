"""Where things lie under the runner's root: the only place that puts these names together."""

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
LOG = "log"
LOG_START = "log-start.json"
LOG_CUT = "log-cut.json"
LOG_CHANGED = "log-changed.json"
ROOM = "room"
LOCK = "lock"
#: Of the instance's root user, in the runner's root folder: root may run jobs.
ALLOW_ROOT = "allow-root"
ERRORS = "supervisor.err"
#: Of the finisher: what it packed, the URLs to send it to, what has been sent, and that all was tried.
COLLECTED = "collected.json"
PUTS = "puts.json"
SENT = "sent.json"
UPLOADED = "uploaded.json"


def runs_folder(root):
    return os.path.join(root, "runs")


def run_folder(root, key):
    return os.path.join(root, "runs", key)


def job_folder(root, key, job):
    return os.path.join(root, "runs", key, job)


def finish_folder(root, key):
    return os.path.join(root, "runs", key, "finish")


def lease_folder(root):
    return os.path.join(root, "lease")


def program_path():
    """Where this program is stored: what starts a process from itself, as Python's argument, needs it.

    The document that runs a request sets argv[0]. It executes a descriptor, which has no name of its own.
    """
    return os.path.abspath(sys.argv[0])
