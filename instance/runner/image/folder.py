"""Names below one folder: found, removed and emptied by descriptors. No link is followed, no filesystem entered."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from typing import Callable, Iterator, NamedTuple

from common import append_only, tree

_WILD = frozenset("*?[")
_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Entry(NamedTuple):
    #: Descriptor of the folder that it is in; closed when the next entry is taken.
    fd: int
    name: str
    path: str

    def status(self) -> os.stat_result | None:
        """lstat, or None when it is gone."""
        try:
            return os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_file(self) -> int | None:
        """A descriptor to read a regular file; None: it is none, or is gone."""
        try:
            fd = os.open(self.name, _READ_FILE, dir_fd=self.fd)
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return None


class Folder:
    """path: its real path, which is not checked for links. Raises OSError.

    problems: by path, why something could not be removed or be reached.
    """

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self.problems: dict[str, str] = {}
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def find(self, pattern: str) -> Iterator[Entry]:
        """What exists of a name, whose parts may have `*`, `?` and `[…]`."""
        yield from self._find(self._fd, pattern.split("/"), self.path)

    def _find(self, fd: int, parts: list[str], at: str) -> Iterator[Entry]:
        is_pattern = not _WILD.isdisjoint(parts[0])
        names = fnmatch.filter(os.listdir(fd), parts[0]) if is_pattern else parts[:1]
        for name in names:
            entry = Entry(fd, name, f"{at}/{name}")
            info = entry.status()
            if info is None:
                continue
            if len(parts) == 1:
                yield entry
            elif stat.S_ISLNK(info.st_mode):
                if not is_pattern:
                    self.problems[entry.path] = "it is a symbolic link, and what it leads to is not removed"
            elif stat.S_ISDIR(info.st_mode):
                below = os.open(name, tree.FOLDER, dir_fd=fd)
                try:
                    yield from self._find(below, parts[1:], entry.path)
                finally:
                    os.close(below)

    def remove(self, pattern: str, is_kept: Callable[[str], bool] = lambda name: False) -> None:
        """Removes what matches, with all below it. is_kept: by the last part of the name."""
        for entry in self.find(pattern):
            if not is_kept(entry.name):
                self._remove(entry, None)

    def _remove(self, entry: Entry, device: int | None) -> None:
        """device: of the filesystem that must not be left; None: that of the entry itself."""
        try:
            info = entry.status()
            if info is None:
                return
            if stat.S_ISDIR(info.st_mode):
                self._remove_folder(entry, info.st_dev if device is None else device)
            else:
                _unlink(entry)
        except FileNotFoundError:
            return  # its program has removed it
        except OSError as error:
            self.problems.setdefault(entry.path, error.strerror or type(error).__name__)

    def _remove_folder(self, entry: Entry, device: int) -> None:
        fd = os.open(entry.name, tree.FOLDER, dir_fd=entry.fd)
        try:
            if os.fstat(fd).st_dev != device:
                self.problems.setdefault(entry.path, "it is a filesystem of its own")
                return
            for name in os.listdir(fd):
                self._remove(Entry(fd, name, f"{entry.path}/{name}"), device)
        finally:
            os.close(fd)
        os.rmdir(entry.name, dir_fd=entry.fd)

    def empty(self, pattern: str, is_removed: Callable[[str], bool] = lambda name: False) -> None:
        """Empties the files of what matches: itself, or all below it. is_removed: by the name of a file."""
        for entry in self.walk(pattern):
            info = entry.status()
            try:
                if info is None:
                    continue
                # Another name of the file may be outside.
                if is_removed(entry.name) or info.st_nlink > 1:
                    _unlink(entry)
                elif stat.S_ISREG(info.st_mode):
                    _truncate(entry)
            except OSError as error:
                self.problems.setdefault(entry.path, error.strerror or type(error).__name__)

    def walk(self, pattern: str, is_skipped: Callable[[str], bool] = lambda path: False) -> Iterator[Entry]:
        """What matches and is no folder, and what is below it. is_skipped: by the path of a folder."""
        for entry in self.find(pattern):
            yield from self._walk(entry, is_skipped, None)

    def _walk(self, entry: Entry, is_skipped: Callable[[str], bool], device: int | None) -> Iterator[Entry]:
        info = entry.status()
        if info is None:
            return
        if not stat.S_ISDIR(info.st_mode):
            yield entry
            return
        device = info.st_dev if device is None else device
        if info.st_dev != device or is_skipped(entry.path):
            return
        try:
            fd = os.open(entry.name, tree.FOLDER, dir_fd=entry.fd)
        except FileNotFoundError:
            return
        try:
            for name in os.listdir(fd):
                yield from self._walk(Entry(fd, name, f"{entry.path}/{name}"), is_skipped, device)
        finally:
            os.close(fd)

    def left(self, pattern: str, is_kept: Callable[[str], bool] = lambda name: False) -> Iterator[str]:
        """What is still there of what `remove` removes: its path, and why."""
        for entry in self.find(pattern):
            if not is_kept(entry.name) and not _is_empty_mount(entry):
                yield self.describe(entry.path)

    def describe(self, path: str) -> str:
        below = next((problem for problem in self.problems if problem.startswith(path + "/")), path)
        why = self.problems.get(path) or self.problems.get(below)
        return f"{below if path not in self.problems else path} ({why})" if why else path

    def links(self) -> list[str]:
        """The links on the way to names that were looked for."""
        return [self.describe(path) for path, why in self.problems.items() if "symbolic link" in why]


def _unlink(entry: Entry) -> None:
    try:
        os.unlink(entry.name, dir_fd=entry.fd)
    except PermissionError:
        fd = entry.open_file()  # the log of a job whose supervisor was killed is append-only
        if fd is None:
            raise
        try:
            append_only.switch(fd, False)
        finally:
            os.close(fd)
        os.unlink(entry.name, dir_fd=entry.fd)


def _truncate(entry: Entry) -> None:
    fd = os.open(entry.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=entry.fd)
    try:
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _is_empty_mount(entry: Entry) -> bool:
    """Whether it is the root of a filesystem without files: it cannot be removed while it is mounted."""
    with contextlib.suppress(OSError):
        info = entry.status()
        if info is not None and stat.S_ISDIR(info.st_mode) and info.st_dev != os.fstat(entry.fd).st_dev:
            fd = os.open(entry.name, tree.FOLDER, dir_fd=entry.fd)
            try:
                return set(os.listdir(fd)).issubset({"lost+found"})
            finally:
                os.close(fd)
    return False
