"""One request in, one answer out. Whatever goes wrong becomes an answer too: the agent reads exit codes its own way."""

import os
import sys

from common import protocol
from common.protocol import Refusal


def answer(request):
    """Answers the request, JSON, on stdout. Returns the exit code: 1 for a request not understood."""
    code = 0
    os.umask(0o022)  # whatever the agent's was
    try:
        result = dict(_handle(request), ok=True)
    except Refusal as refusal:
        code = 1 if refusal.name == "BadRequest" else 0
        result = _failure(refusal.name, str(refusal))
    except OSError as error:
        from common import disk

        where = f": {error.filename}" if error.filename else ""
        result = _failure(
            "DiskFull" if disk.is_full_error(error) else "RunnerBroken", f"{error.strerror or error}{where}"
        )
    except Exception as error:  # The contract: always an answer, never a traceback on a stream that the agent cuts.
        result = _failure("RunnerBroken", f"{type(error).__name__}: {error}")
    sys.stdout.buffer.write(protocol.encode(protocol.fit(result)) + b"\n")
    sys.stdout.buffer.flush()
    return code


def _handle(data):
    request = protocol.parse(data)
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
    from jobs import stop

    return stop.answer(request) if verb == "stop" else stop.release(request)


def _failure(name, message):
    return {"ok": False, "error": {"name": name, "message": message[:2_000]}}
