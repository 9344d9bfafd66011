"""The output of a sync or a restore: lines for the job's log, progress and result for the supervisor."""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRESS_INTERVAL_S = 0.25  # the contract allows four lines a second


def log(line: str) -> None:
    """Writes a line to the job's log at once: `-I` makes Python ignore PYTHONUNBUFFERED."""
    print(line, flush=True)


def format_size(count: int) -> str:
    """Bytes as a person reads them: 812 bytes, 3.1 MB."""
    if count < 1000:
        return "%d bytes" % count
    value = float(count)
    for unit in ("kB", "MB"):
        value /= 1000
        if value < 999.95:
            return "%.1f %s" % (value, unit)
    return "%.1f GB" % (value / 1000)


def format_count(count: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return "{:,} {}{}".format(count, noun, "" if count == 1 else "s")


class Reporter:
    """Writes progress and the result to the descriptor that the supervisor named; without one, nowhere."""

    def __init__(self) -> None:
        self._fd = int(os.environ.get("RUNCTL_PROGRESS_FD") or -1)
        self._began = time.monotonic()
        self._last = self._began - PROGRESS_INTERVAL_S
        self._phase = ""

    def report_progress(
        self,
        phase: str,
        done: int | None = None,
        total: int | None = None,
        bytes_done: int | None = None,
        current: str | None = None,
    ) -> None:
        """Reports how far `phase` is; drops calls that come too fast, unless the phase is new."""
        now = time.monotonic()
        if self._fd < 0 or (phase == self._phase and now - self._last < PROGRESS_INTERVAL_S):
            return
        self._phase, self._last = phase, now
        elapsed = round(now - self._began, 2)
        values = {
            "phase": phase,
            "done": done,
            "total": total,
            "bytes": bytes_done,
            "elapsed": elapsed,
            "current": current,
        }
        self._send({"progress": values})

    def report_result(self, values: Mapping[str, object]) -> None:
        """Writes the last line: what the sync did, or `{"error": …}`."""
        self._send({"result": values})

    def _send(self, message: Mapping[str, object]) -> None:
        if self._fd < 0:
            return
        try:
            os.write(self._fd, json.dumps(message).encode() + b"\n")
        except OSError as error:
            # The supervisor has ended. The files on the disk show the next sync what happened.
            self._fd = -1
            print("progress can no longer be reported: %s" % error.strerror, file=sys.stderr, flush=True)
