"""What an install requires, from any kind of file: the names of packages, and a digest of everything it depends on."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from common.packages import normalize
from install import local_project
from install.redact import without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(?:(@)\s*(.+)|[<>=!~;(].*|$)")
_ARCHIVE = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class Requirements:
    """home, project  absolute folders; local paths are relative to the project, as they are for pip
    lines          logical lines with variables replaced (may contain credentials: never print them)
    names          normalized names of required packages
    has_packages   whether any package is required
    remote         included files at a URL, whose changes only a download would show
    local_folders  folders of local projects that are installed
    """

    def __init__(self, home: str, project: str) -> None:
        self.home = home
        self.project = project
        self.lines: list[str] = []
        self.names: set[str] = set()
        self.has_packages = False
        self.remote: list[str] = []
        self.local_folders: list[str] = []
        self._content: list[str] = []

    def digest(self) -> str:
        """SHA-256 of everything that was read, without credentials: a renewed token is not a change."""
        digest = hashlib.sha256()
        for line in [without_credentials(line) for line in self.lines] + self._content:
            digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()

    def add_content(self, items: Iterable[str]) -> None:
        """Adds lines to the digest."""
        self._content.extend(items)

    def add(self, text: str, folder: str) -> None:
        """Adds a requirement (PEP 508, a path or a URL). folder: of the file that has it."""
        self.has_packages = True
        named = _NAMED.match(text)
        if not named or named.group(1).lower().endswith(_ARCHIVE):
            self.add_local(text, folder)
            return
        self.names.add(normalize(named.group(1)))
        if named.group(3):
            self.add_local(named.group(4), folder)

    def add_local(self, target: str, folder: str) -> None:
        """Adds the content of a local path; of a URL the text is all that counts."""
        self.has_packages = True
        target = re.split(r"\s+;|\s+--", target)[0].strip()
        if "://" in target and not target.startswith("file://"):
            return
        path = re.sub(r"\[[^\]]*\]$", "", local_project.path_of(target))
        for base in (self.project, folder):
            local = os.path.normpath(os.path.join(base, path))
            if os.path.isfile(local):
                self.add_content([local_project.file_digest(local)])
                return
            if os.path.isdir(local):
                self.add_project(local)
                return

    def add_project(self, folder: str) -> None:
        """Adds a local project: any of its files may decide what is installed."""
        if folder not in self.local_folders:
            self.local_folders.append(folder)
            self.names.update(local_project.name_of(folder))
            self.add_content(local_project.digests(folder, self.project, self.home))
