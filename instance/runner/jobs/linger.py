"""Watches what still runs in a job's group after its main process has exited with code 0, until it is idle."""

from __future__ import annotations

import os
import time
from typing import Callable, FrozenSet, Tuple

from common import processes

#: Below this share of one core a process is idle: one that waits still wakes up now and then.
_IDLE_SHARE = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")
_MAX_NAMES = 8
#: PIDs, size of the log, and CPU ticks of all processes.
Activity = Tuple[FrozenSet[int], int, int]


class Linger:
    """grace: seconds without CPU use or output after which the rest is ended. say: writes a line to the log.

    `ended`: the names of the processes that were ended for that, or None.
    """

    def __init__(self, grace: float, say: Callable[[str], None], log_size: Callable[[], int]) -> None:
        self.ended: str | None = None
        self._grace, self._say, self._log_size = grace, say, log_size
        self._idle_since: float | None = None
        self._last: Activity = (frozenset(), 0, 0)

    def is_over(self, pid: int, rest: list[processes.Process]) -> bool:
        """Whether the rest has been idle for the grace. pid: of the main process; rest: the others of its group."""
        now = time.monotonic()
        activity = (frozenset(process.pid for process in rest), self._log_size(), sum(_cpu_ticks(p.pid) for p in rest))
        if self._idle_since is None:
            self._say(
                f"PID {pid} has exited with code 0; still running: {_names(rest)}."
                f" They are ended after {self._grace:g} s without CPU use or output"
            )
            activity = (activity[0], self._log_size(), activity[2])  # this line is not output of theirs
        if self._idle_since is None or self._is_active(activity, self._idle_since, now):
            self._idle_since, self._last = now, activity
        if now - self._idle_since < self._grace:
            return False
        self.ended = _names(rest)
        return True

    def _is_active(self, activity: Activity, since: float, now: float) -> bool:
        members, size, ticks = self._last
        idle_ticks = max(1.0, _IDLE_SHARE * _TICKS * (now - since))
        return activity[0] != members or activity[1] != size or activity[2] - ticks > idle_ticks


def _cpu_ticks(pid: int) -> int:
    fields = processes.stat_fields(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _names(rest: list[processes.Process]) -> str:
    """`12 (python3), 13 (sh)`, and how many more."""
    names = [f"{process.pid} ({_name(process.pid)})" for process in rest[:_MAX_NAMES]]
    return ", ".join(names) + (f" and {len(rest) - _MAX_NAMES} more" if len(rest) > _MAX_NAMES else "")


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return file.read().strip()
    except OSError:
        return "ended"
