"""CPU time and bytes written of an install's tools: their progress where they print nothing."""

from __future__ import annotations

import os
import time
from typing import NamedTuple


class Sample(NamedTuple):
    """root: process ID; at: monotonic seconds; written: bytes; cpu: seconds.

    A process that ends hands the last two to its parent.
    """

    root: int
    at: float
    written: int
    cpu: float


_TICKS = os.sysconf("SC_CLK_TCK")


def sample(root: int) -> Sample:
    """The bytes written and the CPU time of the process `root` and its descendants, from /proc.

    Downloads (unpacked as they arrive) and builds show as bytes written. Reading these is cheaper than walking a cache
    of a hundred thousand files every second, and counts pip's temporary files too.
    """
    written, cpu = 0, 0.0
    for pid, fields in _family(root).items():
        # utime, stime, and those of ended children: fields 14 to 17 of proc(5), counted from the state
        cpu += sum(int(ticks) for ticks in fields[11:15]) / _TICKS
        written += _written(pid)
    return Sample(root, time.monotonic(), written, cpu)


def _family(root: int) -> dict[int, list[str]]:
    """/proc/<pid>/stat from the state on, of `root` and its descendants. (Not every kernel has lists of children.)"""
    stats: dict[int, list[str]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _read(f"/proc/{name}/stat").rpartition(")")[2].split()
            if len(fields) > 14:
                stats[int(name)] = fields
    family: dict[int, list[str]] = {}
    queue = [root]
    while queue:
        pid = queue.pop()
        if pid in stats and pid not in family:
            family[pid] = stats[pid]
            queue.extend(child for child, fields in stats.items() if int(fields[1]) == pid)
    return family


def _written(pid: int) -> int:
    for line in _read(f"/proc/{pid}/io").splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def _read(path: str) -> str:
    try:
        with open(path) as source:
            return source.read()
    except OSError:
        return ""  # the process has ended, or belongs to another user
