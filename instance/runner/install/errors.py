"""The errors of an install: instance/CONTRACT.md lists each name."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DISK = re.compile(
    r"No space left on device|os error 28|Errno 28|Disk quota exceeded|os error 122|Errno 122", re.IGNORECASE
)


class InstallError(Exception):
    """name: RequirementsMissing, PythonNotFound, NoInstaller, DiskFull or InstallFailed."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


class ToolFailed(Exception):
    """uv or pip failed. lines: the last lines that it printed."""

    def __init__(self, reason: str, lines: Iterable[str] = ()) -> None:
        self.lines = list(lines)
        super().__init__(reason)


def disk_is_full(lines: Iterable[str]) -> bool:
    return any(_DISK.search(line) for line in lines)


def disk_full(home: str) -> InstallError:
    """A DiskFull error with the free space and what to do."""
    disk = os.statvfs(home)
    free = disk.f_bavail * disk.f_frsize / 1e6
    message = "the disk is full: {:.0f} MB free under {}. Remove old checkpoints or {}, or grow the volume"
    return InstallError("DiskFull", message.format(free, home, os.path.join(home, ".cache")))
