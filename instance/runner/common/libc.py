"""Functions of the C library that Python's own modules lack."""

from __future__ import annotations

import errno
import os

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def call(name: str, *arguments: int | bytes | None) -> None:
    """Calls a function that returns 0 on success. Raises OSError; with ENOSYS where it cannot be called at all."""
    try:
        import ctypes  # too slow for a poll

        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (ImportError, AttributeError) as error:  # a Python built without libffi; another C library
        raise OSError(errno.ENOSYS, f"{name} cannot be called: {error}") from None
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def switch_on(option: int) -> None:
    """Switches an attribute of this process on by prctl(2). Raises OSError."""
    call("prctl", option, 1, 0, 0, 0)
