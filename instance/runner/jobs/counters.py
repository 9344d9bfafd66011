"""Reads what the instance and a job use, from /proc, /sys and the job's cgroup."""

from __future__ import annotations

import os
import re
import time
from typing import Any, NamedTuple

from common import processes
from jobs import containers

_SECTOR_BYTES = 512
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEMORY = re.compile(rb"^(MemTotal|MemAvailable): +(\d+) kB", re.MULTILINE)
#: Of one core: a job of thousands of processes is counted less often.
_MAX_COUNTING_SHARE = 0.0005


class InstanceCounters(NamedTuple):
    #: Seconds of all cores together since the boot, as the next ones.
    busy_s: float
    total_s: float
    read_bytes: int
    written_bytes: int
    received_bytes: int
    sent_bytes: int


class Instance:
    """folder: on the filesystem whose space counts."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._is_device: dict[str, bool] = {}

    def counters(self) -> InstanceCounters:
        """What only grows. Raises OSError."""
        with open("/proc/stat", "rb") as file:
            times = [int(field) for field in file.readline().split()[1:9]]
        total, idle = sum(times), times[3] + times[4]  # idle, and waiting for a disk
        read, written = self._disks()
        received, sent = self._network()
        return InstanceCounters((total - idle) / _TICKS, total / _TICKS, read, written, received, sent)

    def levels(self) -> dict[str, int]:
        """Memory and disk space, in bytes. Raises OSError."""
        with open("/proc/meminfo", "rb") as file:
            found = {name: int(kilobytes) << 10 for name, kilobytes in _MEMORY.findall(file.read())}
        total, disk = found[b"MemTotal"], os.statvfs(self._folder)
        return {
            "memoryUsedBytes": total - found[b"MemAvailable"],
            "memoryTotalBytes": total,
            "diskUsedBytes": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
            "diskTotalBytes": disk.f_blocks * disk.f_frsize,
        }

    def _disks(self) -> tuple[int, int]:
        """Bytes that whole disks have read and written: not their partitions, and nothing built on them."""
        read = written = 0
        with open("/proc/diskstats", "rb") as file:
            for line in file:
                fields = line.split(None, 10)
                if len(fields) > 9 and self._has_device("block", fields[2].decode()):
                    read += int(fields[5])
                    written += int(fields[9])
        return read * _SECTOR_BYTES, written * _SECTOR_BYTES

    def _network(self) -> tuple[int, int]:
        """Bytes that the network cards have received and sent; in a container, those of all but the loopback."""
        cards, all_others = [0, 0], [0, 0]
        with open("/proc/net/dev", "rb") as file:
            for line in file.readlines()[2:]:
                name, _, rest = line.decode().partition(":")
                fields = rest.split()
                if name.strip() == "lo" or len(fields) < 9:
                    continue
                for sums in (all_others, cards) if self._has_device("class/net", name.strip()) else (all_others,):
                    sums[0] += int(fields[0])
                    sums[1] += int(fields[8])
        received, sent = cards if any(cards) else all_others
        return received, sent

    def _has_device(self, kind: str, name: str) -> bool:
        path = f"/sys/{kind}/{name}/device"
        if path not in self._is_device:
            self._is_device[path] = os.path.exists(path)
        return self._is_device[path]


class Job:
    """What a job uses since it began at `now`: by its cgroup where it has one, else by its processes."""

    def __init__(self, container: containers.Container, now: float) -> None:
        self._container = container
        self._next_at = now
        #: When its CPU time was read, and how much that was, in seconds.
        self._earlier = (now, 0.0)
        self._values: dict[str, Any] = {"cpuPercent": 0.0, "memoryBytes": 0, "processes": 0}

    def read(self, now: float, cores: int) -> dict[str, Any]:
        """Share of all cores, and memory and number of its processes. Memory that they share counts for each."""
        cpu_s = self._cgroup_seconds()
        if now >= self._next_at:
            begun = time.process_time()
            members = self._container.members()
            memory = sum(_resident(process.pid) for process in members)
            self._values.update(memoryBytes=memory, processes=len(members))
            if cpu_s is None:
                cpu_s = sum(_cpu_ticks(process.pid) for process in members) / _TICKS
            self._next_at = now + (time.process_time() - begun) / _MAX_COUNTING_SHARE
        if cpu_s is not None:
            then, earlier_s = self._earlier
            self._values["cpuPercent"] = percent(cpu_s - earlier_s, (now - then) * cores)
            self._earlier = (now, cpu_s)
        return dict(self._values)

    def _cgroup_seconds(self) -> float | None:
        if not isinstance(self._container, containers.Cgroup):
            return None
        try:
            with open(os.path.join(self._container.path, "cpu.stat"), "rb") as file:
                return int(file.readline().split()[1]) / 1e6
        except (OSError, ValueError, IndexError):
            return None  # removed meanwhile


def percent(part: float, whole: float) -> float:
    return round(min(max(100 * part / whole, 0), 100), 1) if whole > 0 else 0.0


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0  # ended meanwhile


def _cpu_ticks(pid: int) -> int:
    """Of a process, and of its children that have ended."""
    fields = processes.stat_fields(pid)
    return sum(int(field) for field in fields[11:15]) if fields else 0
