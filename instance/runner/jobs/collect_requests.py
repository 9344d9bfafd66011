"""`collect` and `upload`: logs and outputs go to S3. The finisher does the work (package collect)."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Sequence

from common import accounts, environment, marker, paths, processes
from jobs import finisher, lease, status, terminate

_MAX_KILL_S = 5.0


def collect(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `collect`. Raises Refusal."""
    root, key = request["root"], request["run"]["key"]
    folder = paths.finish_folder(root, key)
    with lease.locked(root):
        terminate.close(root, key, "finished")
        _request_stops(root, key, request["grace"])
    jobs: dict[str, str] = {}

    def check() -> str:
        states, is_empty = terminate.survey(root, key)
        jobs.update(states)
        if not is_empty:
            return "ending"
        terminate.free_rooms(root, key)
        return finisher.advance(
            key, folder, "collect", paths.COLLECTED, lambda is_last: _write_input(request, folder, is_last), _give_up
        )

    state = finisher.until(root, request["wait"], check, "collected")
    found = marker.read(os.path.join(folder, paths.COLLECTED)) if state == "collected" else None
    return {
        "state": "collecting" if state == "working" else state,
        "jobs": jobs,
        "files": found["files"] if found else None,
        "warnings": found["warnings"] if found else [],
    }


def upload(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `upload`."""
    root, key = request["root"], request["run"]["key"]
    folder = paths.finish_folder(root, key)
    if not marker.exists(os.path.join(folder, paths.COLLECTED)):
        return {"state": "absent", "failed": {}, "parts": {}}
    _write_grants(folder, request["parts"])

    def check() -> str:
        return advance_upload(key, folder, request["puts"], sorted(request["parts"]))

    is_done = finisher.until(root, request["wait"], check, "uploaded") == "uploaded"
    if not is_done:
        return {"state": "uploading", "failed": {}, "parts": {}}
    return {"state": "uploaded", "failed": failed_uploads(folder), "parts": _sent_lists(folder)}


def _write_grants(folder: str, grants: dict[str, Any]) -> None:
    """Keeps the rights to send files in parts: also for a finisher that is working."""
    if grants:
        kept = {"grants": grants, "receivedAt": time.time()}
        marker.write(os.path.join(folder, paths.GRANTS), kept, mode=0o600, durable=False)


def _sent_lists(folder: str) -> dict[str, dict[str, Any]]:
    """{bytes, etag} of the lists of parts that were sent, by name of the file."""
    notes = marker.read(os.path.join(folder, paths.SENT_PARTS)) or {}
    lists = {name: note["list"] for name, note in notes.items()}
    return {name: {key: one[key] for key in ("bytes", "etag")} for name, one in lists.items() if one is not None}


def advance_upload(key: str, folder: str, puts: dict[str, str], parts: Sequence[str] = ()) -> str:
    """Lets the finisher upload what it has packed in this folder. Returns the state.

    puts: URLs by name. parts: names of the files that are sent in parts.
    """
    _reopen_upload(folder, {*puts, *parts})
    path = os.path.join(folder, paths.PUTS)
    return finisher.advance(
        key,
        folder,
        "upload",
        paths.UPLOADED,
        lambda _is_last: marker.write(path, {"puts": puts, "parts": list(parts)}, mode=0o600),
        lambda: _given_up_uploads(folder),
    )


def failed_uploads(folder: str) -> dict[str, str]:
    """Why, by name; of an upload that is done."""
    failed: dict[str, str] = marker.read_existing(os.path.join(folder, paths.UPLOADED))["failed"]
    return failed


def _reopen_upload(folder: str, names: set[str]) -> None:
    """Lets the finisher upload again when this request has names that earlier requests lacked."""
    path = os.path.join(folder, paths.UPLOADED)
    ended = marker.read(path)
    if ended is not None and "names" in ended and not names <= set(ended["names"]):
        marker.remove(os.path.join(folder, finisher.attempts("upload")))
        marker.remove(path)


def kill(root: str, key: str) -> None:
    """Ends a finisher that is still working, since its run is released. Removes URLs that it has not read."""
    folder = paths.finish_folder(root, key)
    deadline = time.monotonic() + _MAX_KILL_S
    # A finisher writes its identity shortly after it has its lock; its packing child keeps the lock when it is killed.
    while finisher.is_working(folder) and time.monotonic() < deadline:
        identity = marker.read(os.path.join(folder, paths.IDENTITY))
        if identity is not None and identity["bootId"] == processes.boot_id():
            terminate.send(signal.SIGKILL, processes.group(identity["pid"], identity["startTime"]))
        time.sleep(0.01)
    marker.remove(os.path.join(folder, paths.PUTS))
    marker.remove(os.path.join(folder, paths.GRANTS))


def _request_stops(root: str, key: str, grace: float) -> None:
    for _, folder in terminate.jobs_of(root, key):
        if status.find_state(folder)[0] == "running":
            terminate.request_stop(folder, grace, terminate.unit_of(key, folder))


def _write_input(request: dict[str, Any], folder: str, is_last: bool) -> None:
    """The last attempt packs logs only."""
    account = accounts.find(request)
    work_input = {name: request[name] for name in ("project", "run", "outputs", "outputsFrom")}
    work_input["maxBytes"] = max(request["maxBytes"], request["maxBytesInParts"])
    work_input.update(account=account._asdict(), agent=environment.of_agent(), logsOnly=is_last)
    marker.write(os.path.join(folder, paths.INPUT), work_input, mode=0o600)


def _give_up() -> dict[str, Any]:
    attempts = finisher.MAX_ATTEMPTS
    return {"files": [], "warnings": [f"packing outputs and logs crashed in all of {attempts} attempts"]}


def _given_up_uploads(folder: str) -> dict[str, Any]:
    sent = (marker.read(os.path.join(folder, paths.SENT)) or {"names": []})["names"]
    files = marker.read_existing(os.path.join(folder, paths.COLLECTED))["files"]
    reason = f"sending it did not complete in {finisher.MAX_ATTEMPTS} attempts"
    return {
        "names": [file["name"] for file in files],
        "failed": {file["name"]: reason for file in files if file["name"] not in sent},
    }
