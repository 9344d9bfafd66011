"""Processes that work for the keeper, and end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Callable

from common import disk, libc


def start(work: Callable[[], None], what: str) -> int:
    """Does some work in a process of its own; returns its PID. what: it does, for the complaint about an error."""
    keeper = os.getpid()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            with contextlib.suppress(OSError):
                libc.call("prctl", libc.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == keeper:
                work()
        except BaseException as error:
            disk.complain(f"{what}: {type(error).__name__}: {error}")
        finally:
            os._exit(0)
    return pid
