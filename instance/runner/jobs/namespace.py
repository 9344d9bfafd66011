"""Starts a process in a PID namespace of its own, with a first process that only waits for the others.

    supervisor ─ fork ─ helper (unshares, ends) ─ fork ─ first process (PID 1 inside) ─ fork ─ job

The supervisor stays outside, where it sees every process by its ordinary PID. The first process belongs to root, so the
job cannot end it; it takes no signal but KILL, reaps, and reports how the job ended: only a parent is told that.
"""

import contextlib
import os
import signal
import socket
import struct

from common import libc, processes

_CLONE_NEWNS = 0x00020000
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 0x2, 0x4, 0x8, 0x4000, 0x80000
#: How the job ended: its wait status, and its peak memory in bytes.
_END = struct.Struct("=iQ")
_CREDENTIALS = struct.Struct("=iII")
_READY, _HELD, _FAILED = b"ready", b"held", b"failed "
#: Nothing here waits for anything but the kernel.
_SETUP_SECONDS = 10.0


class Unusable(Exception):
    """No PID namespace can be had here; the message says why."""


class Job:
    """A process in a namespace. `pid`: its PID outside; `first`: that of the namespace's first process, with `start`.

    `fd` becomes readable when it has ended, and when the namespace has.
    """

    def __init__(self, pid, first, channel):
        self.pid, self.first, self.start = pid, first, processes.look(first).start
        self.fd = channel.fileno()
        self._channel = channel

    def ended(self, seconds=0.0):
        """(wait status, peak memory in bytes or None) once it has ended, else None. Waits at most so long."""
        self._channel.settimeout(seconds)
        try:
            report = self._channel.recv(_END.size)
        except (BlockingIOError, socket.timeout):
            return None
        # Without a report the first process was killed, and the job with it.
        return _END.unpack(report) if len(report) == _END.size else (int(signal.SIGKILL), None)


def fork(child):
    """Starts a process of its own namespace that calls `child(announce)`, which never returns. Returns its Job.

    child calls `announce` once it is ready to be held. Raises Unusable.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # The kernel adds the sender's PID to each message, as this process sees it.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.settimeout(_SETUP_SECONDS)
    helper = os.fork()
    if helper == 0:
        ours.close()
        _help(theirs, child)
    theirs.close()
    try:
        os.waitpid(helper, 0)
        first = _receive(ours, _READY)
        return Job(_receive(ours, _HELD), first, ours)
    except (OSError, Unusable) as error:
        ours.close()
        raise error if isinstance(error, Unusable) else Unusable(f"it could not be set up: {error}") from error


def _receive(channel, wanted):
    """The PID of whoever sent the message that is expected next."""
    data, extra, _, _ = channel.recvmsg(256, socket.CMSG_SPACE(_CREDENTIALS.size))
    if data != wanted:
        why = data[len(_FAILED) :].decode("utf-8", "replace") if data.startswith(_FAILED) else "its process was killed"
        raise Unusable(why)
    return _CREDENTIALS.unpack(extra[0][2])[0]


def _help(channel, child):
    """The helper's whole life: only the children of who unshares are inside."""
    try:
        libc.call("unshare", _CLONE_NEWPID)
        if os.fork() == 0:
            _be_first(channel, child)
    except BaseException as error:
        _send(channel, _FAILED + str(error).encode("utf-8", "replace")[:200])
    finally:
        os._exit(0)


def _be_first(channel, child):
    """The first process's whole life."""
    try:
        os.setsid()
        libc.call("unshare", _CLONE_NEWNS)
        # Slave: what is mounted on the machine later is seen inside; what is mounted inside stays there.
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


def _reap(job, channel):
    """Until nothing is left in the namespace."""
    while True:
        try:
            pid, how, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return
        if pid == job:
            _send(channel, _END.pack(how, usage.ru_maxrss * 1024))


def _send(channel, data):
    with contextlib.suppress(OSError):  # the supervisor is gone
        channel.sendall(data)


def _keep_only(kept):
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (kept, null):
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                os.close(int(name))
    for target in (0, 1, 2):
        os.dup2(null, target)
