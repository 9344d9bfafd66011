"""Containers for jobs: every process that a job starts stays in its container, and the kernel ends them all at once.

cgroup         A cgroup (version 2) of the job's own, below its supervisor's: a systemd unit where systemd runs.
               `cgroup.kill` ends all members, also those that are just being forked.
pid-namespace  Without a cgroup: when the first process of the namespace is killed, the kernel kills the rest.
process-group  With neither, as when the runner is not root: processes are searched for and ended one by one. A process
               that forks fast enough can escape.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any, Union

from common import processes
from jobs import limits

_NO_SYSTEMD = "the supervisor is not in a systemd unit of its own"


class Cgroup:
    """A cgroup of version 2."""

    #: Whether the kernel keeps all processes in it.
    is_complete = True
    #: Why there is no better container.
    why: str | None = None

    def __init__(self, path: str) -> None:
        self.path = path

    def describe(self) -> dict[str, Any]:
        """What identity.json keeps, to end the job when its supervisor is gone."""
        return {"kind": "cgroup", "path": self.path}

    def enter(self, pid: int) -> None:
        """Moves a process into the container, with all that it will start. Raises OSError."""
        with open(os.path.join(self.path, "cgroup.procs"), "w") as file:
            file.write(str(pid))

    def members(self) -> list[processes.Process]:
        """The running processes in it."""
        try:
            with open(os.path.join(self.path, "cgroup.procs")) as file:
                found = [processes.look(int(line)) for line in file]
        except OSError:
            return []  # removed meanwhile
        return [process for process in found if process is not None and not processes.is_dead(process)]

    def is_empty(self) -> bool:
        try:
            with open(os.path.join(self.path, "cgroup.events")) as file:
                return "populated 0" in file.read()
        except OSError:
            return True  # Only an empty cgroup can be removed.

    def kill(self) -> None:
        """Ends all of it; returns at once. Raises OSError."""
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.path, "cgroup.kill"), "w") as file:
            file.write("1")

    def remove(self) -> None:
        """Removes it when it is empty."""
        with contextlib.suppress(OSError):
            os.rmdir(self.path)


class PidNamespace:
    """A PID namespace, by its first process (namespace.py), which ends when nothing else is left in it."""

    is_complete = True
    why: str | None = None

    def __init__(self, pid: int, start: int) -> None:
        self.pid, self.start = pid, start

    def describe(self) -> dict[str, Any]:
        return {"kind": "pid-namespace", "pid": self.pid, "startTime": self.start}

    def members(self) -> list[processes.Process]:
        """The running processes in it, without the first. They descend from it: orphans become its children."""
        return processes.descendants(self.pid, processes.everyone()) if self._has_begun_here() else []

    def is_empty(self) -> bool:
        """Whether it has ended: the kernel ends the first process of a namespace after all others."""
        return not processes.alive(self.pid, self.start)

    def kill(self) -> None:
        if processes.alive(self.pid, self.start):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def remove(self) -> None:
        """Does nothing: nothing is left of it once it is empty."""

    def _has_begun_here(self) -> bool:
        process = processes.look(self.pid)
        return process is not None and process.start == self.start


class ProcessGroup:
    """No container: the session and group of the job's process, and the descendants of its supervisor."""

    is_complete = False

    def __init__(self, pid: int, start: int, why: str | None = None, ancestor: int | None = None) -> None:
        """ancestor: the supervisor's PID while it lives; orphans of the job become its children."""
        self.pid, self.start, self.why, self._ancestor = pid, start, why, ancestor
        #: Sessions of other processes that the supervisor has started: they are not the job's.
        self.helpers: set[int] = set()

    def describe(self) -> dict[str, Any]:
        return {"kind": "process-group", "why": self.why}

    def members(self) -> list[processes.Process]:
        running = processes.everyone()
        members = {process.pid: process for process in processes.group(self.pid, self.start, running)}
        if self._ancestor is not None:
            below = processes.descendants(self._ancestor, running)
            members.update((process.pid, process) for process in below if process.session not in self.helpers)
        return list(members.values())

    def is_empty(self) -> bool:
        return not self.members()

    def kill(self) -> None:
        for process in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def remove(self) -> None:
        """Does nothing: there is nothing to remove."""


Container = Union[Cgroup, PidNamespace, ProcessGroup]


def of(identity: dict[str, Any]) -> Container | None:
    """The container of a job, by its identity.json; None when the machine has booted since."""
    if identity["bootId"] != processes.boot_id():
        return None
    description: dict[str, Any] = identity.get("container") or {"kind": "process-group"}
    if description["kind"] == "cgroup":
        return Cgroup(description["path"])
    if description["kind"] == "pid-namespace":
        return PidNamespace(description["pid"], description["startTime"])
    return ProcessGroup(identity["pid"], identity["startTime"])


def make_cgroup(name: str, has_systemd: bool) -> tuple[Cgroup | None, str | None]:
    """A new, empty cgroup for a job, or (None, why not).

    name: of its folder. has_systemd: then only a unit of the runner's own may be divided; the others are systemd's.
    """
    if os.geteuid() != 0:
        return None, "the runner is not root"
    above = _own_cgroup()
    if above is None:
        return None, "there is no cgroup version 2"
    if has_systemd and not os.path.basename(above).startswith("runctl-"):
        return None, _NO_SYSTEMD
    path = os.path.join(above, name)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path)  # left by a supervisor that was killed before its job began
        os.mkdir(path, 0o755)
    except OSError as error:
        return None, f"{path} cannot be created: {error.strerror}"
    if not os.path.exists(os.path.join(path, "cgroup.kill")):
        os.rmdir(path)
        return None, "the kernel does not support cgroup.kill"
    limits.set_on(path)
    return Cgroup(path), None


def _own_cgroup() -> str | None:
    """The folder of the cgroup (version 2) that this process is in, or None."""
    with open("/proc/self/cgroup") as file:
        own = next((line.rstrip("\n")[3:] for line in file if line.startswith("0::")), None)
    with open("/proc/self/mountinfo") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if own is None or not after.startswith("cgroup2 "):
                continue
            top, point = before.split()[3:5]
            # A mount may show a part of the tree only; `/..` is outside of what this process sees of it.
            if "/.." not in own and (own + "/").startswith(top.rstrip("/") + "/"):
                return os.path.join(_unescaped(point), own[len(top.rstrip("/")) :].strip("/")).rstrip("/")
    return None


def _unescaped(text: str) -> str:
    """A path of mountinfo, which writes blanks and the like as octal numbers."""
    return text.encode("ascii", "backslashreplace").decode("unicode_escape") if "\\" in text else text
