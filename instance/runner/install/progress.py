"""Reports the progress of an install to the log and to whoever polls.

The log has a line at least every 15 s, and a line when the install makes no progress: nobody has to wonder whether it
hangs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from install.usage import Sample

#: A line is written when the log was silent for so long; ticks are about 1 s apart, so 15 s are kept.
_HEARTBEAT_S = 10
#: The log reports a lack of progress after so long, and again after so long.
_STALLED_S = 20
_STALLED_AGAIN_S = 30
_REPORT_INTERVAL_S = 0.25
#: CPU seconds per second above which a tool counts as working; one that waits for the network uses a little too.
_BUSY = 0.1

_NETWORK = "the package index may be slow or unreachable; a request is retried after a timeout"
_HINTS = {
    "restoring": "S3 may be slow or unreachable; a request is retried after a timeout",
    "resolving": _NETWORK,
    "downloading": _NETWORK,
    "building": "a build may be waiting for something",
    "installing": "the disk may be slow",
}


class Progress:
    """phase, done, total, bytes and current describe the install now; `log` writes the log.

    redact: callable applied to everything that leaves. descriptor: where JSON lines go, or None. clock: seconds.
    """

    def __init__(
        self,
        redact: Callable[[str], str],
        descriptor: int | None = None,
        out: TextIO = sys.stdout,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.phase = "resolving"
        self.done: int | None = None
        self.total: int | None = None
        self.bytes: int | None = None
        self.current: str | None = None
        self._redact = redact
        self._descriptor = descriptor
        self._out = out
        self._clock = clock
        self._began = self._last_line = self._last_change = self._last_warning = clock()
        self._reported_at = 0.0
        self._reported: dict[str, Any] | None = None
        self._sample: Sample | None = None

    def log(self, text: str) -> None:
        """Writes a line to the log."""
        self._out.write(self._redact(text) + "\n")
        self._out.flush()
        self._last_line = self._clock()

    def update(self, **changes: object) -> None:
        """Sets attributes, and reports them."""
        new_phase = changes.get("phase", self.phase) != self.phase
        for name, value in changes.items():
            setattr(self, name, value)
        self._last_change = self._clock()
        self._report(at_once=new_phase)  # so that a short phase is seen too

    def enter(self, phase: str, total: int | None = None) -> None:
        """Begins a phase, with counts of its own."""
        self.update(phase=phase, done=0 if total else None, total=total, current=None)

    def tick(self, sample: Sample) -> None:
        """Takes a Sample of the running tools, about every second; writes a line after a long silence."""
        now = self._clock()
        last = self._sample
        if last is None or last.root != sample.root:
            last = sample._replace(at=sample.at - 1, written=0, cpu=0.0)  # another tool, which began at zero
        if sample.written > last.written:
            self.bytes = (self.bytes or 0) + sample.written - last.written
            self._last_change = now
        if sample.cpu - last.cpu > _BUSY * (sample.at - last.at):
            self._last_change = now
        self._sample = sample
        self._report()
        if now - self._last_change >= _STALLED_S:
            if now - self._last_warning >= _STALLED_AGAIN_S or self._last_warning < self._last_change:
                self._last_warning = now
                seconds = int(now - self._last_change)
                self.log(f"no progress for {seconds} s, still {self.describe()}: {_HINTS[self.phase]}")
        elif now - self._last_line >= _HEARTBEAT_S:
            self.log(self.describe())

    def describe(self) -> str:
        """A line such as "downloading 3 of 12, 240 MB, 31 s: torch"."""
        line = self.phase
        if self.total:
            line += f" {self.done or 0} of {self.total}"
        if self.bytes:
            line += f", {_size(self.bytes)}"
        line += f", {int(self.elapsed)} s"
        return line + (f": {self.current}" if self.current else "")

    @property
    def elapsed(self) -> float:
        """Seconds since the install began."""
        return self._clock() - self._began

    def result(self, result: dict[str, Any]) -> None:
        """Sends the job's result to the supervisor."""
        self._report(at_once=True)
        self._send({"result": result})

    def _report(self, at_once: bool = False) -> None:
        state = {
            "phase": self.phase,
            "done": self.done,
            "total": self.total,
            "bytes": self.bytes,
            "elapsed": int(self.elapsed),
            "current": self._redact(self.current) if self.current else None,
        }
        now = self._clock()
        if state != self._reported and (at_once or now - self._reported_at >= _REPORT_INTERVAL_S):
            self._reported, self._reported_at = state, now
            self._send({"progress": state})

    def _send(self, message: dict[str, Any]) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            # The supervisor is gone. The install goes on: the next run finds the packages installed.
            self._descriptor = None


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
