"""Who may use the instance. One run at a time: the one that holds the lease; the others wait for it in a queue.

Everything that changes something on the instance (a start, a stop, a release) happens under `lease/lock`; a poll needs
no lock. A ticket is a file as well: the queue survives what the holder's marker survives.
"""

import contextlib
import fcntl
import os
import time

from common import marker, paths
from common.protocol import Refusal

#: Longer than whoever holds the lock can need: a launch (15 s), or killing what is left of a run (8 s).
_LOCK_SECONDS = 30.0
_LOOK_AGAIN = 0.02
#: Of those before a run in the queue: enough for the asker to find the next that has ended.
_AHEAD_SHOWN = 3


@contextlib.contextmanager
def locked(root):
    """Nobody else changes anything on this instance meanwhile. Makes the root's folders. Raises Refusal, Untrusted."""
    os.makedirs(os.path.dirname(root) or "/", exist_ok=True)
    for folder in (root, paths.lease_folder(root)):
        marker.folder(folder)
    marker.folder(paths.runs_folder(root), 0o700)  # logs and requests may hold what only the run's user should read
    # 0600: a job that could open the lock could hold it, and nothing would ever be stopped again.
    path = os.path.join(paths.lease_folder(root), paths.LOCK)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                raise Refusal("RunnerBroken", f"another request has held the instance's lock for {_LOCK_SECONDS:g} s")
            time.sleep(_LOOK_AGAIN)
        yield
    finally:
        os.close(fd)


def _try_lock(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(root):
    """{run, key, arn, since} of the run that holds the instance, or None."""
    return marker.read(_holder_path(root))


def take(root, run, ended, clear, ttl):
    """Gives the instance to `run` and returns None; or returns (holder or None, queue or None): what it waits for.

    ended: ARNs of executions that have ended: a holder among them is cleared up by `clear(key)`, which says whether
    nothing of it is left; a ticket of theirs is void. ttl: seconds that a ticket lives unless renewed; None: the run
    does not wait. Under the lock.
    """
    now = holder(root)
    if now is not None and now["arn"] in ended and now["key"] != run["key"] and clear(now["key"]):
        drop(root, now["key"])
        now = None
    tickets = _tickets(root, ended)
    mine = next((ticket for ticket in tickets if ticket["key"] == run["key"]), None)
    others = [ticket for ticket in tickets if ticket is not mine]
    before = others if mine is None else [ticket for ticket in others if _order(ticket) < _order(mine)]
    is_mine = now is not None and now["key"] == run["key"]
    if is_mine or (now is None and not before):
        if not is_mine:
            taken = {"run": run["id"], "key": run["key"], "arn": run["arn"], "since": time.time()}
            marker.write(_holder_path(root), taken)
        leave(root, run["key"])
        return None
    shown = None if now is None else {name: now[name] for name in ("run", "arn", "since")}
    if ttl is None:
        leave(root, run["key"])
        return shown, None
    mine = _renew(root, run, mine, others, ttl)
    ahead = [{"run": ticket["run"], "arn": ticket["arn"]} for ticket in before[:_AHEAD_SHOWN]]
    place = {"place": len(before) + 1, "length": len(others) + 1, "since": mine["arrivedAt"], "ahead": ahead}
    return shown, place


def _renew(root, run, mine, others, ttl):
    """Writes the run's ticket, behind all that are there when it is new."""
    now = time.time()
    arrived = now
    if mine is not None:
        arrived = mine["arrivedAt"]
    elif others and others[-1]["arrivedAt"] > now:
        arrived = others[-1]["arrivedAt"] + 0.001  # a clock that was set back lets nobody go before others
    marker.folder(_queue_folder(root))
    ticket = {
        "run": run["id"],
        "key": run["key"],
        "arn": run["arn"],
        "arrivedAt": arrived,
        "renewedAt": now,
        "ttl": ttl,
    }
    marker.write(_ticket_path(root, run["key"]), ticket)
    return ticket


def keys(root):
    """The keys of the runs that hold the instance or wait for it."""
    now = holder(root)
    names = os.listdir(_queue_folder(root)) if os.path.isdir(_queue_folder(root)) else []
    return {now["key"] if now else None, *(name[: -len(".json")] for name in names if name.endswith(".json"))}


def _tickets(root, ended):
    """The tickets that hold, the oldest first; void ones are removed."""
    try:
        names = os.listdir(_queue_folder(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        ticket = None if name.startswith(".") else marker.read(os.path.join(_queue_folder(root), name))
        if ticket is None:
            continue
        # Times of a clock that was set back lie in the future: such a ticket lives on, and is renewed soon.
        if ticket["arn"] in ended or time.time() > ticket["renewedAt"] + ticket["ttl"]:
            marker.remove(os.path.join(_queue_folder(root), name))
        else:
            found.append(ticket)
    return sorted(found, key=_order)


def _order(ticket):
    return ticket["arrivedAt"], ticket["run"]


def leave(root, key):
    """Takes the run's ticket away, if it has one. Under the lock."""
    marker.remove(_ticket_path(root, key))


def is_holder(root, key):
    now = holder(root)
    return now is not None and now["key"] == key


def drop(root, key):
    """Gives the instance back if it is this run's. Under the lock."""
    if is_holder(root, key):
        marker.remove(_holder_path(root))
        marker.sync_folder(paths.lease_folder(root))


def _holder_path(root):
    return os.path.join(paths.lease_folder(root), "holder.json")


def _queue_folder(root):
    return os.path.join(paths.lease_folder(root), "queue")


def _ticket_path(root, key):
    return os.path.join(_queue_folder(root), key + ".json")
