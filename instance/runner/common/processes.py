"""Processes from /proc. PIDs are reused, so a process is identified by its PID, start time and boot id."""

from __future__ import annotations

import collections
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable


class Process(collections.namedtuple("Process", "pid state parent group session start")):
    __slots__ = ()
    pid: int
    #: One letter, as in ps.
    state: str
    parent: int
    group: int
    session: int
    #: Clock ticks since boot (field 22 of /proc/<pid>/stat), which differ from those of a later process of this PID.
    start: int


def boot_id() -> str:
    """Of the machine. In a local cloud, whose instances share one, the agent's environment has that of an instance."""
    own = os.environ.get("RUNCTL_BOOT_ID")
    if own:
        return own
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def stat_fields(pid: int | str) -> list[bytes] | None:
    """Fields 3 and following of /proc/<pid>/stat, as bytes; None when the process does not exist."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return data[data.rindex(b")") + 2 :].split()  # the name before it may hold spaces and brackets


def look(pid: int | str) -> Process | None:
    """The process that has this PID now, or None."""
    fields = stat_fields(pid)
    if fields is None:
        return None
    return Process(int(pid), fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def existing(pid: int) -> Process:
    """The process of this PID, which must exist: the caller itself, or a child that it has not waited for."""
    process = look(pid)
    if process is None:
        raise ProcessLookupError(errno.ESRCH, f"process {pid} does not exist")
    return process


def alive(pid: int, start: int) -> bool:
    """Whether this process still runs. A zombie does not: only its wait status is left."""
    process = look(pid)
    return process is not None and process.start == start and not is_dead(process)


def everyone() -> list[Process]:
    """Every running process, without zombies."""
    found = (look(name) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in found if process is not None and not is_dead(process)]


def group(leader: int, start: int, among: Iterable[Process] | None = None) -> list[Process]:
    """The running processes of the session and process group whose leader is, or was, `leader`, started at `start`.

    The kernel gives no new process a PID that is still the id of a session or group; so if another process has that
    PID now, the group has ended.
    """
    now = look(leader)
    if now is not None and now.start != start:
        return []
    among = everyone() if among is None else among
    return [p for p in among if leader in (p.session, p.group) and p.start >= start]


def descendants(ancestor: int, among: Iterable[Process]) -> list[Process]:
    """Children of `ancestor`, their children, and so on."""
    children = collections.defaultdict(list)
    for process in among:
        children[process.parent].append(process)
    found, todo = [], [ancestor]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += [process.pid for process in below]
    return found


def is_dead(process: Process) -> bool:
    """Whether it has ended, though its parent may not have waited for it."""
    return process.state in "ZX"
