"""`fetch`: sends files of a run to S3 for a person, while the run lasts or afterwards.

It changes nothing of the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import Any

from common import accounts, attempts, environment, marker, paths
from jobs import collect_requests, finisher, status

#: What a person did not fetch within this time is removed.
_MAX_AGE_S = 3_600


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `fetch`. Raises Refusal."""
    root, key = request["root"], request["run"]["key"]
    trainings = attempts.begun(paths.run_folder(root, key), "train")
    train = trainings[-1].path if trainings else None
    kept = marker.read(os.path.join(train, paths.REQUEST)) if train else None
    if train is None or kept is None:
        return _state("absent")
    folder = paths.fetch_folder(root, key, request["id"])
    if not os.path.isdir(folder):
        remove_old(paths.run_folder(root, key))

    def pack() -> str:
        return finisher.advance(
            key,
            folder,
            "fetch",
            paths.COLLECTED,
            lambda _is_last: _write_input(request, kept, train, folder),
            lambda: {"files": [], "warnings": ["packing the files crashed in all attempts"], "raw": {}},
        )

    if finisher.until(root, request["wait"], pack, "collected") != "collected":
        return _state("packing")
    packed = marker.read_existing(os.path.join(folder, paths.COLLECTED))
    if not packed["files"] or request["put"] is None:
        return _state("packed", packed)
    [file] = packed["files"]
    puts = {file["name"]: request["put"]}

    def send() -> str:
        return collect_requests.advance_upload(key, folder, puts)

    if finisher.until(root, request["wait"], send, "uploaded") != "uploaded":
        return _state("uploading", packed)
    marker.remove(os.path.join(folder, file["name"]))
    failed = collect_requests.failed_uploads(folder)
    return dict(_state("uploaded", packed), failed=failed.get(file["name"]))


def remove_old(run_folder: str) -> None:
    """Removes what a person requested long ago, and what nobody is working on."""
    with contextlib.suppress(OSError, marker.Untrusted):
        for name in os.listdir(run_folder):
            folder = os.path.join(run_folder, name)
            is_old = name.startswith(paths.FETCH) and time.time() - os.stat(folder).st_mtime > _MAX_AGE_S
            if is_old and not finisher.is_working(folder):
                shutil.rmtree(folder, ignore_errors=True)


def is_working(run_folder: str) -> bool:
    names = os.listdir(run_folder)
    return any(name.startswith(paths.FETCH) and finisher.is_working(os.path.join(run_folder, name)) for name in names)


def _state(state: str, packed: dict[str, Any] | None = None) -> dict[str, Any]:
    packed = packed or {"files": [], "count": 0, "warnings": []}
    archive = packed["files"][0] if packed["files"] else {"bytes": 0, "sha256": None}
    return {
        "state": state,
        "files": packed.get("count", 0),
        "bytes": archive["bytes"],
        "sha256": archive["sha256"],
        "warnings": packed["warnings"],
        "failed": None,
    }


def _write_input(request: dict[str, Any], kept: dict[str, Any], train: str, folder: str) -> None:
    """User and project are those of the run, whatever the request says: whoever asks cannot choose whose files."""
    is_running = status.find_state(train)[0] == "running"
    of_run = {"root": request["root"], "run": request["run"], "user": kept["user"], "home": kept["home"]}
    work_input = {name: request[name] for name in ("run", "outputs", "outputsFrom", "maxBytes")}
    work_input.update(
        project=kept["project"],
        account=accounts.find(of_run)._asdict(),
        agent=environment.of_agent(),
        isRunning=is_running,
        until=None if is_running else _collected_at(request),
    )
    marker.write(os.path.join(folder, paths.INPUT), work_input, mode=0o600)


def _collected_at(request: dict[str, Any]) -> float | None:
    """Epoch seconds when the outputs of the run had been packed: what is changed later is not the run's."""
    try:
        finish = paths.finish_folder(request["root"], request["run"]["key"])
        return os.stat(os.path.join(finish, paths.COLLECTED)).st_mtime
    except FileNotFoundError:
        return None
