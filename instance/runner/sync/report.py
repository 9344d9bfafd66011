"""What a sync says: lines for the job's log, progress and result for the supervisor, and its one kind of error."""

import json
import os
import sys
import time

PROGRESS_EVERY = 0.25  # seconds: the contract allows four lines a second


class SyncError(Exception):
    """A sync ended badly: FetchFailed, DigestMismatch, ArchiveUnsafe, DiskFull or SyncFailed (CONTRACT.md)."""

    def __init__(self, name, message):
        super().__init__(message)
        self.name = name
        self.message = message


def say(line):
    """One line of the job's log, at once: `-I` makes Python ignore PYTHONUNBUFFERED."""
    print(line, flush=True)


def size(count):
    """Bytes as a person reads them: 812 bytes, 3.1 MB."""
    if count < 1000:
        return "%d bytes" % count
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95 or unit == "GB":
            return "%.1f %s" % (value, unit)


def counted(count, noun):
    """`1 file`, `2,000 files`."""
    return "{:,} {}{}".format(count, noun, "" if count == 1 else "s")


class Reporter:
    """Writes progress and the result to the descriptor that the supervisor named; without one, nowhere."""

    def __init__(self):
        self._fd = int(os.environ.get("RUNCTL_PROGRESS_FD") or -1)
        self._began = time.monotonic()
        self._last = self._began - PROGRESS_EVERY
        self._phase = ""

    def progress(self, phase, done=None, total=None, bytes_done=None, current=None):
        """Tells the supervisor how far `phase` is; calls that come too fast are dropped, unless the phase is new."""
        now = time.monotonic()
        if self._fd < 0 or (phase == self._phase and now - self._last < PROGRESS_EVERY):
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

    def result(self, values):
        """The last line: what the sync did, or `{"error": …}`."""
        self._send({"result": values})

    def _send(self, message):
        if self._fd < 0:
            return
        try:
            os.write(self._fd, json.dumps(message).encode() + b"\n")
        except OSError as error:
            # The supervisor is gone: the files on disk still tell the next sync what happened.
            self._fd = -1
            print("progress can no longer be reported: %s" % error.strerror, file=sys.stderr, flush=True)
