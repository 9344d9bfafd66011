"""Starts a job's process: as the user, in a session of its own, with nothing of the supervisor's in its hands.

It is held before its program begins until the supervisor has written down who it is: a job that nobody knows of cannot
come to be, whenever the supervisor may die.
"""

import contextlib
import os
import signal

from common import accounts

try:
    import ctypes
except ImportError:  # a Python built without libffi
    ctypes = None

_OOM_SCORE = "/proc/self/oom_score_adj"
#: -1000: never, 1000: first.
_SPARED = "-900"
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
#: What a shell answers for a program that could not be started.
COULD_NOT_START = 127


def _prctl(option):
    """Switches a process attribute on by prctl(2), where Python has ctypes. Raises OSError."""
    if ctypes and ctypes.CDLL(None, use_errno=True).prctl(option, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def adopt_orphans():
    """Orphans among this process's descendants become its children, so that none of a job's processes can hide."""
    _prctl(_PR_SET_CHILD_SUBREAPER)


class Held:
    """A process that exists and waits. `pid`; then `go` lets its program begin."""

    def __init__(self, command, env, cwd, account, streams, keep=(), oom_score=None):
        """account: whom to become, or None to stay who we are. streams: descriptors for stdin, and for stdout and
        stderr. keep: other descriptors it gets. oom_score: its oom_score_adj, when that is not its parent's.
        """
        go_in, self._go = os.pipe()
        self._trouble, trouble_out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _child(command, env, cwd, account, streams, keep, oom_score, go_in, trouble_out)
        os.close(go_in)
        os.close(trouble_out)

    def go(self):
        """Lets it begin. Returns None when its program runs, else what hindered it."""
        with os.fdopen(self._trouble, "rb") as trouble:
            with contextlib.suppress(BrokenPipeError):  # killed before it began: how it ended tells
                os.write(self._go, b"!")
            os.close(self._go)
            return trouble.read().decode("utf-8", "replace") or None


def _child(command, env, cwd, account, streams, keep, oom_score, go_in, trouble_out):
    step = "setsid"
    try:
        os.setsid()
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)  # Python ignores SIGPIPE; whoever started us may have ignored more
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if os.read(go_in, 1) != b"!":
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
            accounts.drop_to(account)
            _prctl(_PR_SET_NO_NEW_PRIVS)
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
