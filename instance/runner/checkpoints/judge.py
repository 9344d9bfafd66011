"""Decides which units are complete, from several looks at them. A look runs as the user, in a process of its own."""

from __future__ import annotations

import os
import stat
import time
from typing import Any, Iterable

from checkpoints import units
from checkpoints.formats import folders, single_file
from checkpoints.formats.verdict import Verdict
from checkpoints.units import Search, Unit
from common import open_files
from common.listing import Listing

#: Between two looks in which a unit is the same.
QUIET_S = 5.0
#: For a format that runctl does not know, or that has no end of its own.
UNKNOWN_QUIET_S = 30.0
#: What a search of the whole project may take.
_MAX_SEARCH_S = 10.0


def look(
    project: str, listing: Listing | None, folder: str | None, everywhere: bool, expected: dict[str, str | None]
) -> dict[str, Any]:
    """One look: {units: [{name, signature, digest, bytes, modified, open, why, verdict}], warnings, seconds}.

    everywhere: also in the rest of the project. expected: of Tracker.expected; `verdict` is [format, why] of the units
    that are to be judged and are as expected, else null.
    """
    began = time.monotonic()
    search = Search(project, listing, folder)
    found = {unit.name: unit for unit in search.units()}
    if everywhere:
        for unit in search.other_units(_MAX_SEARCH_S):
            found.setdefault(unit.name, unit)
    seconds = time.monotonic() - began
    for name in expected:  # those that only the search of everything finds
        unit = None if name in found else search.again(name)
        if unit is not None:
            found[name] = unit
    in_use = open_files.for_writing() if expected else frozenset()
    described = [_describe(project, unit, in_use, expected.get(unit.name)) for unit in found.values()]
    return {"units": described, "warnings": search.warnings, "seconds": seconds}


def _describe(project: str, unit: Unit, in_use: frozenset[tuple[int, int]], expected: str | None) -> dict[str, Any]:
    is_open = any((file.device, file.inode) in in_use for file in unit.files)
    signature = units.signature(unit)
    verdict = None
    digest = units.digest(signature)
    if expected == digest and not is_open and unit.why is None:
        verdict = list(check_unit(project, unit))
        # What was judged is what was seen before: a change meanwhile has another size, time or file.
        again = [_state_of(project, file.path) for file in unit.files]
        if again != [(file.bytes, file.mtime_ns, file.inode) for file in unit.files]:
            verdict = None
    return {
        "name": unit.name,
        "signature": signature,
        "digest": digest,
        "bytes": unit.bytes,
        "modified": unit.modified_ns,
        "open": is_open,
        "why": unit.why,
        "verdict": verdict,
    }


def check_unit(project: str, unit: Unit) -> Verdict:
    """Whether the format of a unit ends as it should. Never raises for what is in it."""
    try:
        path = os.path.join(project, unit.name)
        if stat.S_ISREG(os.lstat(path).st_mode) and len(unit.files) == 1:
            return single_file.check(path)
    except FileNotFoundError:
        pass  # files that belong together: the unit's name is what their names have in common
    except OSError as error:
        return Verdict("unreadable", error.strerror or str(error))
    try:
        return folders.check(project, [file.path for file in unit.files], unit.tag)
    except OSError as error:
        return Verdict("unreadable", error.strerror or str(error))


def _state_of(project: str, path: str) -> tuple[int, int, int] | None:
    try:
        info = os.lstat(os.path.join(project, path))
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns, info.st_ino


class Tracker:
    """What the looks so far have shown. Times are of time.monotonic().

    done: digests, by name, of what has been sent or must not be.
    """

    def __init__(self, done: dict[str, str] | None = None) -> None:
        self.done: dict[str, str] = dict(done or {})
        self._seen: dict[str, _Seen] = {}

    def expected(self, now: float, quiet: float = QUIET_S) -> dict[str, str | None]:
        """The units, by name, that may soon be complete; with the digest of those that the next look is to judge."""
        return {
            name: seen.digest if seen.verdict is None and now - seen.since >= quiet else None
            for name, seen in self._seen.items()
            if self.done.get(name) != seen.digest and (seen.verdict is None or seen.verdict.why is None)
        }

    def see(self, looked: Iterable[dict[str, Any]], now: float, everywhere: bool = True) -> None:
        """Takes the units of a look. everywhere: it searched the whole project, so that what it lacks is gone."""
        present = set()
        for item in looked:
            name = item["name"]
            present.add(name)
            seen = self._seen.get(name)
            if seen is None or seen.digest != item["digest"]:
                self._seen[name] = seen = _Seen(item["digest"], now)
            seen.item = item
            if item["verdict"] is not None:
                seen.verdict = Verdict(*item["verdict"])
        if everywhere:
            self._seen = {name: seen for name, seen in self._seen.items() if name in present}

    def complete(self, now: float, quiet: float = QUIET_S) -> list[dict[str, Any]]:
        """The units that are complete and not done, the newest first: the look's item with format and marked.

        marked: its format is not known, so nothing but the quiet speaks for it. quiet: seconds; 0 when nothing can
        write it any more.
        """
        found = []
        for name, seen in self._seen.items():
            if seen.verdict is None or self.done.get(name) == seen.digest:
                continue
            if seen.item["open"] or seen.item["why"] is not None or seen.verdict.why is not None:
                continue
            is_known = seen.verdict.format is not None
            if now - seen.since >= (quiet if is_known else UNKNOWN_QUIET_S):
                found.append(dict(seen.item, format=seen.verdict.format or "unknown", marked=not is_known))
        return sorted(found, key=lambda item: (-item["modified"], item["name"]))

    def forget_gone(self) -> None:
        """Forgets what was done of units that are gone."""
        self.done = {name: signature for name, signature in self.done.items() if name in self._seen}

    def damaged(self, now: float, seconds: float) -> dict[str, str]:
        """What is missing in the units that have not changed for so long and are not complete, by name."""
        return {
            name: seen.verdict.why
            for name, seen in self._seen.items()
            if seen.verdict is not None and seen.verdict.why is not None and now - seen.since >= seconds
        }

    def is_pending(self) -> bool:
        """Whether a unit may soon be complete."""
        return any(
            self.done.get(name) != seen.digest and (seen.verdict is None or seen.verdict.why is None)
            for name, seen in self._seen.items()
        )


class _Seen:
    def __init__(self, digest: str, since: float) -> None:
        self.digest, self.since = digest, since
        self.verdict: Verdict | None = None
        self.item: dict[str, Any] = {}
