"""The files of the packages in a project's environment, as their RECORDs list them, and whether they are unchanged."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from common import interpreter
from common.packages import installed

if TYPE_CHECKING:
    from common.packages import Package

#: A file that a RECORD lists twice, or that Python compiles again, is no part of a package.
_COMPILED = ".pyc"


class NotStorable(Exception):
    """The environment cannot be stored; the message says why."""


class File(NamedTuple):
    """path: below the environment's folder."""

    path: str
    bytes: int
    is_executable: bool
    #: Modification and change (nanoseconds), inode. A process of the user can set all of them but the time of change.
    identity: tuple[int, int, int]


def packages_of(folder: str) -> dict[str, Package]:
    """The packages that were installed into the environment, without those of the image behind it."""
    site = interpreter.site_packages(folder)
    return installed([site]) if site else {}


def find(folder: str) -> list[File]:
    """The files of all packages, sorted. Raises NotStorable, OSError."""
    found = {}
    for package in packages_of(folder).values():
        for path in _listed(package, folder):
            if path not in found:
                found[path] = _file(folder, path, package.name)
    return [found[path] for path in sorted(found)]


def digest_of(files: list[File]) -> str:
    """Equal as long as no file was written, replaced, moved or linked."""
    text = json.dumps(files, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _listed(package: Package, folder: str) -> list[str]:
    if not package.info.endswith(".dist-info"):
        raise NotStorable(f"{package.name} has no list of its files")
    try:
        with open(os.path.join(package.info, "RECORD"), encoding="utf-8", newline="") as file:
            rows = [row[0] for row in csv.reader(file) if row]
    except (OSError, ValueError, csv.Error):
        raise NotStorable(f"{package.name} has no list of its files") from None
    paths = []
    for row in rows:
        path = os.path.relpath(os.path.normpath(os.path.join(package.root, row)), folder)
        if path.startswith("../"):
            raise NotStorable(f"{package.name} has files outside of the environment")
        if not path.endswith(_COMPILED):
            paths.append(path)
    return paths


def _file(folder: str, path: str, package: str) -> File:
    try:
        info = os.lstat(os.path.join(folder, path))
    except FileNotFoundError:
        raise NotStorable(f"{path} of {package} is missing") from None
    if not stat.S_ISREG(info.st_mode):
        raise NotStorable(f"{path} of {package} is not a file")
    identity = (info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
    return File(path, info.st_size, bool(info.st_mode & 0o100), identity)
