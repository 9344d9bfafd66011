"""Reads the progress and the result that a sync or an install reports: JSON lines on a pipe.

A process of the run's user writes them, so they are not trusted: bounded in size, checked in form, and only shown.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from common import disk, marker, paths
from common.secrets.redact import Redactor

_KEYS = {"phase": str, "done": float, "total": float, "bytes": float, "elapsed": float, "current": str}
_MAX_LINE_BYTES = 65_536
_MAX_TEXT = 200
_MAX_NUMBER = 1e18
#: What an answer has room for beside its log.
_MAX_RESULT_BYTES = 6_000
_WRITE_INTERVAL_S = 0.25


class Progress:
    """`fds`: the pipe's end to read from, until it is closed. `job_end`: the job's. `result`: the last one, or None."""

    def __init__(self, folder: str, redact: Redactor | None = None) -> None:
        """redact: a Redactor of the job's secrets, or None."""
        self._redact = redact
        self._path = os.path.join(folder, paths.PROGRESS)
        end, self.job_end = os.pipe()
        os.set_blocking(end, False)
        self.fds = [end]
        self.result: dict[str, Any] | None = None
        self._rest = b""
        self._latest: dict[str, Any] = {}
        self._written = self._latest
        self._written_at = 0.0

    def started(self) -> None:
        """Closes this process's copy of the job's end, which would keep the pipe open."""
        os.close(self.job_end)

    def read(self) -> None:
        """Reads what has arrived, and writes progress.json when it has changed. Never waits."""
        while self.fds:
            try:
                chunk = os.read(self.fds[0], _MAX_LINE_BYTES)
            except BlockingIOError:
                break
            if not chunk:
                os.close(self.fds.pop())
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > _MAX_LINE_BYTES:
                self._rest = b""
            for line in lines:
                self._take(line)
        if self._latest is not self._written and time.monotonic() - self._written_at >= _WRITE_INTERVAL_S:
            self._written, self._written_at = self._latest, time.monotonic()
            self._write()

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line.decode("utf-8"))
            json.dumps(message, allow_nan=False)
        except (ValueError, RecursionError):
            return  # Not a report: a program that the job started writes to a descriptor that it inherited.
        if not isinstance(message, dict):
            return
        if self._redact:
            message = self._redact.everywhere(message)
        if isinstance(message.get("progress"), dict):
            self._latest = {key: _keep(message["progress"].get(key), kind) for key, kind in _KEYS.items()}
        if isinstance(message.get("result"), dict):
            self.result = bounded(message["result"])

    def _write(self) -> None:
        try:
            marker.write(self._path, self._latest, durable=False)
        except OSError as error:
            disk.complain(f"writing progress: {error}")


def _keep(value: object, kind: type) -> object:
    if kind is str:
        return value[:_MAX_TEXT] if isinstance(value, str) else None
    return value if _is_number(value) else None


def _is_number(value: object) -> bool:
    """Whether it is a number that every reader of JSON accepts, and that is short."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER


def bounded(result: dict[str, Any]) -> dict[str, Any]:
    """A result small enough for an answer: lists and texts are cut, the longest first."""
    max_items, max_text = 100, 4_000
    result = _cut_values(result, sys.maxsize, sys.maxsize)  # only its numbers change
    while len(json.dumps(result)) > _MAX_RESULT_BYTES and max_text > 50:
        result = {key: _cut(value, max_items, max_text) for key, value in result.items()}
        max_items, max_text = max_items // 2, max_text // 2
    return result if len(json.dumps(result)) <= _MAX_RESULT_BYTES else {}


def _cut_values(value: dict[str, Any], max_items: int, max_text: int) -> dict[str, Any]:
    return {key[:max_text]: _cut(item, max_items, max_text) for key, item in list(value.items())[:max_items]}


def _cut(value: object, max_items: int, max_text: int) -> object:
    if isinstance(value, str):
        return value[:max_text]
    if isinstance(value, list):
        return [_cut(item, max_items, max_text) for item in value[:max_items]]
    if isinstance(value, dict):
        return _cut_values(value, max_items, max_text)
    return value if value is None or isinstance(value, bool) or _is_number(value) else None
