"""Removes the folders of old runs, so that logs do not fill the disk; never of a run that still has processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import time

from common import append_only, attempts, marker, paths
from jobs import containers, fetch, finisher, lease, status

#: What is kept, when the request does not say. Logs and outputs are in S3 by then.
_DAYS, _BYTES = 30, 5 << 30
#: For this time after a run's end, requests may still read its logs.
_YOUNG_S = 3_600
#: The request waits for it.
_MAX_S = 5.0


def run(root: str, keep: dict[str, float]) -> None:
    """Removes runs that ended more than `keep["days"]` ago, and the oldest beyond `keep["bytes"]`.

    Its errors are ignored: the request that it is part of has another purpose.
    """
    with contextlib.suppress(OSError, marker.Untrusted):
        _prune(root, keep.get("days", _DAYS), keep.get("bytes", _BYTES))


def _prune(root: str, days: float, max_bytes: float) -> None:
    until = time.monotonic() + _MAX_S
    in_use = lease.keys(root)
    found = sorted(_ended(root, key) for key in os.listdir(paths.runs_folder(root)) if key not in in_use)
    sizes: dict[str, int] = {}
    for _, key in found:
        fetch.remove_old(paths.run_folder(root, key))
        sizes[key] = _size(paths.run_folder(root, key)) if time.monotonic() < until else 0
    total = sum(sizes.values())
    for ended, key in found:
        age = time.time() - ended
        is_old = age > days * 86_400 or (total > max_bytes and age > _YOUNG_S)
        if is_old and time.monotonic() < until and _is_over(root, key, age > days * 86_400):
            marker.remove(paths.metrics_file(root, key))
            _remove(paths.run_folder(root, key))
            total -= sizes[key]


def _ended(root: str, key: str) -> tuple[float, str]:
    """(when anything of the run was written last, its key)."""
    folder = paths.run_folder(root, key)
    times = []
    for place in (folder, paths.finish_folder(root, key), *(one.path for one in attempts.folders(folder))):
        with contextlib.suppress(OSError):
            times.append(os.stat(place).st_mtime)
    return max(times, default=time.time()), key


def _is_over(root: str, key: str, is_old: bool) -> bool:
    """Whether no process of the run is left and nothing is still to be sent. is_old: then it is not sent any more."""
    finish = paths.finish_folder(root, key)
    if finisher.is_working(finish) or fetch.is_working(paths.run_folder(root, key)):
        return False
    for one in attempts.folders(paths.run_folder(root, key)):
        state, identity, _ = status.find_state(one.path)
        container = containers.of(identity) if identity else None
        if state == "running" or (container and not container.is_empty()):
            return False
    is_closed = marker.exists(os.path.join(paths.run_folder(root, key), paths.CLOSED))
    is_sent = marker.exists(os.path.join(finish, paths.UPLOADED)) or not os.path.isdir(finish)
    return is_old or (is_closed and is_sent)


def _size(folder: str) -> int:
    """Bytes on the disk."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(at, name)).st_blocks * 512
    return total


def _remove(folder: str) -> None:
    for one in attempts.folders(folder):
        append_only.clear(os.path.join(one.path, paths.LOG))
    shutil.rmtree(folder, ignore_errors=True)
