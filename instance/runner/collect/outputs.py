"""Packs the files of a project that match globs, as the user, into an archive that root has opened."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import time
from typing import Any, BinaryIO

from collect import globs
from common import child
from common.accounts import Account

_CHUNK_BYTES = 1 << 20
#: Left free on the disk beside what a file needs.
_SPARE_BYTES = 64 << 20
#: Of wall time. Searching and packing end by themselves, with what they have.
_MAX_SEARCH_S, _MAX_PACK_S = 60, 600
#: A process that hangs in a read is killed.
_MAX_TOTAL_S = 900
#: Of the list of what was packed: two million files.
_MAX_LIST_BYTES = 256 << 20
#: Warnings are for people: the rest is counted.
_MAX_WARNINGS = 20


def pack(
    path: str, project: str, patterns: list[str], max_bytes: int, account: Account, warnings: list[str]
) -> list[dict[str, Any]]:
    """Packs into `path`. Returns [{path, bytes, sha256}]; links have no SHA-256. Raises OSError, RuntimeError.

    It happens in a process of its own that has become the user: what the user cannot read is not packed.
    """
    archive = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        result = child.run(
            lambda: _Packer(archive, project, patterns, max_bytes).run(), account, _MAX_TOTAL_S, _MAX_LIST_BYTES
        )
    finally:
        os.close(archive)
    warnings += result["warnings"]
    return result["files"]


class _Packer:
    def __init__(self, archive: int, project: str, patterns: list[str], max_bytes: int) -> None:
        self._archive = archive
        self._project = project
        self._max_bytes = max_bytes
        self._files: list[dict[str, Any]] = []
        self._warnings: list[str] = []
        self._not_shown = 0
        self._until = float("inf")
        self._patterns: list[globs.Pattern] = []
        self._begins: set[str] = set()
        for pattern in patterns:
            self._add_pattern(pattern)

    def run(self) -> dict[str, Any]:
        try:
            with os.fdopen(self._archive, "wb") as file, tarfile.open(
                fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT
            ) as archive:
                names = sorted(self._names())
                self._until = time.monotonic() + _MAX_PACK_S
                for at, name in enumerate(names):
                    if time.monotonic() > self._until:
                        self._warn(f"packing took longer than {_MAX_PACK_S} s: {len(names) - at} files were left out")
                        break
                    self._add(archive, file, name)
        except OSError as error:
            self._files = []
            self._warn(f"The outputs were not packed: {error.strerror or error}")
        if self._not_shown:
            self._warnings.append(f"{self._not_shown} more warnings about outputs")
        return {"files": self._files, "warnings": self._warnings}

    def _add_pattern(self, glob: str) -> None:
        try:
            pattern = globs.Pattern(glob)
        except ValueError:
            self._warn(f"the pattern {glob} of outputs is not understood")
            return
        if ".." in glob.split("/"):
            self._warn(f"the pattern {glob} of outputs points outside the project")
            return
        self._patterns.append(pattern)
        self._begins.add(globs.literal_part(glob))

    def _matches(self, name: str) -> bool:
        return any(pattern.matches(name) for pattern in self._patterns)

    def _names(self) -> set[str]:
        """Paths in the project of what matches."""
        found: set[str] = set()
        todo = [begin for begin in sorted(self._begins) if not self._is_behind_link(begin)]
        until = time.monotonic() + _MAX_SEARCH_S
        while todo:
            if time.monotonic() > until:
                self._warn(f"the search timed out after {_MAX_SEARCH_S} s: files not found by then were left out")
                break
            name = todo.pop()
            path = os.path.join(self._project, name)
            try:
                if stat.S_ISDIR(os.lstat(path).st_mode):
                    todo += [os.path.join(name, entry) for entry in os.listdir(path)]
                elif self._matches(name):
                    found.add(name)
            except (FileNotFoundError, NotADirectoryError):
                continue  # Nothing of that name: nothing to collect is no error.
            except OSError as error:
                self._warn(f"{name}: {error.strerror}")
        return found

    def _is_behind_link(self, name: str) -> bool:
        """Whether a search cannot begin there without following a link. A link that itself matches may be packed."""
        parts = name.split("/")
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            is_match = count == len(parts) and self._matches(above)
            if os.path.islink(os.path.join(self._project, above)) and not is_match:
                self._warn(f"{above} is a link: its target was left out")
                return True
        return False

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
                total = f"the archive would exceed {self._max_bytes} bytes"
                self._warn(f"{name} was left out: with its {info.st_size} bytes {total}")
                return
            if info.st_size + _SPARE_BYTES > disk.f_bavail * disk.f_frsize:
                self._warn(f"{name} was left out: the disk has too little space to pack its {info.st_size} bytes")
                return
            entry = _entry(name, info)
            entry.size = info.st_size
            reader = _Reader(source, info.st_size, self._until)
            archive.addfile(entry, reader)
            if reader.missing:
                self._warn(f"{name} could not be read completely: {reader.missing}")
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


def _entry(name: str, info: os.stat_result) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mtime = int(info.st_mtime)
    entry.mode = stat.S_IMODE(info.st_mode) & 0o777
    return entry
