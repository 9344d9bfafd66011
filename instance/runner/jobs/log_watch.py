"""Opens a job's log, for the job to append to, and checks what the job does to it.

Where the filesystem supports it, the log of another user's job is append-only for everybody until the job has ended.
Elsewhere a job, which has its log open for writing, can change it (which its digest shows) and truncate it; a job that
runs as the runner's own user can also replace the file. Offsets of polls count every byte that the log ever had
(log-start.json has the one that the file now begins with), so no byte is read twice.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time

from common import append_only, disk, log_times, marker, paths

_CHUNK = 1 << 20
#: As much as the finisher keeps of a log; and in one check, of a log that a job has made huge.
_MAX_DIGESTED_BYTES, _MAX_BYTES_AT_ONCE = 4 << 30, 64 << 20


class LogWatch:
    """`fd` is the descriptor that the job writes to."""

    def __init__(self, folder: str, is_others: bool) -> None:
        """is_others: whether the job runs as another user, whom the append-only attribute stops."""
        self._path = os.path.join(folder, paths.LOG)
        self._cut_path = os.path.join(folder, paths.LOG_CUT)
        self._start_path = os.path.join(folder, paths.LOG_START)
        restarted = marker.read(os.path.join(folder, paths.RESTARTED))
        is_again = restarted is not None
        if is_again:
            append_only.clear(self._path)  # its mode could not be set
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | (0 if is_again else os.O_EXCL)
        self.fd = os.open(self._path, flags, 0o600)
        os.fchmod(self.fd, 0o600)
        #: Of the log's first `_digested` bytes as they were first read; None where they cannot change.
        self._digest = None if is_others and append_only.switch(self.fd, True) else hashlib.sha256()
        self._digested = 0
        self._start = (marker.read(self._start_path) or {}).get("offset", 0)
        self._size = 0
        self._times = log_times.Recorder(os.path.join(folder, paths.LOG_TIMES))
        #: The restored log, after another file had replaced it: the job still writes to `fd`, which has no name.
        self._copy: int | None = None
        self._copied = 0
        if restarted is not None:
            self._separate(restarted["interrupted"])

    def _separate(self, interrupted: bool) -> None:
        """Begins a new line behind the log of a job that is started again."""
        size = self.size()
        if size and os.pread(self.fd, 1, size - 1) != b"\n":
            os.write(self.fd, b"\n")
        why = "the job was interrupted, by a reboot for example" if interrupted else "the job failed"
        self.say(f"{why}; it is started again")

    def size(self) -> int:
        """Bytes of the log now."""
        return os.fstat(self.fd).st_size

    def say(self, text: str) -> None:
        """Writes a line of the runner's own to the log, if the disk has room for it."""
        try:
            os.write(self.fd, f"[runctl] {text}\n".encode("utf-8", "replace"))
        except OSError as error:
            disk.complain(f"{text} (not in the log: {error})")

    def check(self, is_last: bool = False) -> None:
        """Checks the log; called about once a second, and once more at the end. Raises OSError."""
        if self._copy is None and not self._is_in_place():
            self._restore()
        size = os.fstat(self.fd).st_size
        known = self._start + self._size
        read_to = self._offset_of_a_poll()
        if size < self._size or self._start + size < read_to:
            self._mark_cut(max(known, read_to))
            self._digest, self._digested = self._digest and hashlib.sha256(), 0
        self._size = os.fstat(self.fd).st_size
        if self._digest:
            self._digested += self._read_into(self._digest, self._digested, self._size)
        self._copy_new_bytes()
        self._times.record(self._start + self._size, time.time(), is_last)

    def _read_into(self, digest: hashlib._Hash, start: int, end: int) -> int:
        """Adds bytes of the log to a digest, a bounded number at once; returns how many."""
        at, end = start, min(end, start + _MAX_BYTES_AT_ONCE, _MAX_DIGESTED_BYTES)
        while at < end:
            chunk = os.pread(self.fd, min(_CHUNK, end - at), at)
            if not chunk:
                break
            digest.update(chunk)
            at += len(chunk)
        return at - start

    def _offset_of_a_poll(self) -> int:
        """The offset of a poll that found fewer bytes than it had read before, between two checks; else 0."""
        cut = marker.read(self._cut_path)
        if cut is None:
            return 0
        marker.remove(self._cut_path)
        return cut["offset"]

    def _mark_cut(self, reached: int) -> None:
        """Records that the file now begins with byte `reached` of all that the log ever had."""
        lost, self._start = reached - self._start, reached
        if self._copy is not None:
            os.ftruncate(self._copy, 0)
            self._copied = 0
        self.say(f"the job truncated its log: {lost} bytes before this point are lost")
        marker.write(self._start_path, {"offset": reached})

    def close(self) -> None:
        """Checks the log for the last time, when only this process can still write to it. Raises OSError."""
        try:
            self.check(is_last=True)
            if self._digest and self._has_changed(self._digest):
                self.say("the job changed earlier parts of this log")
                marker.write(os.path.join(os.path.dirname(self._path), paths.LOG_CHANGED), {"at": time.time()})
        finally:
            append_only.switch(self.fd, False)

    def _has_changed(self, digest: hashlib._Hash) -> bool:
        again, at = hashlib.sha256(), 0
        while at < self._digested:
            count = self._read_into(again, at, self._digested)
            if not count:
                return True
            at += count
        return again.digest() != digest.digest()

    def _is_in_place(self) -> bool:
        try:
            existing = os.lstat(self._path)
        except FileNotFoundError:
            return False
        opened = os.fstat(self.fd)
        return (existing.st_dev, existing.st_ino) == (opened.st_dev, opened.st_ino)

    def _restore(self) -> None:
        """Puts the log back under its name: the open descriptor still has all that the job wrote."""
        self.say("this log was replaced or removed; it was restored")
        draft = self._path + ".restored"
        if os.path.isdir(self._path) and not os.path.islink(self._path):
            shutil.rmtree(self._path)
        self._copy = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._copied = 0
        self._copy_new_bytes()
        os.rename(draft, self._path)

    def _copy_new_bytes(self) -> None:
        if self._copy is None:
            return
        while True:
            chunk = os.pread(self.fd, 1 << 20, self._copied)
            if not chunk:
                return
            self._copied += os.write(self._copy, chunk)
