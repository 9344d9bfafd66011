"""Packs the files of a project that match globs, as the user, into an archive that root has opened."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import time
from typing import Any, BinaryIO, NamedTuple

from collect import search
from common import child, open_files
from common.accounts import Account
from common.listing import Listing

_CHUNK_BYTES = 1 << 20
#: Left free on the disk beside what a file needs.
_SPARE_BYTES = 64 << 20
#: Of wall time. Packing ends by itself, with what it has.
_MAX_PACK_S = 3_600
#: A process that hangs in a read is killed.
_MAX_TOTAL_S = 4_000
#: Of the list of what was packed: two million files.
_MAX_LIST_BYTES = 256 << 20
#: A file that a running run has changed since is not finished.
_QUIET_S = 5.0
#: Warnings are for people: the rest is counted.
_MAX_WARNINGS = 20
#: Of files that were left out, in a warning: the list of outputs names all.
_MAX_NAMES = 3


class Selection(NamedTuple):
    """Which files are outputs."""

    patterns: list[str]
    #: Of the start of the training; None: it never began.
    listing: Listing | None
    #: Also what matches and was there before.
    old_too: bool
    #: The run goes on: a file that is open for writing, or was changed a moment ago, may not be finished.
    is_running: bool = False
    #: Epoch seconds: what was changed later is not the run's. None: everything is.
    until: float | None = None


class Packed(NamedTuple):
    #: Files and links in the archive, by path; links have no SHA-256: {path, bytes, sha256}.
    files: list[dict[str, Any]]
    #: Files that had no room, the newest first: {path, bytes, why}.
    left_out: list[dict[str, Any]]
    #: What the run created or changed beside the outputs: {folder, files, bytes}.
    others: list[dict[str, Any]]
    warnings: list[str]


def pack(path: str, project: str, selection: Selection, max_bytes: int, account: Account) -> Packed:
    """Packs into `path`. Raises OSError, RuntimeError.

    It happens in a process of its own that has become the user: what the user cannot read is not packed.
    """
    archive = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        result = child.run(
            lambda: _Packer(archive, project, selection, max_bytes).run(), account, _MAX_TOTAL_S, _MAX_LIST_BYTES
        )
        return Packed(**result)
    finally:
        os.close(archive)


class _Packer:
    def __init__(self, archive: int, project: str, selection: Selection, max_bytes: int) -> None:
        self._archive = archive
        self._project = project
        self._max_bytes = max_bytes
        self._selection = selection
        self._open = open_files.for_writing() if selection.is_running else frozenset()
        self._files: list[dict[str, Any]] = []
        self._left_out: list[dict[str, Any]] = []
        self._warnings: list[str] = []
        self._not_shown = 0
        self._until = float("inf")
        self._search = search.Search(project, selection.patterns, selection.listing, selection.old_too, self._warn)

    def run(self) -> dict[str, Any]:
        try:
            with os.fdopen(self._archive, "wb") as file, tarfile.open(
                fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT
            ) as archive:
                found = self._search.outputs()
                selection = self._selection
                self._until = time.monotonic() + _MAX_PACK_S
                for name, info in found:
                    if time.monotonic() > self._until:
                        self._leave_out(name, info.st_size, "time")
                    elif self._is_changing(info):
                        self._leave_out(name, info.st_size, "changing")
                    elif selection.until is not None and info.st_ctime > selection.until:
                        self._leave_out(name, info.st_size, "later")
                    else:
                        self._add(archive, file, name)
        except OSError as error:
            self._files = []
            self._warn(f"The outputs were not packed: {error.strerror or error}")
        others = self._search.others()
        self._warn_of_left_out()
        if self._not_shown:
            self._warnings.append(f"{self._not_shown} more warnings about outputs")
        return {
            "files": sorted(self._files, key=lambda file: file["path"]),
            "left_out": self._left_out,
            "others": others,
            "warnings": self._warnings,
        }

    def _is_changing(self, info: os.stat_result) -> bool:
        if not self._selection.is_running or not stat.S_ISREG(info.st_mode):
            return False
        is_young = time.time() - max(info.st_mtime, info.st_ctime) < _QUIET_S
        return is_young or (info.st_dev, info.st_ino) in self._open

    def _leave_out(self, name: str, size: int, why: str) -> None:
        self._left_out.append(
            {"path": name.encode("utf-8", "backslashreplace").decode("utf-8"), "bytes": size, "why": why}
        )

    def _warn_of_left_out(self) -> None:
        reasons = {
            "size": f"the archive would exceed {self._max_bytes} bytes",
            "disk": "the disk has too little space to pack them",
            "time": f"packing took longer than {_MAX_PACK_S} s",
            "changing": "the run has not finished writing",
            "later": "the last change was after the end of the run",
        }
        for why, reason in reasons.items():
            files = [file for file in self._left_out if file["why"] == why]
            if files:
                names = ", ".join(file["path"] for file in files[:_MAX_NAMES])
                more = f" and {len(files) - _MAX_NAMES} more" if len(files) > _MAX_NAMES else ""
                count = "1 file" if len(files) == 1 else f"{len(files)} files"
                size = sum(file["bytes"] for file in files)
                verb = "was" if len(files) == 1 else "were"
                self._warn(f"{count} of {size} bytes {verb} left out, because {reason}: {names}{more}")

    def _add(self, archive: tarfile.TarFile, file: BinaryIO, name: str) -> None:
        path = os.path.join(self._project, name)
        try:
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                self._add_link(archive, name, path)
            elif not stat.S_ISREG(info.st_mode):
                self._warn(f"{name} is not a regular file and was left out")
            else:
                self._add_file(archive, file, name, path)
        except UnicodeEncodeError:
            self._warn("a file whose name is not valid UTF-8 was left out")
        except (PermissionError, FileNotFoundError) as error:
            self._warn(f"{name} was left out: {error.strerror}")

    def _add_link(self, archive: tarfile.TarFile, name: str, path: str) -> None:
        inside = os.path.realpath(self._project)
        target = os.path.realpath(path)
        if not target.startswith(inside + os.sep):
            self._warn(f"{name} is a link to a place outside the project and was left out")
            return
        entry = _entry(name, os.lstat(path))
        entry.type = tarfile.SYMTYPE
        entry.linkname = os.path.relpath(target, os.path.join(inside, os.path.dirname(name)))
        archive.addfile(entry)
        self._files.append({"path": name})

    def _add_file(self, archive: tarfile.TarFile, file: BinaryIO, name: str, path: str) -> None:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as source:
            info = os.fstat(source.fileno())
            disk = os.fstatvfs(file.fileno())
            if file.tell() + info.st_size > self._max_bytes:
                self._leave_out(name, info.st_size, "size")
                return
            if info.st_size + _SPARE_BYTES > disk.f_bavail * disk.f_frsize:
                self._leave_out(name, info.st_size, "disk")
                return
            entry = _entry(name, info)
            entry.size = info.st_size
            reader = _Reader(source, info.st_size, self._until)
            archive.addfile(entry, reader)
            if reader.missing:
                self._warn(f"{name} could not be read completely: {reader.missing}")
            if self._selection.is_running and _times(os.fstat(source.fileno())) != _times(info):
                self._warn(f"{name} was changed while it was read, and may not be complete")
            self._files.append({"path": name, "bytes": info.st_size, "sha256": reader.digest.hexdigest()})

    def _warn(self, text: str) -> None:
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append(text.encode("utf-8", "backslashreplace").decode("utf-8")[:500])
        else:
            self._not_shown += 1


class _Reader:
    """Returns exactly `size` bytes of a file, zeros where it cannot be read in time, and computes their SHA-256."""

    def __init__(self, source: BinaryIO, size: int, until: float) -> None:
        self._source, self._left, self._until = source, size, until
        self.digest = hashlib.sha256()
        #: Why some bytes could not be read, or None.
        self.missing: str | None = None

    def read(self, length: int = _CHUNK_BYTES) -> bytes:
        count = min(length, self._left, _CHUNK_BYTES)
        data = b""
        try:
            if time.monotonic() <= self._until:
                data = self._source.read(count)
            else:
                self.missing = "it took too long"
        except OSError as error:  # a bad block of one file must not cost the others
            self.missing = error.strerror
        if len(data) < count:
            self.missing = self.missing or "it became shorter while it was read"
            data += bytes(count - len(data))
        self._left -= count
        self.digest.update(data)
        return data


def _times(info: os.stat_result) -> tuple[int, int, int]:
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _entry(name: str, info: os.stat_result) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime = int(info.st_mtime)
    entry.mode = stat.S_IMODE(info.st_mode) & 0o777
    return entry
