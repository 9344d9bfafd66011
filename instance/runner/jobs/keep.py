"""Starts the keeper of a training, gives it the right to send, and reads what it reports (package checkpoints)."""

from __future__ import annotations

import os
import time
from typing import Any

from common import accounts, keeper_files, marker
from jobs import launch

#: A keeper that ends so often is not started again.
_MAX_STARTS = 50
_GRACE_S = 2
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
    end = status["exit"]["endedAt"] if status["exit"] else None
    may_start = status["state"] == "running" or (end is not None and time.time() - end < keeper_files.DRAIN_S)
    if may_start and _start(folder, unit):
        return _latest(folder, status)
    return dict(report or _DONE, state="done")


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
    path = keeper_files.path(folder, keeper_files.STARTS)
    count = (marker.read(path) or {"count": 0})["count"]
    if count >= _MAX_STARTS:
        return False
    marker.write(path, {"count": count + 1}, durable=False)
    launch.detached(["keep", folder], f"{unit}-keep-{count + 1}", _GRACE_S)
    return True


def forget_grant(folder: str) -> None:
    """Removes the right to send of a run that has ended."""
    marker.remove(keeper_files.path(folder, keeper_files.GRANT))
