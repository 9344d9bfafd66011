"""Runs a function in a process of its own, and returns what it returns: as another user, or with a deadline."""

import json
import os
import select
import signal
import sys
import time
import traceback

from common import accounts

_READ = 1 << 20
#: A process that hangs in a driver takes no KILL: it is not waited for any longer.
_KILL_SECONDS = 5.0


class TimedOut(OSError):
    """It took too long, and was killed."""


def run(work, account=None, seconds=None, most=64 << 20):
    """Returns what `work()` returns, as JSON can say it.

    account: the user that the process becomes. seconds: of wall time; None: no deadline. most: bytes of that JSON.

    Raises TimedOut, or RuntimeError when the process died; what it raised has gone to stderr then.
    """
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(work, account, out, into)
    os.close(into)
    try:
        data = _read(out, None if seconds is None else time.monotonic() + seconds, most)
    finally:
        os.close(out)
        _end(pid)
    try:
        return json.loads(data.decode("ascii"))
    except ValueError:
        raise RuntimeError("the process died") from None


def _child(work, account, out, into):
    code = 1
    try:
        os.close(out)
        if account is not None and account.uid != os.geteuid():
            accounts.drop_to(account)
        answer = json.dumps(work()).encode("ascii")
        sys.stdout.flush()
        while answer:
            answer = answer[os.write(into, answer) :]
        code = 0
    except BrokenPipeError:
        # The parent process stopped reading: it raises an error of its own.
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _read(out, deadline, most):
    """All that comes until the other end is closed."""
    chunks, count = [], 0
    while count <= most:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        if not select.select([out], [], [], left)[0]:
            raise TimedOut("it took too long")
        chunk = os.read(out, _READ)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        count += len(chunk)
    raise RuntimeError(f"its answer is longer than {most} bytes")


def _end(pid):
    """Kills it, if it has not ended. A process that is halted can be killed as well."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + _KILL_SECONDS
    while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.005)
