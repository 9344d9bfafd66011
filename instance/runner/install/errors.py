"""How an install can fail: each name is one that instance/CONTRACT.md lists."""

import os
import re

_DISK = re.compile(
    r"No space left on device|os error 28|Errno 28|Disk quota exceeded|os error 122|Errno 122", re.IGNORECASE
)


class InstallError(Exception):
    """name: RequirementsMissing, PythonNotFound, NoInstaller, DiskFull or InstallFailed; the text says what to do."""

    def __init__(self, name, message):
        self.name = name
        super().__init__(message)


class ToolFailed(Exception):
    """uv or pip ended badly. lines: the last ones that it printed."""

    def __init__(self, reason, lines=()):
        self.lines = list(lines)
        super().__init__(reason)


def disk_is_full(lines):
    return any(_DISK.search(line) for line in lines)


def disk_full(home):
    """A DiskFull with the numbers that a person needs."""
    disk = os.statvfs(home)
    free = disk.f_bavail * disk.f_frsize / 1e6
    message = "the disk is full: {:.0f} MB free under {}. Remove old checkpoints or {}, or grow the volume"
    return InstallError("DiskFull", message.format(free, home, os.path.join(home, ".cache")))
