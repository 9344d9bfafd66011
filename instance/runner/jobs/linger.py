"""Follows what still runs in a job's group after its main process has exited with code 0, until it is idle."""

import os
import time

from common import processes

#: Less than this share of one core is idle: a process that waits wakes up now and then.
_IDLE_SHARE = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")
_SHOWN = 8


class Linger:
    """grace: seconds without CPU or output after which the rest is ended. say: writes a line to the log.

    `ended` are the names of what was ended for that, or None.
    """

    def __init__(self, grace, say, log_size):
        self.ended = None
        self._grace, self._say, self._log_size = grace, say, log_size
        self._since = None
        self._seen = (frozenset(), 0, 0)

    def is_over(self, pid, rest):
        """Whether the rest has been idle for the grace. pid: of the main process; rest: who lives of its group."""
        now = time.monotonic()
        seen = (frozenset(process.pid for process in rest), self._log_size(), sum(_cpu_ticks(p.pid) for p in rest))
        if self._since is None:
            self._say(
                f"PID {pid} has exited with code 0; still running: {_names(rest)}."
                f" They are ended after {self._grace:g} s without CPU use or output"
            )
            seen = (seen[0], self._log_size(), seen[2])  # the line itself is not output of theirs
        if self._since is None or self._is_active(seen, now):
            self._since, self._seen = now, seen
        if now - self._since < self._grace:
            return False
        self.ended = _names(rest)
        return True

    def _is_active(self, seen, now):
        members, size, ticks = self._seen
        idle_ticks = max(1.0, _IDLE_SHARE * _TICKS * (now - self._since))
        return seen[0] != members or seen[1] != size or seen[2] - ticks > idle_ticks


def _cpu_ticks(pid):
    fields = processes.stat_fields(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _names(rest):
    """`12 (python3), 13 (sh)`, and how many more."""
    shown = [f"{process.pid} ({_name(process.pid)})" for process in rest[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else "")


def _name(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return file.read().strip()
    except OSError:
        return "ended"
