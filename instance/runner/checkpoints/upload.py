"""Sends one unit to S3, in a process of its own. What has been sent is on the disk: another process continues it."""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Any

from checkpoints import pin
from common import accounts, keeper_files, marker, part_sender

#: Between two notes of what has been sent.
_RECORD_S = 1.0
_LARGE_BYTES = 64 << 10
#: Paths that are a part of a key as they are.
_SAFE = re.compile(r"^[A-Za-z0-9._=/-]{1,400}$")


def run(job_folder: str, work: dict[str, Any], task: dict[str, Any]) -> None:
    """Sends the unit of a task, and writes the task with its result. Never raises for what S3 or the training do.

    task: {seq, name, signature, digest, format, marked, completeSince, modified, sent, result}; sent: ETags by key;
    result: null, {"unit": what a poll reports} or {"failed": reason, "changed": whether it is another unit by now}.
    """
    path = keeper_files.path(job_folder, keeper_files.UPLOAD)
    account = accounts.Account(**work["account"])
    user = None if account.uid == os.geteuid() else account
    try:
        pinned = pin.pin(work["project"], task["signature"], user)
    except (pin.Changed, OSError, RuntimeError) as error:
        task["result"] = {"failed": str(error), "changed": True}
        return marker.write(path, task)
    try:
        unit = _send(job_folder, path, task, pinned)
        changed = not all(one.is_same() for one in pinned)
        task["result"] = {"failed": "the training has written into it", "changed": True} if changed else {"unit": unit}
    except part_sender.GivenUp as error:
        task["result"] = {"failed": str(error), "changed": False}
    finally:
        pin.close(pinned)
    return marker.write(path, task)


def _send(job_folder: str, path: str, task: dict[str, Any], pinned: list[pin.Pinned]) -> dict[str, Any]:
    """Sends all files, then their list. Returns what a poll reports of the unit. Raises part_sender.GivenUp."""
    began = time.time()
    recorded_at = 0.0

    def record(length: int) -> None:
        nonlocal recorded_at
        # Many small files are noted together, each large part at once.
        if time.monotonic() - recorded_at >= _RECORD_S or length >= _LARGE_BYTES:
            recorded_at = time.monotonic()
            with contextlib.suppress(OSError):  # on a full disk, a part may be sent a second time
                marker.write(path, task, durable=False)

    sent: dict[str, str] = task["sent"]
    sender = part_sender.Sender(sent, lambda: keeper_files.read_grant(job_folder), record)
    sizes = sender.grant()
    folder = "{}/".format(task["seq"])
    files: list[dict[str, Any]] = []
    work: list[tuple[str, int, int, int]] = []
    for number, one in enumerate(pinned):
        parts = _parts(one, number, sizes["wholeBytes"], sizes["partBytes"])
        work += [(key, one.fd, offset, length) for key, offset, length in parts]
        files.append({"path": one.path, "bytes": one.bytes, "mtimeNs": one.mtime_ns, "parts": parts})
    sender.send_all(folder, work)
    for file in files:
        file["parts"] = [{"key": key, "bytes": length, "etag": sent[key]} for key, _, length in file["parts"]]
    described = {name: task[name] for name in ("seq", "name", "format", "marked", "completeSince", "modified")}
    listing = sender.send_json(folder, "files.json", {**described, "files": files}, keeper_files.folder(job_folder))
    return {
        **described,
        "bytes": sum(file["bytes"] for file in files),
        "files": len(files),
        "seconds": round(time.time() - began, 3),
        "listing": listing,
    }


def _parts(one: pin.Pinned, number: int, whole_bytes: int, part_bytes: int) -> list[tuple[str, int, int]]:
    """[(key, offset, length)] of what is sent of a file."""
    if one.bytes <= whole_bytes:
        is_safe = _SAFE.match(one.path) and ".." not in one.path and "//" not in one.path
        return [(f"data/{one.path}" if is_safe else f"numbered/{number}", 0, one.bytes)]
    return part_sender.part_keys(f"parts/{number}/", one.bytes, part_bytes)
