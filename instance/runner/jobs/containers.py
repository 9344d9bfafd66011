"""Containers for jobs: whatever a job starts stays in its container, and the kernel ends all of it at once.

cgroup         A cgroup (version 2) of the job's own, below its supervisor's: a systemd unit where systemd runs.
               `cgroup.kill` ends all members, also those that are just being forked.
pid-namespace  Where no cgroup can be had: when the first process of the namespace is killed, the kernel kills the rest.
process-group  Where neither can be had, as when the runner is not root: processes are searched for and ended one by
               one. A process that forks fast enough outruns that.
"""

import contextlib
import os
import signal

from common import processes
from jobs import limits

_NO_SYSTEMD = "the supervisor is not in a systemd unit of its own"


class Cgroup:
    """A cgroup of version 2."""

    is_kernels = True
    why = None

    def __init__(self, path):
        self.path = path

    def describe(self):
        """What identity.json keeps, for whoever must end the job when its supervisor is gone."""
        return {"kind": "cgroup", "path": self.path}

    def enter(self, pid):
        """Moves a process, with all that it will start, into the container. Raises OSError."""
        with open(os.path.join(self.path, "cgroup.procs"), "w") as file:
            file.write(str(pid))

    def members(self):
        """The processes in it that run."""
        try:
            with open(os.path.join(self.path, "cgroup.procs")) as file:
                found = [processes.look(int(line)) for line in file]
        except OSError:
            return []  # removed meanwhile
        return [process for process in found if process is not None and not processes.is_dead(process)]

    def is_empty(self):
        try:
            with open(os.path.join(self.path, "cgroup.events")) as file:
                return "populated 0" in file.read()
        except OSError:
            return True  # Only an empty cgroup can be removed.

    def kill(self):
        """Ends all of it; returns at once. Raises OSError."""
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self.path, "cgroup.kill"), "w") as file:
            file.write("1")

    def remove(self):
        """Takes it away when it is empty."""
        with contextlib.suppress(OSError):
            os.rmdir(self.path)


class PidNamespace:
    """A PID namespace, by its first process (namespace.py): it ends when nothing else is left in it."""

    is_kernels = True
    why = None

    def __init__(self, pid, start):
        self.pid, self.start = pid, start

    def describe(self):
        return {"kind": "pid-namespace", "pid": self.pid, "startTime": self.start}

    def members(self):
        """The processes in it that run, without the first. All of them descend from it: orphans become its children."""
        return processes.descendants(self.pid, processes.everyone()) if self._has_begun_here() else []

    def is_empty(self):
        """The kernel lets the first process of a namespace end only after all others."""
        return not processes.alive(self.pid, self.start)

    def kill(self):
        if processes.alive(self.pid, self.start):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def remove(self):
        """Nothing is left of it once it is empty."""

    def _has_begun_here(self):
        process = processes.look(self.pid)
        return process is not None and process.start == self.start


class ProcessGroup:
    """No container: the session and group of the job's process, and what descends from its supervisor."""

    is_kernels = False

    def __init__(self, pid, start, why=None, ancestor=None):
        """ancestor: the supervisor's PID while it lives; orphans of the job become its children."""
        self.pid, self.start, self.why, self._ancestor = pid, start, why, ancestor

    def describe(self):
        return {"kind": "process-group", "why": self.why}

    def members(self):
        among = processes.everyone()
        members = {process.pid: process for process in processes.group(self.pid, self.start, among)}
        if self._ancestor is not None:
            members.update((process.pid, process) for process in processes.descendants(self._ancestor, among))
        return list(members.values())

    def is_empty(self):
        return not self.members()

    def kill(self):
        for process in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def remove(self):
        """There is nothing to remove."""


def of(identity):
    """The container of a job, by its identity.json; of one that another boot of the machine began: None."""
    if identity["bootId"] != processes.boot_id():
        return None
    kept = identity.get("container") or {"kind": "process-group"}
    if kept["kind"] == "cgroup":
        return Cgroup(kept["path"])
    if kept["kind"] == "pid-namespace":
        return PidNamespace(kept["pid"], kept["startTime"])
    return ProcessGroup(identity["pid"], identity["startTime"])


def make_cgroup(name, has_systemd):
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
            os.rmdir(path)  # of a supervisor that was killed before its job began
        os.mkdir(path, 0o755)
    except OSError as error:
        return None, f"{path} cannot be created: {error.strerror}"
    if not os.path.exists(os.path.join(path, "cgroup.kill")):
        os.rmdir(path)
        return None, "the kernel does not support cgroup.kill"
    limits.set_on(path)
    return Cgroup(path), None


def _own_cgroup():
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


def _unescaped(text):
    """A path of mountinfo: blanks and the like are written as octal numbers."""
    return text.encode("ascii", "backslashreplace").decode("unicode_escape") if "\\" in text else text
