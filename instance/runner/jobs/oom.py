"""Whether the kernel killed a process for memory. No source exists everywhere, so all are read.

cgroup   counts the kills in the cgroup of job and supervisor: memory.events (v2), memory.oom_control (v1)
kmsg     names the process that was killed; only root can read it
vmstat   counts the kills on the whole machine: used where kmsg cannot be read
"""

from __future__ import annotations

import os
from typing import Iterator

_SIGKILL = 9
_SHELL_SIGKILL = 128 + _SIGKILL


class OomEvidence:
    """Create it before the job begins, and call `killed_for_memory` after its end."""

    def __init__(self) -> None:
        self._counter, self._is_own = _cgroup_counter()
        self._before = (_count(self._counter), _count("/proc/vmstat"))
        self._kernel_log = _open_kernel_log()

    def killed_for_memory(self, pid: int, code: int | None, killed_by: int | None) -> bool:
        """pid: the job's process. code, killed_by: its exit code or the signal's number, not one that we sent."""
        named = f"Killed process {pid} ("
        by_name = any(named in line for line in _lines(self._kernel_log))
        in_cgroup = _count(self._counter) > self._before[0]
        on_machine = _count("/proc/vmstat") > self._before[1]
        if killed_by == _SIGKILL or code == _SHELL_SIGKILL:
            return by_name or in_cgroup or (on_machine and self._kernel_log is None)
        # A worker was killed and its parent failed, as with data loaders. Only a cgroup of the job's own proves it.
        return code != 0 and in_cgroup and self._is_own


def _cgroup_counter() -> tuple[str | None, bool]:
    """(file, whether the cgroup is this job's alone), or (None, False)."""
    with open("/proc/self/cgroup") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    for _, kinds, path in lines:
        if "memory" in kinds.split(","):
            found = os.path.join("/sys/fs/cgroup/memory", path.lstrip("/"), "memory.oom_control")
        elif kinds == "":
            found = os.path.join("/sys/fs/cgroup", path.lstrip("/"), "memory.events")
        else:
            continue
        if os.path.isfile(found):
            return found, os.path.basename(path).startswith("runctl-")
    return None, False


def _count(path: str | None) -> int:
    """The number behind `oom_kill`; 0 where nothing is counted."""
    try:
        with open(path or os.devnull) as file:
            words = [line.split() for line in file]
    except OSError:
        return 0
    return next((int(pair[1]) for pair in words if len(pair) == 2 and pair[0] == "oom_kill"), 0)


def _open_kernel_log() -> int | None:
    """A descriptor that reads the kernel's messages from now on, or None without permission."""
    try:
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(fd, 0, os.SEEK_END)
    except OSError:
        return None
    return fd


def _lines(fd: int | None) -> Iterator[str]:
    """The records since, one a read. EPIPE: older ones were overwritten meanwhile; EAGAIN: there are no more."""
    while fd is not None:
        try:
            yield os.read(fd, 8_192).decode("utf-8", "replace")
        except BrokenPipeError:
            continue
        except OSError:
            return
