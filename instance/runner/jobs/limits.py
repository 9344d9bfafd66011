"""How much of the instance a job may use: all but what the SSM agent and the supervisor need."""

from __future__ import annotations

import contextlib
import os
import resource

_RESERVED_TASKS = 512
#: A tenth of the memory, but not less and not more than this.
_MIN_RESERVED_BYTES, _MAX_RESERVED_BYTES = 128 << 20, 1 << 30


def tasks() -> int:
    """How many processes and threads a job may have."""
    most = min(_number("/proc/sys/kernel/threads-max"), _number("/proc/sys/kernel/pid_max"))
    return most - max(most // 10, _RESERVED_TASKS)


def memory() -> int:
    """How many bytes of memory a job may have."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return total - min(max(total // 10, _MIN_RESERVED_BYTES), _MAX_RESERVED_BYTES)


def set_on(cgroup: str) -> None:
    """Sets both limits on a cgroup, where its controllers are enabled. cgroup: its folder."""
    for name, value in (("pids.max", tasks()), ("memory.max", memory())):
        path = os.path.join(cgroup, name)
        if os.path.exists(path):
            with contextlib.suppress(OSError), open(path, "w") as file:
                file.write(str(value))


def set_here() -> None:
    """Limits the processes of the user that this process is about to become: the kernel's default reserves nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = tasks()
    soft, hard = (most if limit == resource.RLIM_INFINITY else min(limit, most) for limit in (soft, hard))
    resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))


def _number(path: str) -> int:
    with open(path) as file:
        return int(file.read())
