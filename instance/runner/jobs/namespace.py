"""Starts a process in a PID namespace of its own, with a first process that only waits for the others.

    supervisor ─ fork ─ helper (unshares, ends) ─ fork ─ first process (PID 1 inside) ─ fork ─ job

The supervisor stays outside, where every process has its ordinary PID. The first process belongs to root, so the job
cannot end it; it ignores every signal but KILL, reaps, and reports how the job ended, which only a parent can learn.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
from typing import Callable, NoReturn

from common import libc, processes

_CLONE_NEWNS = 0x00020000
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 0x2, 0x4, 0x8, 0x4000, 0x80000
#: The report of the job's end: its wait status, and its peak memory in bytes.
_END = struct.Struct("=iQ")
_CREDENTIALS = struct.Struct("=iII")
_READY, _HELD, _FAILED = b"ready", b"held", b"failed "
#: Every step of it waits for the kernel only.
_MAX_SETUP_S = 10.0


class Unusable(Exception):
    """A PID namespace cannot be created here; the message says why."""


class Job:
    """A process in a namespace. `pid`: its PID outside; `first`: that of the namespace's first process, with `start`.

    `fd` becomes readable when it has ended, and when the namespace has.
    """

    def __init__(self, pid: int, first: int, channel: socket.socket) -> None:
        self.pid, self.first, self.start = pid, first, processes.existing(first).start
        self.fd = channel.fileno()
        self._channel = channel

    def ended(self, seconds: float = 0.0) -> tuple[int, int | None] | None:
        """(wait status, peak memory in bytes or None) once it has ended, else None. Waits at most `seconds`."""
        self._channel.settimeout(seconds)
        try:
            report = self._channel.recv(_END.size)
        except (BlockingIOError, socket.timeout):
            return None
        # Without a report the first process was killed, and the job with it.
        return _END.unpack(report) if len(report) == _END.size else (int(signal.SIGKILL), None)


def fork(child: Callable[[Callable[[], None]], None]) -> Job:
    """Starts a process in a namespace of its own that calls `child(announce)`, which never returns. Returns its Job.

    child calls `announce` once it is ready to be held. Raises Unusable.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # The kernel adds the sender's PID to each message, as this process sees it.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.settimeout(_MAX_SETUP_S)
    helper = os.fork()
    if helper == 0:
        ours.close()
        _run_helper(theirs, child)
    theirs.close()
    try:
        os.waitpid(helper, 0)
        first = _receive(ours, _READY)
        return Job(_receive(ours, _HELD), first, ours)
    except (OSError, Unusable) as error:
        ours.close()
        raise error if isinstance(error, Unusable) else Unusable(f"it could not be set up: {error}") from error


def _receive(channel: socket.socket, expected: bytes) -> int:
    """The PID of the sender of the message that is expected next."""
    data, extra, _, _ = channel.recvmsg(256, socket.CMSG_SPACE(_CREDENTIALS.size))
    if data != expected:
        is_reason = data.startswith(_FAILED)
        raise Unusable(data[len(_FAILED) :].decode("utf-8", "replace") if is_reason else "its process was killed")
    return _CREDENTIALS.unpack(extra[0][2])[0]


def _run_helper(channel: socket.socket, child: Callable[[Callable[[], None]], None]) -> NoReturn:
    """The helper: a process that calls unshare stays outside itself, only its children are inside."""
    try:
        libc.call("unshare", _CLONE_NEWPID)
        if os.fork() == 0:
            _run_first(channel, child)
    except BaseException as error:
        _send(channel, _FAILED + str(error).encode("utf-8", "replace")[:200])
    finally:
        os._exit(0)


def _run_first(channel: socket.socket, child: Callable[[Callable[[], None]], None]) -> NoReturn:
    """The namespace's first process."""
    try:
        os.setsid()
        libc.call("unshare", _CLONE_NEWNS)
        # Slave: later mounts of the machine appear inside, mounts made inside do not appear outside.
        libc.call("mount", b"none", b"/", None, _MS_REC | _MS_SLAVE, None)
        libc.call("mount", b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        channel.sendall(_READY)
        job = os.fork()
    except BaseException as error:
        _send(channel, _FAILED + str(error).encode("utf-8", "replace")[:200])
        os._exit(1)
    if job == 0:
        child(lambda: channel.sendall(_HELD))
        os._exit(1)
    try:
        os.chdir("/")
        _keep_only(channel.fileno())
        _reap(job, channel)
    finally:
        os._exit(0)


def _reap(job: int, channel: socket.socket) -> None:
    """Reaps until nothing is left in the namespace."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return
        if pid == job:
            _send(channel, _END.pack(status, usage.ru_maxrss * 1024))


def _send(channel: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the supervisor has ended
        channel.sendall(data)


def _keep_only(kept: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (kept, null):
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                os.close(int(name))
    for target in (0, 1, 2):
        os.dup2(null, target)
