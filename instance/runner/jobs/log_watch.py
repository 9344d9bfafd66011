"""Stands by a job's log: opened here, for the job to append to, and watched for what a job may do to its own log.

Where the filesystem can, the log of another user's job is append-only for everybody as long as the job lives.
Elsewhere a job, which holds its log open for writing, can rewrite it (then its digest tells) and cut it; one that runs
as the same user as the runner can also put another file in its place. Offsets that pollers use count every byte that
the log ever had (log-start.json says which one the file now begins with), so neither makes them read a byte twice.
"""

import hashlib
import os
import shutil
import time

from common import append_only, disk, marker, paths

_CHUNK = 1 << 20
#: As much as the finisher keeps of a log; and in one look, at a log that a job has made huge.
_MOST_DIGESTED, _MOST_AT_ONCE = 4 << 30, 64 << 20


class LogWatch:
    """`fd` is the descriptor that the job writes to."""

    def __init__(self, folder, is_others):
        """is_others: whether the job runs as another user, whom an attribute of the file can stop."""
        self._path = os.path.join(folder, paths.LOG)
        self._cut_path = os.path.join(folder, paths.LOG_CUT)
        self._start_path = os.path.join(folder, paths.LOG_START)
        self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        os.fchmod(self.fd, 0o600)
        #: Of the log's first `_digested` bytes as they were when they were seen first; None where they cannot change.
        self._digest = None if is_others and append_only.switch(self.fd, True) else hashlib.sha256()
        self._digested = 0
        self._start = 0
        self._size = 0
        #: Where the log goes on once another file lay in its place: the job still writes to `fd`, which has no name.
        self._copy = None
        self._copied = 0

    def size(self):
        """Bytes of the log now."""
        return os.fstat(self.fd).st_size

    def say(self, text):
        """A line of the runner's own in the log, if there is room for it."""
        try:
            os.write(self.fd, f"[runctl] {text}\n".encode("utf-8", "replace"))
        except OSError as error:
            disk.complain(f"{text} (not in the log: {error})")

    def look(self):
        """Sees whether the log is still what it was; about once a second, and once more at the end. Raises OSError."""
        if self._copy is None and not self._is_in_place():
            self._restore()
        size = os.fstat(self.fd).st_size
        known = self._start + self._size
        read_to = self._what_a_poll_had_read()
        if size < self._size or self._start + size < read_to:
            self._mark_cut(max(known, read_to))
            self._digest, self._digested = self._digest and hashlib.sha256(), 0
        self._size = os.fstat(self.fd).st_size
        if self._digest:
            self._digested += self._read_into(self._digest, self._digested, self._size)
        self._carry()

    def _read_into(self, digest, start, end):
        """Adds bytes of the log to a digest, not too many at once; returns how many."""
        at, end = start, min(end, start + _MOST_AT_ONCE, _MOST_DIGESTED)
        while at < end:
            chunk = os.pread(self.fd, min(_CHUNK, end - at), at)
            if not chunk:
                break
            digest.update(chunk)
            at += len(chunk)
        return at - start

    def _what_a_poll_had_read(self):
        """The offset of a poll that found less than it had read before, between two looks of ours; else 0."""
        cut = marker.read(self._cut_path)
        if cut is None:
            return 0
        marker.remove(self._cut_path)
        return cut["offset"]

    def _mark_cut(self, reached):
        """The file now begins with byte `reached` of all that the log ever had."""
        gone, self._start = reached - self._start, reached
        if self._copy is not None:
            os.ftruncate(self._copy, 0)
            self._copied = 0
        self.say(f"the job truncated its log: {gone} bytes before this point are lost")
        marker.write(self._start_path, {"offset": reached})

    def close(self):
        """The last look, when nobody but us can write any more. Raises OSError."""
        try:
            self.look()
            if self._digest and self._has_changed():
                self.say("the job changed earlier parts of this log")
                marker.write(os.path.join(os.path.dirname(self._path), paths.LOG_CHANGED), {"at": time.time()})
        finally:
            append_only.switch(self.fd, False)

    def _has_changed(self):
        again, at = hashlib.sha256(), 0
        while at < self._digested:
            count = self._read_into(again, at, self._digested)
            if not count:
                return True
            at += count
        return again.digest() != self._digest.digest()

    def _is_in_place(self):
        try:
            there = os.lstat(self._path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self.fd)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _restore(self):
        """Puts the log back under its name: what the job wrote is all still behind our descriptor."""
        self.say("this log was replaced or removed; it was restored")
        draft = self._path + ".restored"
        if os.path.isdir(self._path) and not os.path.islink(self._path):
            shutil.rmtree(self._path)
        self._copy = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._copied = 0
        self._carry()
        os.rename(draft, self._path)

    def _carry(self):
        if self._copy is None:
            return
        while True:
            chunk = os.pread(self.fd, 1 << 20, self._copied)
            if not chunk:
                return
            self._copied += os.write(self._copy, chunk)
