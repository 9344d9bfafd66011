"""Sends files, or parts of them, by forms that S3 accepts, several at a time, for as long as that takes."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import os
import tempfile
import threading
import time
from typing import Any, Callable, Iterable

from common import form_post

#: Requests at the same time. MD5 and sending leave the interpreter's lock, so threads use several cores.
_WORKERS = min(8, 2 * (os.cpu_count() or 1))
#: Of one read or write.
_MAX_SILENCE_S = 60.0
#: Without anything sent for so long, it is given up.
MAX_STALL_S = 900.0
_FIRST_DELAY_S, _MAX_DELAY_S = 1.0, 30.0
_GRANT_CHECK_S = 0.5
_ERRORS = (OSError, http.client.HTTPException, form_post.Refused)


class GivenUp(Exception):
    """Sending took too long; the message says what the last error was, without any secret."""


class Sender:
    """sent: ETags by key, which it adds to; what is in it is not sent again.

    grant: returns the latest right to send, {url, fields, prefix, …}, or None while there is none.
    record: called after each key, with its length; never by two threads at once.
    stall: seconds without anything sent until it gives up.
    """

    def __init__(
        self,
        sent: dict[str, str],
        grant: Callable[[], dict[str, Any] | None],
        record: Callable[[int], None],
        stall: float = MAX_STALL_S,
    ) -> None:
        self._sent, self._read_grant, self._record_sent, self._stall = sent, grant, record, stall
        self._lock = threading.Lock()
        self._progress_at = time.monotonic()
        self._why: str | None = None

    def send_all(self, folder: str, work: Iterable[tuple[str, int, int, int]]) -> None:
        """Sends parts: (key, descriptor, offset, length); folder: between the grant's prefix and each key.

        Raises GivenUp, when none is under way any more.
        """
        with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
            futures = [pool.submit(self.send, folder, *item) for item in work]
            try:
                for future in futures:
                    future.result()
            finally:
                for future in futures:
                    future.cancel()

    def send_json(self, folder: str, key: str, value: object, scratch: str) -> dict[str, Any]:
        """Sends a list of what was sent, in any case. Returns {key, bytes, etag}. scratch: a folder. Raises GivenUp."""
        data = json.dumps(value, separators=(",", ":")).encode("ascii")
        with tempfile.TemporaryFile(dir=scratch) as file:
            file.write(data)
            file.flush()
            self._sent.pop(key, None)
            self.send(folder, key, file.fileno(), 0, len(data))
        return {"key": key, "bytes": len(data), "etag": self._sent[key]}

    def send(self, folder: str, key: str, fd: int, offset: int, length: int) -> None:
        """Sends a file, or a part of one, unless it has been sent. Raises GivenUp."""
        if key in self._sent:
            return
        delay = _FIRST_DELAY_S
        while True:
            grant = self.grant()
            whole_key = grant["prefix"] + folder + key
            try:
                tag, _ = form_post.post(grant["url"], grant["fields"], whole_key, fd, offset, length, _MAX_SILENCE_S)
            except _ERRORS as error:
                # Of an HTTPException only the type may be shown.
                self._why = getattr(error, "strerror", None) or (
                    str(error) if isinstance(error, form_post.Refused) else type(error).__name__
                )
            else:
                with self._lock:
                    self._sent[key] = tag
                    self._progress_at = time.monotonic()
                    self._record_sent(length)
                return
            self._check_stall()
            time.sleep(delay)
            delay = min(2 * delay, _MAX_DELAY_S)

    def grant(self) -> dict[str, Any]:
        """The latest right to send. Waits for one. Raises GivenUp."""
        while True:
            grant = self._read_grant()
            if grant is not None:
                return grant
            self._check_stall()
            time.sleep(_GRANT_CHECK_S)

    def _check_stall(self) -> None:
        if time.monotonic() - self._progress_at > self._stall:
            minutes = f"{self._stall / 60:g} minutes"
            why = f"nothing could be sent for {minutes}: {self._why}" if self._why else f"no poll came for {minutes}"
            raise GivenUp(why)


def part_keys(folder: str, length: int, part_bytes: int) -> list[tuple[str, int, int]]:
    """[(key, offset, length)] of the parts of a file, in order. folder: begins the keys, with its slash."""
    offsets = range(0, length, part_bytes)
    return [(f"{folder}{at // part_bytes:05d}", at, min(part_bytes, length - at)) for at in offsets]
