"""What a job may take of the instance: all but what the SSM agent and the supervisor need to answer and to end it."""

import contextlib
import os
import resource

_TASKS_LEFT = 512
#: Bytes. A tenth of the memory is enough on a small machine; a GiB is on every other.
_MEMORY_LEFT_LEAST, _MEMORY_LEFT_MOST = 128 << 20, 1 << 30


def tasks():
    """How many processes and threads a job may have."""
    most = min(_number("/proc/sys/kernel/threads-max"), _number("/proc/sys/kernel/pid_max"))
    return most - max(most // 10, _TASKS_LEFT)


def memory():
    """How many bytes of memory a job may have."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return total - min(max(total // 10, _MEMORY_LEFT_LEAST), _MEMORY_LEFT_MOST)


def set_on(cgroup):
    """Sets both on a cgroup, where its controllers are on. cgroup: its folder."""
    for name, value in (("pids.max", tasks()), ("memory.max", memory())):
        path = os.path.join(cgroup, name)
        if os.path.exists(path):
            with contextlib.suppress(OSError), open(path, "w") as file:
                file.write(str(value))


def set_here():
    """Bounds the processes of the user that this process is about to become: the kernel's own bound leaves no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = tasks()
    soft, hard = (most if limit == resource.RLIM_INFINITY else min(limit, most) for limit in (soft, hard))
    resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))


def _number(path):
    with open(path) as file:
        return int(file.read())
