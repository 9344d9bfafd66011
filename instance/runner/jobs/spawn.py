"""Starts a job's process: as the user, in a container and a session of its own, with nothing of the supervisor's in
its hands.

It is held before its program begins until the supervisor has written down who it is: a job that nobody knows of cannot
come to be, whenever the supervisor may die.
"""

import contextlib
import os
import signal

from common import accounts, libc, processes
from jobs import containers, launch, limits, namespace

_OOM_SCORE = "/proc/self/oom_score_adj"
#: -1000: never, 1000: first.
_SPARED = "-900"
#: How long the first process of a namespace may take to report that the job has ended.
_REPORT_SECONDS = 1.0
#: What a shell answers for a program that could not be started.
COULD_NOT_START = 127


def adopt_orphans():
    """Orphans among this process's descendants become its children, so that none of a job's processes can hide."""
    with contextlib.suppress(OSError):  # a container needs none of it
        libc.switch_on(libc.PR_SET_CHILD_SUBREAPER)


class Held:
    """A process that exists and waits, in a container of its own; then `go` lets its program begin.

    pid        of the process, never of anything around it
    container  where it is, with all that it will start (containers.py)
    end        (wait status, peak memory in bytes or None) once it has ended and `reap` has seen it
    fds        become readable when it has ended; for `select`
    """

    def __init__(self, command, env, cwd, account, streams, keep=(), oom_score=None, name=""):
        """account: whom to become, or None to stay who we are. streams: descriptors for stdin, and for stdout and
        stderr. keep: other descriptors it gets. oom_score: its oom_score_adj, when that is not its parent's.
        name: for its container.
        """
        go_in, self._go = os.pipe()
        self._trouble, trouble_out = os.pipe()

        def child(announce=lambda: None):
            _child(command, env, cwd, account, streams, keep, oom_score, (go_in, self._go), trouble_out, announce)

        self.end = None
        self.pid, self.container, self._job = _fork(child, name)
        self.fds = [self._job.fd] if self._job else []
        os.close(go_in)
        os.close(trouble_out)

    def go(self):
        """Lets it begin. Returns None when its program runs, else what hindered it."""
        with os.fdopen(self._trouble, "rb") as trouble:
            with contextlib.suppress(BrokenPipeError):  # killed before it began: how it ended tells
                os.write(self._go, b"!")
            os.close(self._go)
            return trouble.read().decode("utf-8", "replace") or None

    def reap(self):
        """Asks every child of this process that has ended how: the process itself, and orphans that came to us."""
        while True:
            try:
                pid, how, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.pid:
                self.end = (how, usage.ru_maxrss * 1024)
        self._hear(0)

    def kill(self):
        """Ends all that is in the container; returns before it is gone."""
        if self._job and self.end is None:
            # Before the process that would report its end.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._hear(_REPORT_SECONDS)
        self.container.kill()

    def _hear(self, seconds):
        if self._job and self.end is None:
            self.end = self._job.ended(seconds)
            self.fds = [] if self.end else self.fds


def _fork(child, name):
    """Starts `child` in the best container that can be had: (PID, container, its namespace.Job or None)."""
    cgroup, why = containers.make_cgroup(name, launch.has_systemd())
    if cgroup:
        pid = _plain_fork(child)
        try:
            cgroup.enter(pid)
            return pid, cgroup, None
        except OSError as error:
            why = f"{cgroup.path} cannot be entered: {error.strerror}"
            os.kill(pid, signal.SIGKILL)  # it has not begun
            os.waitpid(pid, 0)
            cgroup.remove()
    if os.geteuid() == 0:
        try:
            job = namespace.fork(child)
            return job.pid, containers.PidNamespace(job.first, job.start), job
        except namespace.Unusable as error:
            why = f"{why}, and no PID namespace: {error}"
    pid = _plain_fork(child)
    return pid, containers.ProcessGroup(pid, processes.look(pid).start, why, os.getpid()), None


def _plain_fork(child):
    pid = os.fork()
    if pid == 0:
        child()
    return pid


def _child(command, env, cwd, account, streams, keep, oom_score, go, trouble_out, announce):
    step = "setsid"
    try:
        os.close(go[1])  # then the end of the supervisor is seen at the other end
        announce()
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)  # Python ignores SIGPIPE; whoever started us may have ignored more
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if os.read(go[0], 1) != b"!":
            os._exit(COULD_NOT_START)
        step = "streams"
        for target, source in ((0, streams[0]), (1, streams[1]), (2, streams[1])):
            os.dup2(source, target)
        _close_all_but({0, 1, 2, trouble_out, *keep})
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
        os.write(trouble_out, f"could not {step}: {text}".encode("utf-8", "replace"))
    finally:
        os._exit(COULD_NOT_START)


def _close_all_but(kept):
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in kept:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself


def spare_from_oom():
    """Asks the kernel to kill others first when memory runs out. Returns the score before, or None: not allowed to."""
    with open(_OOM_SCORE) as file:
        before = file.read()
    try:
        with open(_OOM_SCORE, "w") as file:
            file.write(_SPARED)
    except PermissionError:
        return None  # not root, or root in a container
    return before
