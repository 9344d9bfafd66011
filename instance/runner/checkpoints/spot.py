"""Asks the instance metadata service whether EC2 takes the instance away, in a process of its own.

It writes what it learns into files: a look at the disk that hangs must not delay a notice of two minutes.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import signal
import sys
import time
from typing import Any

from common import child, disk, keeper_files, libc, marker, metadata_service, paths
from common.secrets.http_call import NoAnswer

_INTERVAL_S = 5.0
#: For an instance without the service.
_LONG_INTERVAL_S, _MAX_FAILURES = 60.0, 3
_TIMEOUT_S = 1.0
_TOKEN_S = 3_600
_NOTICE = "meta-data/spot/instance-action"
_REBALANCE = "meta-data/events/recommendations/rebalance"
_ACTIONS = ("terminate", "stop", "hibernate")


class Watcher:
    """The process that asks. It ends with this one."""

    def __init__(self, job_folder: str) -> None:
        keeper = os.getpid()
        sys.stderr.flush()
        self._pid: int | None = os.fork()
        if self._pid == 0:
            try:
                with contextlib.suppress(OSError):
                    libc.call("prctl", libc.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() == keeper:
                    _watch(job_folder)
            except BaseException as error:
                disk.complain(f"asking for notices of EC2: {type(error).__name__}: {error}")
            finally:
                os._exit(0)

    def end(self) -> None:
        if self._pid is not None:
            child.end(self._pid)
            self._pid = None


def notice(job_folder: str) -> dict[str, Any] | None:
    """{action, time} of the notice that was seen, or None."""
    found = marker.read(os.path.join(job_folder, paths.SPOT))
    return None if found is None else {name: found[name] for name in ("action", "time")}


def is_rebalance_recommended(job_folder: str) -> bool:
    return marker.exists(keeper_files.path(job_folder, keeper_files.REBALANCE))


def _watch(job_folder: str) -> None:
    """Asks until there is a notice."""
    session = metadata_service.Session(metadata_service.endpoint(os.environ), _TIMEOUT_S, _TOKEN_S)
    failures = 0
    while not marker.exists(os.path.join(job_folder, paths.SPOT)):
        try:
            _ask(session, job_folder)
            failures = 0
        except (NoAnswer, metadata_service.NoToken):
            failures += 1
        time.sleep(_INTERVAL_S if failures < _MAX_FAILURES else _LONG_INTERVAL_S)


def _ask(session: metadata_service.Session, job_folder: str) -> None:
    """Raises NoAnswer, NoToken."""
    answer = session.get(_NOTICE)
    found = _parse(answer.body) if answer.status == 200 else None
    if found is not None:
        _write(os.path.join(job_folder, paths.SPOT), dict(found, seenAt=time.time()), job_folder)
        return
    if not is_rebalance_recommended(job_folder) and session.get(_REBALANCE).status == 200:
        _write(keeper_files.path(job_folder, keeper_files.REBALANCE), {"seenAt": time.time()}, job_folder)


def _parse(body: bytes) -> dict[str, Any] | None:
    """{action, time} of `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`, or None."""
    try:
        found = json.loads(body)
        at = calendar.timegm(time.strptime(found["time"], "%Y-%m-%dT%H:%M:%SZ"))
        return {"action": found["action"], "time": at} if found["action"] in _ACTIONS else None
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _write(path: str, value: dict[str, Any], job_folder: str) -> None:
    """Writes a marker, on a full disk into the space that the job has reserved."""
    while True:
        try:
            return marker.write(path, value, mode=0o600)
        except OSError as error:
            if not disk.is_full_error(error) or not disk.free(os.path.join(job_folder, paths.ROOM)):
                return disk.complain(f"writing {os.path.basename(path)}: {error}")
