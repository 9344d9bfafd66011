"""Which run may use the instance: one at a time, the one that holds the lease. Others wait for it in a queue.

Every change on the instance (a start, a stop, a release) happens under `lease/lock`; a poll needs no lock. A ticket is
a file too, so the queue is as durable as the holder's marker.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Any, Callable, Container, Iterator

from common import marker, paths, processes
from common.protocol import Refusal
from jobs import stopping

#: Longer than any holder of the lock needs: a launch (15 s), or killing what is left of a run (8 s).
_MAX_LOCK_S = 30.0
_CHECK_INTERVAL_S = 0.02
#: How many of the runs ahead in the queue an answer names: enough to find the next one that has ended.
_MAX_AHEAD = 3


@contextlib.contextmanager
def locked(root: str) -> Iterator[None]:
    """Keeps other requests from changing anything. Creates the root's folders. Raises Refusal, Untrusted."""
    os.makedirs(os.path.dirname(root) or "/", exist_ok=True)
    for folder in (root, paths.lease_folder(root)):
        marker.folder(folder)
    marker.folder(paths.runs_folder(root), 0o700)  # logs and requests may be confidential
    # 0600: a job that could open the lock could keep it, and no request would get it again.
    path = os.path.join(paths.lease_folder(root), paths.LOCK)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + _MAX_LOCK_S
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                raise Refusal("RunnerBroken", f"another request has held the instance's lock for {_MAX_LOCK_S:g} s")
            time.sleep(_CHECK_INTERVAL_S)
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(root: str) -> dict[str, Any] | None:
    """{run, key, arn, since} of the run that holds the instance, or None."""
    return marker.read(_holder_path(root))


def take(
    root: str, run: dict[str, Any], ended: Container[str], clear: Callable[[str], bool], ttl: float | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None] | None:
    """Gives the instance to `run` and returns None; or returns (holder or None, queue or None): what it waits for.

    ended: ARNs of executions that have ended. A holder among them is cleared by `clear(key)`, which returns whether
    nothing of it is left; their tickets are void. ttl: seconds until a ticket expires unless renewed; None: the run
    does not wait. Needs the lock.
    """
    current = holder(root)
    if current is not None and current["arn"] in ended and current["key"] != run["key"] and clear(current["key"]):
        drop(root, current["key"])
        current = None
    tickets = _tickets(root, ended)
    mine = next((ticket for ticket in tickets if ticket["key"] == run["key"]), None)
    others = [ticket for ticket in tickets if ticket is not mine]
    ahead = others if mine is None else [ticket for ticket in others if _order(ticket) < _order(mine)]
    is_mine = current is not None and current["key"] == run["key"]
    if is_mine or (current is None and not ahead):
        if not is_mine:
            new = {"run": run["id"], "key": run["key"], "arn": run["arn"], "since": time.time()}
            marker.write(_holder_path(root), new)
            stopping.note_use(root, run["key"])
        leave(root, run["key"])
        return None
    held_by = None if current is None else {name: current[name] for name in ("run", "arn", "since")}
    if ttl is None:
        leave(root, run["key"])
        return held_by, None
    mine = _renew(root, run, mine, others, ttl)
    queue = {
        "place": len(ahead) + 1,
        "length": len(others) + 1,
        "since": mine["arrivedAt"],
        "ahead": [{"run": ticket["run"], "arn": ticket["arn"]} for ticket in ahead[:_MAX_AHEAD]],
    }
    return held_by, queue


def _renew(
    root: str, run: dict[str, Any], mine: dict[str, Any] | None, others: list[dict[str, Any]], ttl: float
) -> dict[str, Any]:
    """Writes the run's ticket; a new one goes to the end of the queue."""
    now = time.time()
    arrived = now
    if mine is not None:
        arrived = mine["arrivedAt"]
    elif others and others[-1]["arrivedAt"] > now:
        arrived = others[-1]["arrivedAt"] + 0.001  # a clock that was set back must not change the order
    marker.folder(_queue_folder(root))
    ticket = {
        "run": run["id"],
        "key": run["key"],
        "arn": run["arn"],
        "arrivedAt": arrived,
        "renewedAt": now,
        "ttl": ttl,
        "renewed": stopping.now(),
    }
    marker.write(_ticket_path(root, run["key"]), ticket)
    return ticket


def keys(root: str) -> set[str | None]:
    """The keys of the runs that hold the instance or wait for it."""
    current = holder(root)
    names = os.listdir(_queue_folder(root)) if os.path.isdir(_queue_folder(root)) else []
    return {current["key"] if current else None, *(name[: -len(".json")] for name in names if name.endswith(".json"))}


def has_tickets(root: str) -> bool:
    """Whether a run waits for the instance. Needs the lock."""
    return bool(_tickets(root, ()))


def waiting(root: str) -> list[str]:
    """The ids of the run that holds the instance and of those that wait for it. Needs the lock."""
    current = holder(root)
    return [one["run"] for one in ([current] if current else []) + _tickets(root, ())]


def _tickets(root: str, ended: Container[str]) -> list[dict[str, Any]]:
    """The valid tickets, the oldest first; void ones are removed."""
    try:
        names = os.listdir(_queue_folder(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        ticket = None if name.startswith(".") else marker.read(os.path.join(_queue_folder(root), name))
        if ticket is None:
            continue
        if ticket["arn"] in ended or _age(ticket) > ticket["ttl"]:
            marker.remove(os.path.join(_queue_folder(root), name))
        else:
            found.append(ticket)
    return sorted(found, key=_order)


def _age(ticket: dict[str, Any]) -> float:
    """Seconds since it was renewed, whatever was done to the clock. In an earlier boot: since this one began."""
    renewed = ticket.get("renewed")
    if renewed is None:
        return time.time() - ticket["renewedAt"]  # of an earlier version
    return stopping.uptime() - (renewed["uptime"] if renewed["bootId"] == processes.boot_id() else 0)


def _order(ticket: dict[str, Any]) -> tuple[float, str]:
    return ticket["arrivedAt"], ticket["run"]


def leave(root: str, key: str) -> None:
    """Removes the run's ticket, if it has one. Needs the lock."""
    marker.remove(_ticket_path(root, key))


def is_holder(root: str, key: str) -> bool:
    current = holder(root)
    return current is not None and current["key"] == key


def drop(root: str, key: str) -> None:
    """Releases the instance if this run holds it. Needs the lock."""
    if is_holder(root, key):
        marker.remove(_holder_path(root))
        marker.sync_folder(paths.lease_folder(root))
        stopping.note_use(root, key)


def _holder_path(root: str) -> str:
    return os.path.join(paths.lease_folder(root), "holder.json")


def _queue_folder(root: str) -> str:
    return os.path.join(paths.lease_folder(root), "queue")


def _ticket_path(root: str, key: str) -> str:
    return os.path.join(_queue_folder(root), key + ".json")
