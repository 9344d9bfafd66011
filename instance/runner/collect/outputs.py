"""Packs the files of a project that match globs, as the user, into an archive that root has opened."""

import hashlib
import os
import stat
import tarfile
import time

from collect import globs
from common import child

_CHUNK = 1 << 20
#: Left free on the disk, in bytes, beside what a file needs.
_SPARE = 64 << 20
#: Of wall time. Searching and packing end by themselves, with what they have; what hangs in a read is killed.
_SEARCH_SECONDS, _PACK_SECONDS, _MOST_SECONDS = 60, 600, 900
#: Of the list of what was packed: two million files.
_MOST_LIST = 256 << 20
#: Warnings are for people: the rest is counted.
_WARNINGS_SHOWN = 20


def pack(path, project, patterns, most, account, warnings):
    """Packs into `path`. Returns [{path, bytes, sha256}]; links have no SHA-256. Raises OSError, RuntimeError.

    It happens in a process of its own that has become the user: what the user cannot read is not packed.
    """
    archive = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        found = child.run(lambda: _Packer(archive, project, patterns, most).run(), account, _MOST_SECONDS, _MOST_LIST)
    finally:
        os.close(archive)
    warnings += found["warnings"]
    return found["files"]


class _Packer:
    def __init__(self, archive, project, patterns, most):
        self._archive = archive
        self._project = project
        self._most = most
        self._files = []
        self._warnings = []
        self._unshown = 0
        self._patterns = []
        self._begins = set()
        for pattern in patterns:
            self._take(pattern)

    def run(self):
        try:
            with os.fdopen(self._archive, "wb") as file, tarfile.open(
                fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT
            ) as archive:
                names = sorted(self._names())
                self._until = time.monotonic() + _PACK_SECONDS
                for at, name in enumerate(names):
                    if time.monotonic() > self._until:
                        self._warn(f"packing took longer than {_PACK_SECONDS} s: {len(names) - at} files were left out")
                        break
                    self._add(archive, file, name)
        except OSError as error:
            self._files = []
            self._warn(f"The outputs were not packed: {error.strerror or error}")
        if self._unshown:
            self._warnings.append(f"{self._unshown} more warnings about outputs")
        return {"files": self._files, "warnings": self._warnings}

    def _take(self, glob):
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

    def _matches(self, name):
        return any(pattern.matches(name) for pattern in self._patterns)

    def _names(self):
        """Paths in the project of what matches, each once."""
        found = set()
        todo = [begin for begin in sorted(self._begins) if not self._is_behind_link(begin)]
        until = time.monotonic() + _SEARCH_SECONDS
        while todo:
            if time.monotonic() > until:
                self._warn(f"the search timed out after {_SEARCH_SECONDS} s: files not found by then were left out")
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

    def _is_behind_link(self, name):
        """Whether a search cannot begin there without following a link. A link that is meant itself may be packed."""
        parts = name.split("/")
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            is_meant = count == len(parts) and self._matches(above)
            if os.path.islink(os.path.join(self._project, above)) and not is_meant:
                self._warn(f"{above} is a link: its target was left out")
                return True
        return False

    def _add(self, archive, file, name):
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

    def _add_link(self, archive, name, path):
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

    def _add_file(self, archive, file, name, path):
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as source:
            info = os.fstat(source.fileno())
            room = os.fstatvfs(file.fileno())
            if file.tell() + info.st_size > self._most:
                self._warn(
                    f"{name} was left out: with its {info.st_size} bytes the archive would exceed {self._most} bytes"
                )
                return
            if info.st_size + _SPARE > room.f_bavail * room.f_frsize:
                self._warn(f"{name} was left out: the disk has too little space to pack its {info.st_size} bytes")
                return
            entry = _entry(name, info)
            entry.size = info.st_size
            reader = _Reader(source, info.st_size, self._until)
            archive.addfile(entry, reader)
            if reader.missing:
                self._warn(f"{name} could not be read completely: {reader.missing}")
            self._files.append({"path": name, "bytes": info.st_size, "sha256": reader.digest.hexdigest()})

    def _warn(self, text):
        if len(self._warnings) < _WARNINGS_SHOWN:
            self._warnings.append(text.encode("utf-8", "backslashreplace").decode("utf-8")[:500])
        else:
            self._unshown += 1


class _Reader:
    """Gives exactly `size` bytes of a file, zeros where it cannot be read in time, and knows their SHA-256."""

    def __init__(self, source, size, until):
        self._source, self._left, self._until = source, size, until
        self.digest = hashlib.sha256()
        self.missing = None

    def read(self, count):
        count = min(count, self._left, _CHUNK)
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


def _entry(name, info):
    entry = tarfile.TarInfo(name)
    entry.mtime = int(info.st_mtime)
    entry.mode = stat.S_IMODE(info.st_mode) & 0o777
    return entry
