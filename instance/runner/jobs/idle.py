"""`idle`: whether the instance may be stopped, and the mark with which nothing starts on it any more."""

from __future__ import annotations

import os
from typing import Any

from common import attempts, paths, processes
from jobs import containers, fetch, finisher, lease, people, status, stopping

_MAX_REASONS = 10


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `idle`. With the verdict `stopping` the instance is marked, and the caller stops it."""
    root = request["root"]
    with lease.locked(root):
        verdict, reasons, quiet = _judge(request)
        if verdict == "stopping":
            stopping.mark(root)
    return {"verdict": verdict, "reasons": reasons[:_MAX_REASONS], "idleSeconds": quiet, "bootId": processes.boot_id()}


def _judge(request: dict[str, Any]) -> tuple[str, list[str], float]:
    """(verdict, reasons, seconds since a run used the instance, or since its boot)."""
    root = request["root"]
    key, quiet = stopping.last_use(root)
    waiting = lease.waiting(root)
    if waiting:
        return "in-use", [f"run {run} has the instance, or waits for it" for run in waiting], quiet
    if not request["anyRun"] and key is not None and key != request["run"]["key"]:
        return "in-use", [f"the run with the key {key} has used the instance since"], quiet
    runs = living(root)
    if runs:
        return "busy", runs, quiet
    if quiet < request["quiet"]:
        return "quiet", [], quiet
    others = people.reasons()
    return ("busy" if others else "stopping"), others, quiet


def living(root: str) -> list[str]:
    """Runs with a process: a job, what a job left, or a finisher."""
    found = []
    for key in sorted(os.listdir(paths.runs_folder(root))):
        folder = paths.run_folder(root, key)
        if finisher.is_working(paths.finish_folder(root, key)) or fetch.is_working(folder):
            found.append(f"files of the run with the key {key} are being sent")
        for one in attempts.folders(folder):
            state, identity, _ = status.find_state(one.path)
            container = containers.of(identity) if identity else None
            if state == "running" or (container and not container.is_empty()):
                found.append(f"a process of {one.name} of the run with the key {key} is running")
    return found
