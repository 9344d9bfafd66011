"""The scrub of a home: the code of projects, histories, credentials and caches go; installed packages stay."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from typing import Callable, Iterator

from image import places, search
from image.folder import Entry, Folder

_OURS = ".runctl"
_DIRECT_URLS = (
    ".runctl/*/environment/lib/python*/site-packages/*.dist-info/direct_url.json",
    ".runctl/overlays/*/lib/python*/site-packages/*.dist-info/direct_url.json",
    ".local/lib/python*/site-packages/*.dist-info/direct_url.json",
)
_MAX_LIST_BYTES = 32 << 20


def clean(home: Folder, projects: list[str]) -> None:
    """projects: names of folders in the home."""
    # Of a project that no run is known of any more, its own folder is there.
    names = {entry.name for entry in home.find(_OURS + "/*") if _is_plain_folder(entry)}
    for name in {*projects, *names.difference(places.KEPT_IN_HOME, places.WORK_IN_HOME)}:
        home.remove(_escape(name))
    for pattern in places.HOME:
        home.remove(pattern)
    for entry in home.find(_OURS + "/*"):
        if not _is_plain_folder(entry):
            home.remove(f"{_OURS}/{_escape(entry.name)}")
            continue
        below = f"{_OURS}/{_escape(entry.name)}/*"
        home.remove(below, _kept(home, entry.name))
        if not any(True for _ in home.find(below)):
            with contextlib.suppress(OSError):
                os.rmdir(entry.name, dir_fd=entry.fd)
    _shorten_list(home)


def left(home: Folder, projects: list[str], skipped: str) -> Iterator[str]:
    """Paths of what must not be there, each with why. skipped: a folder that is checked elsewhere."""
    for name in projects:
        yield from home.left(_escape(name))
    for pattern in places.HOME:
        yield from home.left(pattern)
    for entry in home.find(_OURS + "/*"):
        if not _is_plain_folder(entry):
            yield entry.path
            continue
        yield from home.left(f"{_OURS}/{_escape(entry.name)}/*", _kept(home, entry.name))
    yield from search.search(home, "*", lambda path: path == skipped)
    for pattern in (*places.INDEX_SETTINGS, *_DIRECT_URLS):
        yield from search.credentials_in_urls(home, pattern)


def _kept(home: Folder, folder: str) -> Callable[[str], bool]:
    """What stays in a folder of `.runctl`: a function of the name."""
    patterns = places.KEPT_IN_HOME.get(folder, ())

    def is_kept(name: str) -> bool:
        if name == places.ENVIRONMENT:
            entries = list(map(_is_plain_folder, home.find(f"{_OURS}/{_escape(folder)}/{name}")))
            return entries == [True]
        return patterns is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return is_kept


def _shorten_list(home: Folder) -> None:
    """The list of files to read ahead keeps the names of those that are still there."""
    for entry in home.find(f"{_OURS}/{places.OPENED}"):
        fd = entry.open_file()
        if fd is None:
            os.unlink(entry.name, dir_fd=entry.fd)
            continue
        with open(fd, "rb") as file:
            info = os.fstat(file.fileno())
            lines = file.read(_MAX_LIST_BYTES).split(b"\n")
        kept = [line for line in lines if line.startswith(b"/") and _is_file(line)]
        os.unlink(entry.name, dir_fd=entry.fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(entry.name, flags, 0o644, dir_fd=entry.fd), "wb") as file:
            file.write(b"".join(line + b"\n" for line in kept))
            os.fchown(file.fileno(), info.st_uid, info.st_gid)


def _is_file(path: bytes) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _is_plain_folder(entry: Entry) -> bool:
    info = entry.status()
    return info is not None and stat.S_ISDIR(info.st_mode)


def _escape(name: str) -> str:
    """A name as a pattern that matches it alone."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)
