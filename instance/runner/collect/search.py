"""Finds the files of a project that a run leaves: those that match `outputs`, and the others by their folders."""

from __future__ import annotations

import os
import stat
import time
from typing import Any, Callable, Iterator, NamedTuple

from collect import globs
from common.listing import Listing

#: Of wall time. A search ends by itself, with what it has.
_MAX_SEARCH_S, _MAX_OTHERS_S = 60, 20
#: A run does not have to write what these match: the default of a spec (core/spec/spec.ts), and what `pull` of a run
#: that goes on adds.
_DEFAULT_GLOBS = frozenset(("outputs/**", "checkpoints/**"))
#: Caches, and what is runctl's own: nobody misses them.
CACHES = frozenset(
    ("__pycache__", ".git", ".runctl", ".runctl-restore", ".cache", ".ipynb_checkpoints", ".pytest_cache")
)
_MAX_FOLDERS = 50


class File(NamedTuple):
    #: The path in the project.
    name: str
    info: os.stat_result


class Search:
    """Runs as the user. No link is followed."""

    def __init__(
        self, project: str, patterns: list[str], listing: Listing | None, old_too: bool, warn: Callable[[str], None]
    ) -> None:
        """listing: of the start of the training; None: it never began. old_too: also what the run did not change."""
        self._project = project
        self._listing = listing
        self._old_too = old_too
        self._warn = warn
        #: Compiled patterns by the glob that they come from.
        self._patterns: dict[str, list[globs.Pattern]] = {}
        self._begins: set[str] = set()
        for glob in patterns:
            self._add_pattern(glob)

    def _add_pattern(self, glob: str) -> None:
        if ".." in glob.split("/"):
            self._warn(f"the pattern {glob} of outputs points outside the project")
            return
        try:
            alternatives = globs.expand(glob)
            self._patterns[glob] = [globs.Pattern(alternative) for alternative in alternatives]
        except ValueError:
            self._warn(f"the pattern {glob} of outputs is not understood")
            return
        self._begins.update(globs.literal_part(alternative) for alternative in alternatives)

    def outputs(self) -> list[File]:
        """What matches the patterns, the newest first. Warns of a pattern that nothing matches."""
        if self._listing is None and not self._old_too:
            return []
        found: dict[str, File] = {}
        unmatched = set(self._patterns) - _DEFAULT_GLOBS
        until = time.monotonic() + _MAX_SEARCH_S
        begins = [begin for begin in sorted(self._begins) if not self._is_behind_link(begin)]
        for file in self._walk(begins, until, self._warn):
            if not self._is_meant(file) or not self._matches(file.name):
                continue
            found[file.name] = file
            unmatched -= {glob for glob in unmatched if _matches(self._patterns[glob], file.name)}
        if time.monotonic() > until:
            self._warn(f"the search timed out after {_MAX_SEARCH_S} s: files not found by then were left out")
        elif self._listing is not None:
            for glob in sorted(unmatched):
                what = "file" if self._old_too else "file that the run created or changed"
                self._warn(f"no {what} matches the pattern {glob} of outputs")
        return sorted(found.values(), key=lambda file: (-file.info.st_mtime_ns, file.name))

    def others(self) -> list[dict[str, Any]]:
        """[{folder, files, bytes}] of what the run created or changed and no pattern matches, the largest first.

        folder: at the top of the project; an empty text: the project folder itself.
        """
        if self._listing is None:
            return []
        folders: dict[str, dict[str, Any]] = {}
        for file in self._walk([""], time.monotonic() + _MAX_OTHERS_S, lambda _text: None, CACHES):
            is_new = stat.S_ISREG(file.info.st_mode) and self._listing.is_new(file.name, file.info)
            if not is_new or self._matches(file.name):
                continue
            top = file.name.split("/")[0] if "/" in file.name else ""
            sums = folders.setdefault(top, {"folder": _printable(top), "files": 0, "bytes": 0})
            sums["files"] += 1
            sums["bytes"] += file.info.st_size
        return sorted(folders.values(), key=lambda sums: -sums["bytes"])[:_MAX_FOLDERS]

    def _is_meant(self, file: File) -> bool:
        return self._old_too or (self._listing is not None and self._listing.is_new(file.name, file.info))

    def _matches(self, name: str) -> bool:
        return any(_matches(patterns, name) for patterns in self._patterns.values())

    def _walk(
        self, begins: list[str], until: float, warn: Callable[[str], None], skipped: frozenset[str] = frozenset()
    ) -> Iterator[File]:
        folders = list(begins)
        while folders and time.monotonic() <= until:
            name = folders.pop()
            path = os.path.join(self._project, name)
            try:
                info = os.lstat(path)
                if not stat.S_ISDIR(info.st_mode):
                    yield File(name, info)
                elif os.path.basename(name) not in skipped:
                    folders += [os.path.join(name, entry) for entry in os.listdir(path)]
            except (FileNotFoundError, NotADirectoryError):
                continue  # Nothing of that name: nothing to collect is not an error.
            except OSError as error:
                warn(f"{name}: {error.strerror}")

    def _is_behind_link(self, name: str) -> bool:
        """Whether a search cannot begin there without following a link. A link that itself matches may be packed."""
        parts = name.split("/")
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            is_match = count == len(parts) and self._matches(above)
            if os.path.islink(os.path.join(self._project, above)) and not is_match:
                self._warn(f"{above} is a link: its target was left out")
                return True
        return False


def _matches(patterns: list[globs.Pattern], name: str) -> bool:
    return any(pattern.matches(name) for pattern in patterns)


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
