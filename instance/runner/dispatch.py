"""One request in, one answer out. Every error becomes an answer too: the agent has its own meanings for exit codes."""

from __future__ import annotations

import os
import sys

from common import paths, protocol
from common.protocol import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def answer(request: bytes | str) -> int:
    """Answers the request, JSON, on stdout. Returns the exit code: 1 for a request not understood."""
    code = 0
    os.umask(0o022)  # not the agent's
    try:
        result = dict(_handle(request), ok=True)
    except Refusal as refusal:
        code = 1 if refusal.name == "BadRequest" else 0
        result = _failure(refusal.name, str(refusal))
    except OSError as error:
        from common import disk

        path = f": {error.filename}" if error.filename else ""
        name = "DiskFull" if disk.is_full_error(error) else "RunnerBroken"
        result = _failure(name, f"{error.strerror or error}{path}")
    except Exception as error:  # The contract: always an answer, never a traceback on a stream that the agent cuts.
        result = _failure("RunnerBroken", f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(protocol.encode(protocol.fit(result)) + b"\n")
    sys.stdout.buffer.flush()
    return code


def _handle(data: bytes | str) -> dict[str, Any]:
    request = protocol.parse(data)
    try:
        return _answer(request)
    finally:
        if os.path.lexists(paths.heard(request["root"])):
            from jobs import dead_man

            dead_man.note_request(request)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    verb = request["verb"]
    if verb == "probe":
        from jobs import probe

        return probe.answer(request)
    if verb == "poll":
        from jobs import status

        return status.answer(request)
    if verb == "start":
        from jobs import start

        return start.answer(request)
    if verb in ("collect", "upload"):
        from jobs import collect_requests

        return collect_requests.collect(request) if verb == "collect" else collect_requests.upload(request)
    if verb == "fetch":
        from jobs import fetch

        return fetch.answer(request)
    if verb == "idle":
        from jobs import idle

        return idle.answer(request)
    if verb == "scrub":
        from jobs import scrub

        return scrub.answer(request)
    from jobs import stop

    return stop.answer(request) if verb == "stop" else stop.release(request)


def _failure(name: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": {"name": name, "message": message[:2_000]}}
