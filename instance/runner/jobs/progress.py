"""What a sync or an install says of itself while it lasts: JSON lines on a pipe.

The other end is held by a process of the user's, so it is material, not truth: bounded in size, kept in shape, never
trusted further than to be shown.
"""

import json
import os
import sys
import time

from common import disk, marker, paths

_KEYS = {"phase": str, "done": float, "total": float, "bytes": float, "elapsed": float, "current": str}
_MOST_LINE = 65_536
_MOST_TEXT = 200
_MOST_NUMBER = 1e18
#: What an answer has room for beside its log.
_MOST_RESULT = 6_000
_EVERY_SECONDS = 0.25


class Progress:
    """`fds`: the end to read from, until it is closed. `job_end`: the job's. `result`: the last one, or None."""

    def __init__(self, folder, redact=None):
        """redact: a Redactor of the job's secrets, or None."""
        self._redact = redact
        self._path = os.path.join(folder, paths.PROGRESS)
        end, self.job_end = os.pipe()
        os.set_blocking(end, False)
        self.fds = [end]
        self.result = None
        self._rest = b""
        self._now = self._written = None
        self._written_at = 0.0

    def started(self):
        """The job has its end; ours would keep the pipe open for ever."""
        os.close(self.job_end)

    def read(self):
        """Takes in what has come, and writes progress.json if that is news. Never waits."""
        while self.fds:
            try:
                chunk = os.read(self.fds[0], _MOST_LINE)
            except BlockingIOError:
                break
            if not chunk:
                os.close(self.fds.pop())
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > _MOST_LINE:
                self._rest = b""
            for line in lines:
                self._take(line)
        if self._now is not self._written and time.monotonic() - self._written_at >= _EVERY_SECONDS:
            self._written, self._written_at = self._now, time.monotonic()
            self._write()

    def _take(self, line):
        try:
            said = json.loads(line.decode("utf-8"))
            json.dumps(said, allow_nan=False)
        except (ValueError, RecursionError):
            return  # Not ours: a program that the job started writes to a descriptor that it inherited.
        if not isinstance(said, dict):
            return
        if self._redact:
            said = self._redact.everywhere(said)
        if isinstance(said.get("progress"), dict):
            self._now = {key: _keep(said["progress"].get(key), kind) for key, kind in _KEYS.items()}
        if isinstance(said.get("result"), dict):
            self.result = bounded(said["result"])

    def _write(self):
        try:
            marker.write(self._path, self._now, durable=False)
        except OSError as error:
            disk.complain(f"writing progress: {error}")


def _keep(value, kind):
    if kind is str:
        return value[:_MOST_TEXT] if isinstance(value, str) else None
    return value if _is_number(value) else None


def _is_number(value):
    """Whether it is a number that every reader of JSON can take, and that does not fill an answer by itself."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MOST_NUMBER


def bounded(result):
    """A result small enough for an answer: lists and texts are cut, the longest first."""
    most_items, most_text = 100, 4_000
    result = _cut(result, sys.maxsize, sys.maxsize)  # its numbers
    while len(json.dumps(result)) > _MOST_RESULT and most_text > 50:
        result = {key: _cut(value, most_items, most_text) for key, value in result.items()}  # pyright: ignore[reportAttributeAccessIssue]
        most_items, most_text = most_items // 2, most_text // 2
    return result if len(json.dumps(result)) <= _MOST_RESULT else {}


def _cut(value, most_items, most_text):
    if isinstance(value, str):
        return value[:most_text]
    if isinstance(value, list):
        return [_cut(item, most_items, most_text) for item in value[:most_items]]
    if isinstance(value, dict):
        return {key[:most_text]: _cut(item, most_items, most_text) for key, item in list(value.items())[:most_items]}
    return value if value is None or isinstance(value, bool) or _is_number(value) else None
