"""Sends one unit to S3, in a process of its own. What has been sent is on the disk: another process continues it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import tempfile
import threading
import time
from typing import Any

from checkpoints import pin
from common import accounts, form_post, keeper_files, marker

#: Requests at the same time. MD5 and sending leave the interpreter's lock, so threads use several cores.
_WORKERS = min(8, 2 * (os.cpu_count() or 1))
#: Of one read or write.
_MAX_SILENCE_S = 60.0
#: Without anything sent for so long, the unit is given up; a newer one may be there by then.
_MAX_STALL_S = 900.0
_FIRST_DELAY_S, _MAX_DELAY_S = 1.0, 30.0
_GRANT_CHECK_S = 0.5
#: Between two notes of what has been sent.
_RECORD_S = 1.0
_LARGE_BYTES = 64 << 10
#: Paths that are a part of a key as they are.
_SAFE = re.compile(r"^[A-Za-z0-9._=/-]{1,400}$")
_ERRORS = (OSError, http.client.HTTPException, form_post.Refused)


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
        unit = _Sender(job_folder, path, task).send(pinned)
        changed = not all(one.is_same() for one in pinned)
        task["result"] = {"failed": "the training has written into it", "changed": True} if changed else {"unit": unit}
    except _GivenUp as error:
        task["result"] = {"failed": str(error), "changed": False}
    finally:
        pin.close(pinned)
    return marker.write(path, task)


class _GivenUp(Exception):
    """Sending took too long; the message says what the last error was, without any secret."""


class _Sender:
    def __init__(self, job_folder: str, path: str, task: dict[str, Any]) -> None:
        self._job_folder, self._path, self._task = job_folder, path, task
        self._sent: dict[str, str] = task["sent"]
        self._lock = threading.Lock()
        self._progress_at = time.monotonic()
        self._recorded_at = 0.0
        self._why = "no poll came"

    def send(self, pinned: list[pin.Pinned]) -> dict[str, Any]:
        """Sends all files, then their list. Returns what a poll reports of the unit. Raises _GivenUp."""
        began = time.time()
        sizes = self._grant()
        files: list[dict[str, Any]] = []
        work: list[tuple[str, int, int, int]] = []
        for number, one in enumerate(pinned):
            parts = _parts(one, number, sizes["wholeBytes"], sizes["partBytes"])
            work += [(key, one.fd, offset, length) for key, offset, length in parts]
            files.append({"path": one.path, "bytes": one.bytes, "mtimeNs": one.mtime_ns, "parts": parts})
        with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
            for future in [pool.submit(self._send, *item) for item in work]:
                future.result()
        for file in files:
            file["parts"] = [{"key": key, "bytes": length, "etag": self._sent[key]} for key, _, length in file["parts"]]
        task = self._task
        described = {name: task[name] for name in ("seq", "name", "format", "marked", "completeSince", "modified")}
        listing = self._send_list({**described, "files": files})
        return {
            **described,
            "bytes": sum(file["bytes"] for file in files),
            "files": len(files),
            "seconds": round(time.time() - began, 3),
            "listing": listing,
        }

    def _send_list(self, value: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(value, separators=(",", ":")).encode("ascii")
        with tempfile.TemporaryFile(dir=keeper_files.folder(self._job_folder)) as file:
            file.write(data)
            file.flush()
            self._sent.pop("files.json", None)
            self._send("files.json", file.fileno(), 0, len(data))
        return {"key": "files.json", "bytes": len(data), "etag": self._sent["files.json"]}

    def _send(self, key: str, fd: int, offset: int, length: int) -> None:
        """Sends a file, or a part of one, unless it has been sent. key: below that of the unit. Raises _GivenUp."""
        if key in self._sent:
            return
        delay = _FIRST_DELAY_S
        while True:
            grant = self._grant()
            prefix = "{}{}/".format(grant["prefix"], self._task["seq"])
            try:
                tag, _ = form_post.post(grant["url"], grant["fields"], prefix + key, fd, offset, length, _MAX_SILENCE_S)
            except _ERRORS as error:
                # Of an HTTPException only the type may be shown.
                self._why = getattr(error, "strerror", None) or (
                    str(error) if isinstance(error, form_post.Refused) else type(error).__name__
                )
            else:
                return self._record(key, tag, length)
            if time.monotonic() - self._progress_at > _MAX_STALL_S:
                raise _GivenUp(f"nothing could be sent for {_MAX_STALL_S / 60:g} minutes: {self._why}")
            time.sleep(delay)
            delay = min(2 * delay, _MAX_DELAY_S)

    def _record(self, key: str, tag: str, length: int) -> None:
        with self._lock, contextlib.suppress(OSError):  # on a full disk, a part may be sent a second time
            self._sent[key] = tag
            self._progress_at = now = time.monotonic()
            # Many small files are noted together, each large part at once.
            if now - self._recorded_at >= _RECORD_S or length >= _LARGE_BYTES:
                self._recorded_at = now
                marker.write(self._path, self._task, durable=False)

    def _grant(self) -> dict[str, Any]:
        """The right of the latest poll. Waits for one. Raises _GivenUp."""
        while True:
            grant = keeper_files.read_grant(self._job_folder)
            if grant is not None:
                return grant
            if time.monotonic() - self._progress_at > _MAX_STALL_S:
                raise _GivenUp(f"no poll came for {_MAX_STALL_S / 60:g} minutes")
            time.sleep(_GRANT_CHECK_S)


def _parts(one: pin.Pinned, number: int, whole_bytes: int, part_bytes: int) -> list[tuple[str, int, int]]:
    """[(key, offset, length)] of what is sent of a file."""
    if one.bytes <= whole_bytes:
        is_safe = _SAFE.match(one.path) and ".." not in one.path and "//" not in one.path
        return [(f"data/{one.path}" if is_safe else f"numbered/{number}", 0, one.bytes)]
    offsets = range(0, one.bytes, part_bytes)
    return [(f"parts/{number}/{at // part_bytes:05d}", at, min(part_bytes, one.bytes - at)) for at in offsets]
