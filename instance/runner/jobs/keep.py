"""Starts the keeper of a training, gives it the right to send, and reads what it reports (package checkpoints)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from common import accounts, attempts, keeper_files, marker, paths, processes
from jobs import launch

#: A keeper that ends so often is not started again.
_MAX_STARTS = 50
_GRACE_S = 2
_MAX_KILL_S = 5.0
#: A poll of a training that has ended waits so long for its keeper.
_MAX_WAIT_S = 3.0
_CHECK_INTERVAL_S = 0.05
_DONE: dict[str, Any] = {"state": "done", "units": [], "uploading": None, "warnings": [], "notice": None}


def prepare(request: dict[str, Any], folder: str, account: accounts.Account) -> None:
    """Writes what a keeper has to watch. The request of the training has checkpoints."""
    marker.folder(keeper_files.folder(folder), 0o700)
    kept = {
        "checkpoints": request["train"]["checkpoints"],
        "account": account._asdict(),
        "project": os.path.join(account.home, request["project"]),
    }
    marker.write(keeper_files.path(folder, keeper_files.INPUT), kept, mode=0o600)


def refresh(folder: str, unit: str, status: dict[str, Any], grant: dict[str, Any]) -> dict[str, Any] | None:
    """Keeps the right of a poll, and starts a keeper where one is missing. Returns its report; None: there is none.

    unit: name of its systemd unit. status: the job's, so far.
    """
    if not marker.exists(keeper_files.path(folder, keeper_files.INPUT)):
        return None
    report = marker.read(keeper_files.path(folder, keeper_files.REPORT))
    if report is not None and report["state"] == "done":
        return dict(report, units=[item for item in report["units"] if item["seq"] > grant["committed"]])
    keeper_files.write_grant(folder, grant)
    if keeper_files.is_working(folder):
        return _latest(folder, status)
    may_start = status["state"] == "running" or time.time() - _ended_at(folder, status) < keeper_files.DRAIN_S
    if may_start and not attempts.is_superseded(folder) and _start(folder, unit):
        return _latest(folder, status)
    return dict(report or _DONE, state="done")


def _ended_at(folder: str, status: dict[str, Any]) -> float:
    """When the training ended: epoch seconds. When nobody has recorded it: when a poll found that it has vanished."""
    if status["exit"]:
        return status["exit"]["endedAt"]
    path = keeper_files.path(folder, keeper_files.DRAIN)
    noted = marker.read(path)
    if noted is None:
        noted = {"at": time.time()}
        marker.write(path, noted)
    return noted["at"]


def _latest(folder: str, status: dict[str, Any]) -> dict[str, Any]:
    """The report of a keeper that works. When its training has ended, it is mostly done in a moment."""
    until = time.monotonic() + (0 if status["state"] == "running" else _MAX_WAIT_S)
    while True:
        report = marker.read(keeper_files.path(folder, keeper_files.REPORT))
        is_done = report is not None and report["state"] == "done"
        if is_done or time.monotonic() >= until:
            return report or dict(_DONE, state="watching")
        time.sleep(_CHECK_INTERVAL_S)


def _start(folder: str, unit: str) -> bool:
    starts = keeper_files.path(folder, keeper_files.STARTS)
    return launch.at_most(_MAX_STARTS, starts, ["keep", folder], f"{unit}-keep", _GRACE_S)


def end(folder: str) -> bool:
    """Ends the keeper of an earlier attempt, whose numbers the next one uses. Returns whether none is left."""
    deadline = time.monotonic() + _MAX_KILL_S
    while keeper_files.is_working(folder):
        # It writes its identity shortly after it has its lock.
        identity = marker.read(keeper_files.path(folder, paths.IDENTITY))
        if identity is not None and identity["bootId"] == processes.boot_id():
            if processes.alive(identity["pid"], identity["startTime"]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity["pid"], signal.SIGKILL)  # its children end with it
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    forget_grant(folder)
    return True


def forget_grant(folder: str) -> None:
    """Removes the right to send of a run that has ended."""
    marker.remove(keeper_files.path(folder, keeper_files.GRANT))
