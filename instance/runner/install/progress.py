"""The face of an install: what it says to the log, and to whoever polls, while it lasts.

A person must never have to wonder whether it hangs: while something moves there is a line at least every 15 s, and when
nothing moves that is said.
"""

import json
import os
import sys
import time

#: Seconds. A line comes when the log was silent for _HEARTBEAT; ticks are about 1 s apart, so 15 s are kept.
_HEARTBEAT = 10
_STILL = 20
_STILL_AGAIN = 30
_REPORTS_APART = 0.25
#: Of CPU, per second, that a tool needs to be at work; one that waits for the network uses some as well.
_BUSY = 0.1

_NETWORK = "the package index may be slow or unreachable; a request is retried after a timeout"
_HINTS = {
    "resolving": _NETWORK,
    "downloading": _NETWORK,
    "building": "a build may be waiting for something",
    "installing": "the disk may be slow",
}


class Progress:
    """phase, done, total, bytes and current describe the install now; `say` writes the log.

    redact: callable applied to everything that leaves. descriptor: where JSON lines go, or None. clock: seconds.
    """

    def __init__(self, redact, descriptor=None, out=sys.stdout, clock=time.monotonic):
        self.phase = "resolving"
        self.done = self.total = self.bytes = self.current = None
        self._redact = redact
        self._descriptor = descriptor
        self._out = out
        self._clock = clock
        self._began = self._spoke = self._moved = self._complained = clock()
        self._reported_at = 0.0
        self._reported = None
        self._sample = None

    def say(self, text):
        """A line for the log."""
        self._out.write(self._redact(text) + "\n")
        self._out.flush()
        self._spoke = self._clock()

    def update(self, **changes):
        """Sets what is known anew, and reports it."""
        new_phase = changes.get("phase", self.phase) != self.phase
        for name, value in changes.items():
            setattr(self, name, value)
        self._moved = self._clock()
        self._report(at_once=new_phase)  # a short phase is shown as well

    def enter(self, phase, total=None):
        """A new phase: the counts of the last one do not hold for it."""
        self.update(phase=phase, done=0 if total else None, total=total, current=None)

    def tick(self, sample):
        """Called about every second with a Sample of the tools at work; speaks when it was quiet for too long."""
        now = self._clock()
        last = self._sample
        if last is None or last.root != sample.root:
            last = sample._replace(at=sample.at - 1, written=0, cpu=0.0)  # another tool, which began at nothing
        if sample.written > last.written:
            self.bytes = (self.bytes or 0) + sample.written - last.written
            self._moved = now
        if sample.cpu - last.cpu > _BUSY * (sample.at - last.at):
            self._moved = now
        self._sample = sample
        self._report()
        if now - self._moved >= _STILL:
            if now - self._complained >= _STILL_AGAIN or self._complained < self._moved:
                self._complained = now
                seconds = int(now - self._moved)
                self.say(f"no progress for {seconds} s, still {self.describe()}: {_HINTS[self.phase]}")
        elif now - self._spoke >= _HEARTBEAT:
            self.say(self.describe())

    def describe(self):
        """As "downloading 3 of 12, 240 MB, 31 s: torch"."""
        words = self.phase
        if self.total:
            words += f" {self.done or 0} of {self.total}"
        if self.bytes:
            words += f", {_size(self.bytes)}"
        words += f", {int(self.elapsed)} s"
        return words + (f": {self.current}" if self.current else "")

    @property
    def elapsed(self):
        """Seconds since the install began."""
        return self._clock() - self._began

    def result(self, result):
        """The last word to whoever started the install."""
        self._report(at_once=True)
        self._send({"result": result})

    def _report(self, at_once=False):
        state = {
            "phase": self.phase,
            "done": self.done,
            "total": self.total,
            "bytes": self.bytes,
            "elapsed": int(self.elapsed),
            "current": self._redact(self.current) if self.current else None,
        }
        now = self._clock()
        if state != self._reported and (at_once or now - self._reported_at >= _REPORTS_APART):
            self._reported, self._reported_at = state, now
            self._send({"progress": state})

    def _send(self, message):
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            # The supervisor is gone. What was begun is still worth finishing: the next run finds it installed.
            self._descriptor = None


def _size(count):
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
