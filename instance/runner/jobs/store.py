"""Starts the process that stores the environment of an install, and reads what it reports (install/store.py)."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from common import accounts, disk, interpreter, keeper_files, marker, paths
from jobs import launch

#: A process that ends so often without a report is not started again.
_MAX_STARTS = 3
_GRACE_S = 2
#: A poll of a training that has ended waits so long for it.
_MAX_WAIT_S = 3.0
_CHECK_INTERVAL_S = 0.05
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PACKING: dict[str, Any] = {"state": "packing"}


def refresh(request: dict[str, Any], is_training: bool) -> dict[str, Any]:
    """Keeps the right of a poll, and starts the process where it is missing. Returns its report.

    Raises OSError, Refusal, marker.Untrusted; KeyError and ValueError for what is on the disk.
    """
    root, run = request["root"], request["run"]["key"]
    folder = paths.job_folder(root, run, "install", request["attempt"])
    report_path = keeper_files.path(folder, keeper_files.REPORT)
    if not marker.exists(keeper_files.path(folder, keeper_files.INPUT)):
        why = _prepare(request, folder)
        if why is not None:
            return {"state": "failed", "message": why}
    report = marker.read(report_path)
    if report is not None:
        return report
    keeper_files.write_grant(folder, request["environment"])
    if not keeper_files.is_working(folder) and not _start(folder, f"runctl-{run}-{os.path.basename(folder)}"):
        return {"state": "failed", "message": "the process that stores it has died"}
    deadline = time.monotonic() + (0 if is_training else _MAX_WAIT_S)
    while report is None and time.monotonic() < deadline:
        time.sleep(_CHECK_INTERVAL_S)
        report = marker.read(report_path)
    return report or _PACKING


def remember(work: dict[str, Any], result: dict[str, Any] | None) -> None:
    """Keeps the digest of the files that an install has left, before a training begins: for this run and later ones.

    work: of the supervisor. result: of the install. Never raises: a run does not depend on it.
    """
    environment = (result or {}).get("environment") or {}
    key, listing = environment.get("key"), environment.get("listing")
    if not _is_digest(key) or not _is_digest(listing):
        return
    folder = interpreter.project_environment(work["account"]["home"], work["project"])
    try:
        marker.folder(_kept_folder(work["root"]), 0o700)
        kept = {"key": key, "folder": folder, "listing": listing}
        marker.write(_kept_path(work["root"], work["project"]), kept, mode=0o600)
    except (OSError, marker.Untrusted) as error:
        disk.complain(f"the environment is not stored: {error}")


def _kept_folder(root: str) -> str:
    return os.path.join(root, "environments")


def _kept_path(root: str, project: str) -> str:
    return os.path.join(_kept_folder(root), project + ".json")


def _prepare(request: dict[str, Any], folder: str) -> str | None:
    """Writes what is stored. Returns why nothing is, or None."""
    end = marker.read(os.path.join(folder, paths.EXIT)) or {}
    result = end.get("result") or {}
    environment = result.get("environment") or {}
    key, installer = environment.get("key"), result.get("installer")
    if not _is_digest(key) or not isinstance(installer, str):
        return "the install has no environment to store"
    account = accounts.find(request)
    place = interpreter.project_environment(account.home, request["project"])
    kept = marker.read(_kept_path(request["root"], request["project"])) or {}
    if kept.get("key") != key or kept.get("folder") != place:
        return "the environment was not made by one install"
    marker.folder(keeper_files.folder(folder), 0o700)
    work = {
        "account": account._asdict(),
        "folder": place,
        "key": key,
        "listing": kept["listing"],
        "installer": installer[:40],
    }
    marker.write(keeper_files.path(folder, keeper_files.INPUT), work, mode=0o600)
    return None


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _start(folder: str, unit: str) -> bool:
    starts = keeper_files.path(folder, keeper_files.STARTS)
    return launch.at_most(_MAX_STARTS, starts, ["store", folder], f"{unit}-store", _GRACE_S)
