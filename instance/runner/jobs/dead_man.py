"""Shuts the instance down when nobody uses it and no request has come for long: the functions of the stack are gone.

A process of its own, one for each boot: the start of a sync starts it, and after a boot any request. Times are seconds
since boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time

from common import marker, paths, subp
from jobs import idle, launch, lease, people, stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: In a local cloud and in tests, whose instances are this machine: a JSON list, the command to run instead.
COMMAND = "RUNCTL_SHUTDOWN"
_SHUTDOWN = ["shutdown", "-h", "now"]
#: Set in a local cloud: there the machine is somebody's.
LOCAL = ("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT", people.FACTS)
_UNIT = "runctl-dead-man"
_CHECK_INTERVAL_S = 15.0
#: After a shutdown that did not end this process.
_AGAIN_S = 600.0
_GRACE_S = 2


def note_request(request: dict[str, Any]) -> None:
    """A request has been handled. After a boot it starts the process."""
    root = request["root"]
    with contextlib.suppress(OSError):
        if not marker.is_locked(_lock_path(root)) and command():
            _launch(root)
    with contextlib.suppress(OSError, marker.Untrusted):
        if _is_use(request):
            _note_use(root)


def _is_use(request: dict[str, Any]) -> bool:
    """Whether it is of a run that has the instance or waits for it.

    Others are a look whether the instance may be stopped, or come again from SSM after their run: so do late starts.
    """
    is_late = time.time() > request.get("notAfter", float("inf"))
    return not is_late and "run" in request and request["run"]["key"] in lease.keys(request["root"])


def _note_use(root: str) -> None:
    """Written in place, so that it works on a full disk too. Raises OSError."""
    fd = os.open(paths.heard(root), os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.pwrite(fd, b"%020.3f\n" % stopping.uptime(), 0)
    finally:
        os.close(fd)


def ensure(root: str, after: float) -> None:
    """Has the instance shut down when nobody has used it for `after` seconds.

    An error costs the shutdown alone, not the start that it is part of.
    """
    if not command():
        return
    with contextlib.suppress(OSError):
        marker.write(_config_path(root), {"after": after}, durable=False)
        lock = _lock_path(root)
        os.close(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        if not marker.is_locked(lock):
            _launch(root)


def _launch(root: str) -> None:
    launch.detached(["dead-man", root], f"{_UNIT}-{int(stopping.uptime())}", _GRACE_S)


def main(root: str) -> int:
    lock = os.open(_lock_path(root), os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # another one is there
    os.close(os.open(paths.heard(root), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    _note_use(root)
    while True:
        config = marker.read(_config_path(root))
        if config is None:
            return 0
        time.sleep(min(_CHECK_INTERVAL_S, config["after"] / 4))
        if is_due(root, config):
            with contextlib.suppress(subp.ProcessFailed):
                subp.run(command(), timeout=60)
            time.sleep(_AGAIN_S)


def is_due(root: str, config: dict[str, Any]) -> bool:
    """Whether the instance is to be shut down. If so, it is marked: nothing starts on it any more."""
    if _silence(root) < config["after"]:
        return False
    with lease.locked(root):
        if _silence(root) < config["after"]:
            return False
        # A holder that has no process and is not heard of has lost its functions: it does not count.
        if lease.has_tickets(root):
            return False
        if idle.living(root) or people.reasons():
            with contextlib.suppress(OSError):
                _note_use(root)
            return False
        stopping.mark(root)
    return True


def _silence(root: str) -> float:
    """Seconds since the last sign of use. What cannot be read has just come."""
    try:
        with open(paths.heard(root), "rb") as file:
            return stopping.uptime() - float(file.read())
    except (OSError, ValueError):
        return 0.0


def command() -> list[str]:
    """What shuts the instance down. Empty: this machine must not be shut down."""
    replaced = os.environ.get(COMMAND)
    if replaced:
        return [str(word) for word in json.loads(replaced)]
    is_machine = launch.has_systemd() and not any(name in os.environ for name in LOCAL)
    return _SHUTDOWN if is_machine else []


def _config_path(root: str) -> str:
    return os.path.join(paths.lease_folder(root), "dead-man.json")


def _lock_path(root: str) -> str:
    return os.path.join(paths.lease_folder(root), "dead-man.lock")
