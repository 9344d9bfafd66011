"""Processes as /proc shows them. A number alone names nobody: PIDs come back, but not with start time and boot id."""

import collections
import os

#: start: clock ticks since boot (field 22 of /proc/<pid>/stat), which tells a process from a later one of its number.
Process = collections.namedtuple("Process", "pid state parent group session start")


def boot_id():
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def stat_fields(pid):
    """Fields 3 and following of /proc/<pid>/stat, as bytes; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return data[data.rindex(b")") + 2 :].split()  # the name before it may hold spaces and brackets


def look(pid):
    """The process of that number now, or None."""
    fields = stat_fields(pid)
    if fields is None:
        return None
    return Process(int(pid), fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def alive(pid, start):
    """Whether this very process still runs. A zombie does not: it only waits to be asked how it ended."""
    process = look(pid)
    return process is not None and process.start == start and not is_dead(process)


def everyone():
    """Every process that runs now, zombies left out."""
    found = (look(name) for name in os.listdir("/proc") if name.isdigit())
    return [process for process in found if process is not None and not is_dead(process)]


def group(leader, start, among=None):
    """Who lives of the session and process group that `leader` (started at `start`) was made the head of.

    The kernel gives no new process a number that still names a session or group; so if that number is another
    process now, the old group is gone.
    """
    now = look(leader)
    if now is not None and now.start != start:
        return []
    among = everyone() if among is None else among
    return [p for p in among if leader in (p.session, p.group) and p.start >= start]


def descendants(ancestor, among):
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


def is_dead(process):
    """Whether it has ended, though somebody may still ask how."""
    return process.state in "ZX"
