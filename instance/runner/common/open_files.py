"""Which files processes have open for writing, from /proc."""

from __future__ import annotations

import os

#: Of the flags in /proc/<pid>/fdinfo, which are octal.
_ACCESS = 0o3


def for_writing() -> frozenset[tuple[int, int]]:
    """(device, inode) of every regular file that a process has open for writing, as far as this user may know."""
    found = set()
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            found.update(_of(pid))
    return frozenset(found)


def _of(pid: str) -> set[tuple[int, int]]:
    found = set()
    folder = f"/proc/{pid}"
    try:
        names = os.listdir(f"{folder}/fd")
    except OSError:
        return found  # It has ended, or belongs to another user.
    for name in names:
        try:
            with open(f"{folder}/fdinfo/{name}") as file:
                flags = next(line for line in file if line.startswith("flags:"))
            if int(flags.split()[1], 8) & _ACCESS:
                info = os.stat(f"{folder}/fd/{name}")
                found.add((info.st_dev, info.st_ino))
        except (OSError, StopIteration):
            continue
    return found
