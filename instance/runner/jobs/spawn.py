"""Starts a job's process: as the user, in a container and a session of its own, without the supervisor's descriptors.

Its program does not begin until the supervisor has written identity.json: whenever the supervisor may die, no job runs
that nothing knows of.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Callable, NoReturn, Sequence

from common import accounts, libc, processes
from jobs import containers, launch, limits, namespace

_OOM_SCORE = "/proc/self/oom_score_adj"
#: -1000: never, 1000: first.
_PROTECTED = "-900"
#: How long the first process of a namespace may take to report that the job has ended.
_MAX_REPORT_S = 1.0
#: The exit code of shells for a program that could not be started.
COULD_NOT_START = 127


def adopt_orphans() -> None:
    """Makes orphans among this process's descendants its children, so that it finds all of a job's processes."""
    with contextlib.suppress(OSError):  # needed only without a container
        libc.switch_on(libc.PR_SET_CHILD_SUBREAPER)


class Held:
    """A process that exists and waits, in a container of its own, until `go` lets its program begin.

    pid        of the process itself
    container  has the process, and all that it will start (containers.py)
    end        (wait status, peak memory in bytes or None) once it has ended and `reap` has collected it
    fds        become readable when it has ended; for `select`
    """

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        cwd: str,
        account: accounts.Account | None,
        streams: tuple[int, int],
        keep: Sequence[int] = (),
        oom_score: str | None = None,
        name: str = "",
    ) -> None:
        """account: the user that it becomes, or None: the current one. streams: descriptors for stdin, and for stdout
        and stderr. keep: other descriptors that it gets. oom_score: its oom_score_adj, when that is not its parent's.
        name: of its container.
        """
        go_in, self._go = os.pipe()
        self._failure, failure_out = os.pipe()

        def child(announce: Callable[[], None] = lambda: None) -> NoReturn:
            _child(command, env, cwd, account, streams, keep, oom_score, (go_in, self._go), failure_out, announce)

        self.end: tuple[int, int | None] | None = None
        self.pid, self.container, self._job = _fork(child, name)
        self.fds = [self._job.fd] if self._job else []
        os.close(go_in)
        os.close(failure_out)

    def go(self) -> str | None:
        """Lets it begin. Returns None when its program runs, else reason not."""
        with os.fdopen(self._failure, "rb") as failure:
            with contextlib.suppress(BrokenPipeError):  # killed before it began, as its wait status shows
                os.write(self._go, b"!")
            os.close(self._go)
            return failure.read().decode("utf-8", "replace") or None

    def reap(self) -> None:
        """Collects every child of this process that has ended: the job's process, and adopted orphans."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.pid:
                self.end = (status, usage.ru_maxrss * 1024)
        self._receive_end(0)

    def kill(self) -> None:
        """Kills all that is in the container; returns before it has ended."""
        if self._job and self.end is None:
            # Before the namespace's first process, which reports its end.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._receive_end(_MAX_REPORT_S)
        self.container.kill()

    def _receive_end(self, seconds: float) -> None:
        if self._job and self.end is None:
            self.end = self._job.ended(seconds)
            self.fds = [] if self.end else self.fds


def _fork(child: Callable[..., NoReturn], name: str) -> tuple[int, containers.Container, namespace.Job | None]:
    """Starts `child` in the best container that works here: (PID, container, its namespace.Job or None)."""
    cgroup, reason = containers.make_cgroup(name, launch.has_systemd())
    if cgroup:
        pid = _plain_fork(child)
        try:
            cgroup.enter(pid)
            return pid, cgroup, None
        except OSError as error:
            reason = f"{cgroup.path} cannot be entered: {error.strerror}"
            os.kill(pid, signal.SIGKILL)  # it has not begun
            os.waitpid(pid, 0)
            cgroup.remove()
    if os.geteuid() == 0:
        try:
            job = namespace.fork(child)
            return job.pid, containers.PidNamespace(job.first, job.start), job
        except namespace.Unusable as error:
            reason = f"{reason}, and no PID namespace: {error}"
    pid = _plain_fork(child)
    return pid, containers.ProcessGroup(pid, processes.existing(pid).start, reason, os.getpid()), None


def _plain_fork(child: Callable[[], NoReturn]) -> int:
    pid = os.fork()
    if pid == 0:
        child()
    return pid


def _child(
    command: list[str],
    env: dict[str, str],
    cwd: str,
    account: accounts.Account | None,
    streams: tuple[int, int],
    keep: Sequence[int],
    oom_score: str | None,
    go: tuple[int, int],
    failure_out: int,
    announce: Callable[[], None],
) -> NoReturn:
    step = "setsid"
    try:
        os.close(go[1])  # then the other end shows when the supervisor has ended
        announce()
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)  # Python ignores SIGPIPE; the agent may have ignored more
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if os.read(go[0], 1) != b"!":
            os._exit(COULD_NOT_START)
        step = "streams"
        for target, source in ((0, streams[0]), (1, streams[1]), (2, streams[1])):
            os.dup2(source, target)
        _close_all_but({0, 1, 2, failure_out, *keep})
        for fd in keep:
            os.set_inheritable(fd, True)
        step = "become the user"
        os.umask(0o022)
        if oom_score is not None:
            with open(_OOM_SCORE, "w") as file:
                file.write(oom_score)
        if account is not None:
            limits.set_here()
            accounts.drop_to(account)
        step = f"enter {cwd}"
        os.chdir(cwd)
        step = f"run {command[0]}"
        os.execve(command[0], command, env)
    except BaseException as error:
        text = getattr(error, "strerror", None) or str(error)
        os.write(failure_out, f"could not {step}: {text}".encode("utf-8", "replace"))
    finally:
        os._exit(COULD_NOT_START)


def _close_all_but(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in kept:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself


def spare_from_oom() -> str | None:
    """Has the kernel kill others first when memory runs out. Returns the earlier score, or None without permission."""
    with open(_OOM_SCORE) as file:
        earlier = file.read()
    try:
        with open(_OOM_SCORE, "w") as file:
            file.write(_PROTECTED)
    except PermissionError:
        return None  # not root, or root in a container
    return earlier
