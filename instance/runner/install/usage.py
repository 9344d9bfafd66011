"""How much the tools of this job have done: signs of life that they do not print themselves."""

import collections
import os
import time

#: root: the process id; at: monotonic seconds; written: bytes; cpu: seconds. A process that ends hands the last two on
#: to its parent.
Sample = collections.namedtuple("Sample", "root at written cpu")

_TICKS = os.sysconf("SC_CLK_TCK")


def sample(root):
    """What the process `root` and everything below it have written and used, by /proc.

    Bytes written are what downloads (unpacked as they come) and builds leave on the disk. Reading them is cheaper than
    walking a cache of a hundred thousand files every second, and sees pip's temporary files too.
    """
    written, cpu = 0, 0.0
    for pid, fields in _family(root).items():
        # utime, stime, and the two of its children that have ended: fields 14 to 17 of proc(5), counted from the state
        cpu += sum(int(ticks) for ticks in fields[11:15]) / _TICKS
        written += _written(pid)
    return Sample(root, time.monotonic(), written, cpu)


def _family(root):
    """/proc/<pid>/stat from the state on, of `root` and its descendants. (Not every kernel keeps lists of children.)"""
    stats = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _read(f"/proc/{name}/stat").rpartition(")")[2].split()
            if len(fields) > 14:
                stats[int(name)] = fields
    family, queue = {}, [root]
    while queue:
        pid = queue.pop()
        if pid in stats and pid not in family:
            family[pid] = stats[pid]
            queue.extend(child for child, fields in stats.items() if int(fields[1]) == pid)
    return family


def _written(pid):
    for line in _read(f"/proc/{pid}/io").splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def _read(path):
    try:
        with open(path) as source:
            return source.read()
    except OSError:
        return ""  # it has ended meanwhile, or is somebody else's
