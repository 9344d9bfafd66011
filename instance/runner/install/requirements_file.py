"""Reads a requirements file with the files that it includes: the packages it names, and a digest of its content.

Not a complete parser: uv and pip judge the lines. It finds names, local files, and whether any package is required.
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.parse
from typing import TYPE_CHECKING

from common.packages import normalize
from install.errors import InstallError
from install.redact import without_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(\S.*)$")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(\S.*)$")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(?:(@)\s*(.+)|[<>=!~;(].*|$)")
_ARCHIVE = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_SKIPPED_FOLDERS = (".git", ".hg", "__pycache__", "build", "dist", ".venv", "node_modules", ".runctl")
#: Of a larger file its size and time count instead of its content: a project folder may contain a data set.
_LARGE_BYTES = 1_000_000


class Requirements:
    """lines         logical lines with variables replaced (may contain credentials: never print them)
    names         normalized names of required packages
    has_packages  whether any package is required
    remote        included files at a URL, whose changes only a download would show
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: set[str] = set()
        self.has_packages = False
        self.remote: list[str] = []
        self._visited: set[tuple[str, bool]] = set()
        self._content: list[str] = []

    def digest(self) -> str:
        """SHA-256 of everything that was read, without credentials: a renewed token is not a change."""
        digest = hashlib.sha256()
        for line in [without_credentials(line) for line in self.lines] + self._content:
            digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()


def read(file: str, project: str, env: Mapping[str, str]) -> Requirements:
    """Reads `file` (absolute); local paths in it are relative to `project`, as they are for pip.

    Raises InstallError RequirementsMissing for the file and for any that it includes.
    """
    requirements = Requirements()
    if file.endswith(".toml"):
        requirements.has_packages = True
        requirements.lines.append(file)
        requirements._content.append(_file_digest(file, None))
        return requirements
    _read_file(requirements, file, project, env, None, constraint=False)
    return requirements


def _read_file(
    requirements: Requirements,
    file: str,
    project: str,
    env: Mapping[str, str],
    included_by: str | None,
    constraint: bool,
) -> None:
    if (file, constraint) in requirements._visited:
        return
    requirements._visited.add((file, constraint))
    try:
        with open(file, encoding="utf-8-sig", errors="surrogateescape") as source:
            text = source.read()
    except OSError as error:
        by = f", which {included_by} includes," if included_by else ""
        message = f"the requirements file {file}{by} cannot be read: {error.strerror}"
        raise InstallError("RequirementsMissing", message) from error
    for line in _logical_lines(text):
        line = _VARIABLE.sub(lambda match: env.get(match.group(1), match.group()), line)
        requirements.lines.append(line)
        include = _INCLUDE.match(line)
        editable = _EDITABLE.match(line)
        if include:
            target = _unquote(include.group(1))
            if "://" in target and not target.startswith("file://"):
                requirements.remote.append(without_credentials(target))
                requirements.has_packages = requirements.has_packages or not line.startswith(("-c", "--constraint"))
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(file), _path(target)))
            inner = constraint or line.startswith(("-c", "--constraint"))
            _read_file(requirements, target, project, env, file, inner)
        elif editable:
            requirements.has_packages = True
            _add_local(requirements, editable.group(1), file, project, editable=True)
        elif not line.startswith("-") and not constraint:
            requirements.has_packages = True
            _add_requirement(requirements, line, file, project)


def _add_requirement(requirements: Requirements, line: str, file: str, project: str) -> None:
    named = _NAMED.match(line)
    if named and not named.group(1).lower().endswith(_ARCHIVE):
        requirements.names.add(normalize(named.group(1)))
        if named.group(3):
            _add_local(requirements, named.group(4), file, project, editable=False)
    else:
        _add_local(requirements, line, file, project, editable=False)


def _add_local(requirements: Requirements, target: str, file: str, project: str, editable: bool) -> None:
    """Adds the content of a local path; of a URL the text is all that counts."""
    target = re.split(r"\s+;|\s+--", target)[0].strip()
    if "://" in target and not target.startswith("file://"):
        return
    path = re.sub(r"\[[^\]]*\]$", "", _path(target))
    for base in (project, os.path.dirname(file)):
        local = os.path.normpath(os.path.join(base, path))
        if os.path.isfile(local):
            requirements._content.append(_file_digest(local, None))
        elif os.path.isdir(local):
            requirements._content.extend(_folder_digests(local, editable))
        else:
            continue
        return


def _folder_digests(folder: str, editable: bool) -> list[str]:
    """Every file of a package that is copied; of an editable one the files that list its dependencies."""
    if editable:
        listing = re.compile(r"(pyproject\.toml|setup\.py|setup\.cfg|.*requirements.*\.txt)$")
        names = sorted(name for name in os.listdir(folder) if listing.match(name))
        return [_file_digest(os.path.join(folder, name), name) for name in names]
    digests = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS and not name.endswith(".egg-info"))
        for name in sorted(names):
            if not name.endswith(".pyc"):
                path = os.path.join(parent, name)
                digests.append(_file_digest(path, os.path.relpath(path, folder)))
    return digests


def _file_digest(path: str, label: str | None) -> str:
    digest = hashlib.sha256()
    try:
        info = os.stat(path)
        if label and info.st_size > _LARGE_BYTES:
            digest.update(f"{info.st_size} {info.st_mtime_ns}".encode())
        else:
            with open(path, "rb") as source:
                for block in iter(lambda: source.read(1 << 20), b""):
                    digest.update(block)
    except OSError as error:
        if not label:
            raise InstallError("RequirementsMissing", f"{path} cannot be read: {error.strerror}") from error
        digest.update(b"unreadable")  # a dangling link or a socket inside a package folder
    return f"{label or path} {digest.hexdigest()}"


def _logical_lines(text: str) -> list[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def _path(target: str) -> str:
    if target.startswith("file://"):
        return urllib.parse.unquote(urllib.parse.urlsplit(target).path)
    return os.path.expanduser(_unquote(target))


def _unquote(text: str) -> str:
    return text.strip().strip("\"'")
