"""Runs a function in a process of its own, as another user or with a deadline, and returns its result."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Callable, NoReturn, TypeVar

from common import accounts

_READ = 1 << 20
#: A process that hangs in a driver cannot be killed: it is not waited for any longer.
_MAX_KILL_S = 5.0


_Result = TypeVar("_Result")


class TimedOut(OSError):
    """The function took too long, and its process was killed."""


def run(
    work: Callable[[], _Result],
    account: accounts.Account | None = None,
    seconds: float | None = None,
    most: int = 64 << 20,
) -> _Result:
    """Returns what `work()` returns, sent as JSON.

    account: the user that the process becomes. seconds: of wall time; None: no deadline. most: bytes of that JSON.

    Raises TimedOut, or RuntimeError when the process died; its error is on stderr then.
    """
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(work, account, readable, writable)
    os.close(writable)
    try:
        data = _read(readable, None if seconds is None else time.monotonic() + seconds, most)
    finally:
        os.close(readable)
        end(pid)
    try:
        return json.loads(data.decode("ascii"))
    except ValueError:
        raise RuntimeError("the process died") from None


def _child(work: Callable[[], object], account: accounts.Account | None, readable: int, writable: int) -> NoReturn:
    code = 1
    try:
        os.close(readable)
        if account is not None and account.uid != os.geteuid():
            accounts.drop_to(account)
        answer = json.dumps(work()).encode("ascii")
        sys.stdout.flush()
        while answer:
            answer = answer[os.write(writable, answer) :]
        code = 0
    except BrokenPipeError:
        # The parent process stopped reading: it raises an error of its own.
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _read(readable: int, deadline: float | None, most: int) -> bytes:
    """All that arrives until the other end is closed."""
    chunks, count = [], 0
    while count <= most:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        if not select.select([readable], [], [], left)[0]:
            raise TimedOut("it took too long")
        chunk = os.read(readable, _READ)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        count += len(chunk)
    raise RuntimeError(f"its answer is longer than {most} bytes")


def end(pid: int) -> None:
    """Kills it, if it has not ended. A process that is stopped can be killed as well."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _MAX_KILL_S
    while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.005)
