"""`scrub`: has everything removed that must not be in an image of this instance, and the instance powered off."""

from __future__ import annotations

import os
import time
from typing import Any

from common import image, marker, paths, processes
from jobs import builder, dead_man, idle, launch, lease, stopping

_MAX_REASONS = 10
#: As for a supervisor.
_MAX_LAUNCH_S = 15.0
_CHECK_INTERVAL_S = 0.05
_GRACE_S = 10
_UNIT = "runctl-scrub"


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `scrub`. A process that died is started again; so is one that failed, for another run."""
    root = request["root"]
    # Without the lock: its file is among those that are removed.
    told = _told(request)
    if told is None:
        with lease.locked(root):
            told = _told(request) or _begin(request)
    state, reasons = told
    return {"state": state, "reasons": reasons[:_MAX_REASONS], "bootId": processes.boot_id()}


def _told(request: dict[str, Any]) -> tuple[str, list[str]] | None:
    """The answer that image.json has; None: a process has to be started."""
    root = request["root"]
    found = image.read(root)
    if found is None or not image.is_of_this_boot(found):
        return None
    if found["state"] == "failed":
        # Sent again by the same run, it is the same request.
        if found["run"] != request["run"]["key"]:
            return None
        return "failed", str(found["reason"]).split("\n")
    if found["state"] == "scrubbed" or marker.is_locked(paths.scrub_lock(root)):
        return "scrubbing", []
    return None


def _begin(request: dict[str, Any]) -> tuple[str, list[str]]:
    root = request["root"]
    reasons = [f"run {run} has the instance, or waits for it" for run in lease.waiting(root)] or idle.living(root)
    if reasons:
        return "busy", reasons
    found = image.read(root)
    is_again = found is not None and found["state"] in ("scrubbing", "failed")
    try:
        places = builder.find(request, is_again)
    except builder.NotABuilder as error:
        return "failed", [f"this instance is not scrubbed: {error}"]
    about = dict(request["image"], project=request["project"], run=request["run"]["key"])
    # scrub.json first: a process that finds the state has its work.
    work = dict(places, about=about, delay=request["delay"], shutdown=dead_man.command())
    marker.write(paths.scrub_work(root), work, mode=0o600)
    stopping.mark(root)
    image.write(root, about, "scrubbing", [])
    launch.detached(["scrub", root], f"{_UNIT}-{int(stopping.uptime() * 1_000)}", _GRACE_S)
    deadline = time.monotonic() + _MAX_LAUNCH_S
    while os.path.lexists(paths.scrub_work(root)) and not marker.is_locked(paths.scrub_lock(root)):
        if time.monotonic() > deadline:
            break  # The next request finds it, or starts another one.
        time.sleep(_CHECK_INTERVAL_S)
    return _told(request) or ("scrubbing", [])
