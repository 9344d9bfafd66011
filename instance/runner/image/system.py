"""The scrub of the system: identity, keys and logs of the machine, and at the very end those of the SSM agent."""

from __future__ import annotations

import fnmatch
import stat
from typing import Iterator

from image import places, search
from image.folder import Entry, Folder


def clean(system: Folder) -> None:
    for pattern in places.SYSTEM:
        system.remove(pattern)
    system.remove(places.CLOUD_INIT, _is_kept_of_cloud_init)
    for folder in places.TEMPORARY:
        system.remove(folder + "/*")
    for name in places.EMPTIED:
        system.empty(name)
    for entry in system.find(places.DBUS_MACHINE_ID):
        if _is_file(entry):
            system.remove(places.DBUS_MACHINE_ID)
    _empty_logs(system)


def _empty_logs(system: Folder) -> None:
    system.empty(places.LOGS, _is_rotated)


def left(system: Folder, began: float) -> Iterator[str]:
    """Paths of what must not be there, each with why; without what is of the agent.

    began: when the scrub began, epoch: services go on writing, and what they write since is searched for keys only.
    """
    for pattern in places.SYSTEM:
        yield from system.left(pattern)
    yield from system.left(places.CLOUD_INIT, _is_kept_of_cloud_init)
    agent = f"{system.path}/{places.LOGS_OF_AGENT}"
    for name in (*places.EMPTIED, places.LOGS, *places.TEMPORARY):
        for entry in system.walk(name, lambda path: path == agent):
            if _is_old(entry, began) or (_is_file(entry) and name in places.EMPTIED and _size(entry)):
                yield system.describe(entry.path)
    for name in (places.LOGS, *places.TEMPORARY):
        yield from search.search(system, name, lambda path: path == agent)
    for entry in system.find(places.DBUS_MACHINE_ID):
        if _is_file(entry) and _size(entry):
            yield system.describe(entry.path)
    for pattern in places.INDEX_SETTINGS_OF_SYSTEM:
        yield from search.credentials_in_urls(system, pattern)


def clean_agent(system: Folder) -> list[str]:
    """Removes what is of the SSM agent, which has been stopped. Returns what is left."""
    for pattern in places.AGENT:
        system.remove(pattern)
    return [path for pattern in places.AGENT for path in system.left(pattern)]


def _is_old(entry: Entry, began: float) -> bool:
    """Whether a file has a content that it had before the scrub. Of a log, an emptied one has none."""
    info = entry.status()
    return info is not None and stat.S_ISREG(info.st_mode) and info.st_size > 0 and info.st_mtime < began


def _is_file(entry: Entry) -> bool:
    info = entry.status()
    return info is not None and stat.S_ISREG(info.st_mode)


def _size(entry: Entry) -> int:
    info = entry.status()
    return info.st_size if info else 0


def _is_kept_of_cloud_init(name: str) -> bool:
    return name in places.KEPT_OF_CLOUD_INIT


def _is_rotated(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in places.ROTATED)
