"""Walks every combination of a training's marker files and prints, as JSON lines, what the runner makes of each.

Arguments: the folder of the runner's modules, and a folder to work in. Run as the user that the runner is.
"""

import fcntl
import getpass
import itertools
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, sys.argv[1])

from common import marker, paths, processes, protocol
from jobs import launch, start, status

ROOT = os.path.join(sys.argv[2], "root")
RUN = {"id": "run", "key": "run-key", "arn": "arn:run"}
FOLDER = paths.job_folder(ROOT, RUN["key"], "train", 1)
ENDS = {
    "none": None,
    "code 0": {"code": 0},
    "code 3": {"code": 3},
    "signal": {"signal": "SIGSEGV"},
    "memory": {"signal": "SIGKILL", "outOfMemory": True},
    "stop": {"code": 0, "reason": "stop"},
    "max-duration": {"code": 0, "reason": "max-duration"},
}
NO_END = {"code": None, "signal": None, "endedAt": 1.0, "maxRssBytes": 1, "outOfMemory": False, "reason": None}
BOTH = (False, True)


def walk():
    living, zombie = _sleeper(), _sleeper()
    os.kill(zombie.pid, signal.SIGKILL)
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    pids = {
        "alive": (living.pid, processes.look(living.pid).start),
        "zombie": (zombie.pid, processes.look(zombie.pid).start),
        "another's": (living.pid, 1),
        "gone": (_dead(), 1),
    }
    begun = []
    launch.detached = lambda words, unit, grace, program=None: begun.append(words) or "played"
    start._MAX_LAUNCH_S = 0  # nobody is launched, so nobody is waited for
    os.makedirs(ROOT, exist_ok=True)
    open(os.path.join(ROOT, paths.ALLOW_ROOT), "w").close()  # whoever runs the tests may be root
    os.fsync = lambda fd: None  # thousands of folders that need not survive a power cut
    try:
        identities = ["none", "claimed", *itertools.product(pids, BOTH, BOTH)]
        for identity, end, asked, taken, closed, stopped in itertools.product(identities, ENDS, BOTH, BOTH, BOTH, BOTH):
            held = _lay_out(pids, identity, end, asked, taken, closed, stopped)
            seen = status.describe(FOLDER, "train", 0, 1_000)
            begun.clear()
            answer = _start()
            if held is not None:
                os.close(held)
            case = {
                "identity": identity,
                "end": end,
                "request": asked,
                "input": taken,
                "closed": closed,
                "stop": stopped,
            }
            case.update(status=seen, begun=len(begun), refused=answer.get("reason"))
            sys.stdout.write(json.dumps(case) + "\n")
    finally:
        living.kill()
        living.wait()
        zombie.wait()


def _lay_out(pids, identity, end, asked, taken, closed, stopped):
    """Writes the markers. Returns the descriptor of a supervisor that has taken the job, if there is one."""
    os.makedirs(FOLDER, exist_ok=True)
    # The folders themselves stay: to make them anew would take most of the time.
    for folder in (FOLDER, os.path.dirname(FOLDER)):
        for entry in list(os.scandir(folder)):
            if entry.is_file(follow_symlinks=False):
                os.unlink(entry)
    lease = marker.folder(paths.lease_folder(ROOT))
    marker.write(os.path.join(lease, "holder.json"), dict(RUN, run=RUN["id"], since=1.0))
    lock = os.open(os.path.join(FOLDER, paths.LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    _put(asked, paths.REQUEST, {})
    _put(taken, paths.INPUT, {})
    _put(stopped, paths.STOP, {"grace": 1, "askedAt": 1.0})
    _put(ENDS[end] is not None, paths.EXIT, dict(NO_END, result=None, **(ENDS[end] or {})))
    if closed:
        marker.write(os.path.join(paths.run_folder(ROOT, RUN["key"]), paths.CLOSED), {"reason": "a test", "at": 1.0})
    if identity == "claimed":
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock
    os.close(lock)
    if identity != "none":
        process, supervised, booted = identity
        pid, began = pids[process]
        supervisor = pids["alive" if supervised else "gone"]
        value = {"pid": pid, "startTime": began, "bootId": "another" if booted else processes.boot_id(), "startedAt": 1.0}
        value["supervisor"] = {"pid": supervisor[0], "startTime": supervisor[1]}
        _put(True, paths.IDENTITY, value)
    return None


def _put(there, name, value):
    if there:
        marker.write(os.path.join(FOLDER, name), value)


def _start():
    """Returns the answer to a start, whose request is read as the runner reads it."""
    request = {
        "protocol": protocol.PROTOCOL,
        "verb": "start",
        "root": ROOT,
        "run": RUN,
        "project": "p",
        "job": "train",
        "users": None,
        "projects": None,
        "home": sys.argv[2],
        "runner": "0",
        "notAfter": 1e12,
        "queue": None,
        "ended": [],
        "train": {"script": "train.py", "args": [], "env": {}, "python": None, "maxDuration": 9, "stopGrace": 1},
    }
    request.update(user=getpass.getuser(), wait=0, maxBytes=0)
    try:
        return start.answer(protocol.parse(json.dumps(request)))
    except start.Refusal as refusal:
        return {"reason": str(refusal)}


def _sleeper():
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


def _dead():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


walk()
