"""The process that scrubs: removes, checks what is left, and powers the machine off. It can be started again at any
point: nothing of it depends on what an earlier one has done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Any, Iterator

from common import image, marker, paths, subp
from image import home, places, search, services, system
from image.folder import Folder
from image.services import AgentRuns

_MAX_LOCK_S = 5.0
_CHECK_INTERVAL_S = 0.1
_MAX_SHUTDOWN_S = 60.0
_MAX_REASONS = 10
_MAX_TEXT = 200


def main(root: str) -> int:
    lock = os.open(paths.scrub_lock(root), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if not _take(lock):
        return 0  # another one is there
    work = marker.read(paths.scrub_work(root))
    if work is None:
        return 0  # another one has ended
    time.sleep(work["delay"])
    units: list[str] = []
    try:
        reasons = _scrub(work, units)
        if not reasons:
            _power_off(work)
            return 0
    except subp.ProcessFailed as failed:
        reasons = [f"the machine could not be powered off: {failed}"]
    except (OSError, search.NotSearched, AgentRuns, RecursionError, marker.Untrusted) as error:
        path = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
        reasons = [f"{getattr(error, 'strerror', None) or str(error) or type(error).__name__}{path}"]
    except Exception as error:
        reasons = [f"internal error of runctl: {type(error).__name__}"]
    image.write(root, work["about"], "failed", [reason[:_MAX_TEXT] for reason in reasons[:_MAX_REASONS]])
    services.start(units)
    return 1


def _take(lock: int) -> bool:
    """A request that checks whether it is held holds it for a moment."""
    deadline = time.monotonic() + _MAX_LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_CHECK_INTERVAL_S)


def _scrub(work: dict[str, Any], stopped: list[str]) -> list[str]:
    """Returns what is left that must not be in an image. stopped: gets the units that do not run any more."""
    began = time.time()
    with contextlib.ExitStack() as opened:
        folders = {path: _open(opened, path) for path in [work["root"], *work["homes"]]}
        root, homes = folders[work["root"]], [folders[path] for path in work["homes"]]
        machine = _open(opened, work["system"]) if work["system"] else None
        if work["isMachine"]:
            services.quiet()
        for each in homes:
            home.clean(each, work["projects"])
        root.remove("*", _is_kept)
        if machine:
            system.clean(machine)
        root.remove("*", _is_kept)  # a request may have come meanwhile
        found = []
        for path in _left(root, homes, machine, work, began):
            found.append("an image must not have " + path)
            if len(found) == _MAX_REASONS:
                return found
        if found or machine is None:
            return found
        # Last: without its registration nobody reaches the machine.
        if work["isMachine"]:
            services.stop_agent(stopped)
        return ["an image must not have " + path for path in system.clean_agent(machine)]


def _left(
    root: Folder, homes: list[Folder], machine: Folder | None, work: dict[str, Any], began: float
) -> Iterator[str]:
    # Of a request that came meanwhile: the lock, and folders that are empty.
    yield from root.left("*", lambda name: _is_kept(name) or name in ("lease", "runs"))
    for entry in root.walk("lease"):
        if entry.name != paths.LOCK:
            yield entry.path
    for entry in root.walk("runs"):
        yield entry.path
    programs = os.path.join(root.path, "programs")
    yield from search.search(root, "*", lambda path: path == programs)
    for each in homes:
        yield from home.left(each, work["projects"], root.path)
    if machine:
        yield from system.left(machine, began)
    for folder in (root, *homes, *([machine] if machine else [])):
        yield from folder.links()


def _power_off(work: dict[str, Any]) -> None:
    """Powers the machine off. Raises OSError, subp.ProcessFailed."""
    root = work["root"]
    with contextlib.ExitStack() as opened:
        _open(opened, root).remove("*", _is_kept)
    marker.remove(paths.scrub_work(root))
    marker.remove(paths.scrub_lock(root))
    image.write(root, work["about"], "scrubbed", [])
    os.sync()
    if work["shutdown"]:
        subp.run(work["shutdown"], timeout=_MAX_SHUTDOWN_S)


def _open(opened: contextlib.ExitStack, path: str) -> Folder:
    folder = Folder(path)
    opened.callback(folder.close)
    return folder


def _is_kept(name: str) -> bool:
    return name in places.KEPT_IN_ROOT
