"""Local projects in requirements (`-e .`, `./package`): their files, and the name of their package."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from typing import TYPE_CHECKING

from common.packages import normalize
from install import toml
from install.errors import InstallError
from install.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.packages import Package

_SKIPPED_FOLDERS = (".git", ".hg", "__pycache__", "build", "dist", ".venv", "node_modules", ".runctl")
#: Of a larger file its size and time count instead of its content: a project folder may contain a data set.
_LARGE_BYTES = 1_000_000


def digests(folder: str, project: str, home: str) -> list[str]:
    """A line for each file of a local project."""
    return [_digest_line(os.path.join(folder, name), name) for name in _files(folder, project, home)]


def file_digest(path: str) -> str:
    """A line with the SHA-256 of a file. Raises InstallError RequirementsMissing."""
    try:
        return f"{path} {_sha256(path)}"
    except OSError as error:
        raise InstallError("RequirementsMissing", f"{path} cannot be read: {error.strerror}") from error


def name_of(folder: str) -> list[str]:
    """The normalized name of a project's package, as a list that is empty when pyproject.toml does not have it."""
    try:
        name = toml.loads(read_text(os.path.join(folder, "pyproject.toml"))).get("project", {}).get("name")
    except (OSError, toml.TomlError):
        return []  # a project of setup.py
    return [normalize(name)] if isinstance(name, str) else []


def installed_from(folders: Iterable[str], packages: Iterable[Package]) -> list[str]:
    """The normalized names of the packages that were installed from one of these folders."""
    real = {os.path.realpath(folder) for folder in folders}
    return sorted(normalize(package.name) for package in packages if _origin(package) in real)


def path_of(target: str) -> str:
    """The path of a local requirement."""
    if target.startswith("file://"):
        return urllib.parse.unquote(urllib.parse.urlsplit(target).path)
    return os.path.expanduser(target.strip().strip("\"'"))


def _origin(package: Package) -> str | None:
    """The folder that a package was installed from (PEP 610), or None."""
    try:
        with open(os.path.join(package.info, "direct_url.json"), encoding="utf-8") as file:
            url = json.load(file).get("url", "")
    except (OSError, ValueError):
        return None
    return os.path.realpath(path_of(url)) if url.startswith("file://") else None


def _files(folder: str, project: str, home: str) -> Iterator[str]:
    """The files of a local project, relative to it, sorted.

    In the run's project: the files of the code, from the sync's list. Outputs and data change with every run.
    """
    inside = os.path.relpath(os.path.realpath(folder), os.path.realpath(project))
    if inside == "." or not inside.startswith(".."):
        synced = _synced_files(project, home)
        prefix = "" if inside == "." else inside + "/"
        names = sorted(name[len(prefix) :] for name in synced if name.startswith(prefix))
        if names:
            yield from names
            return
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS and not name.endswith(".egg-info"))
        for name in sorted(names):
            if not name.endswith(".pyc"):
                yield os.path.relpath(os.path.join(parent, name), folder)


def _synced_files(project: str, home: str) -> list[str]:
    """The files of the last sync, from its manifest.json; empty when there is none."""
    own = os.path.join(".runctl", os.path.basename(project), "sync", "manifest.json")
    for base in (project, home):  # in the project where that is another filesystem (sync/workspace.py)
        try:
            with open(os.path.join(base, own), encoding="utf-8") as file:
                return list(json.load(file)["files"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return []


def _digest_line(path: str, name: str) -> str:
    try:
        info = os.stat(path)
        if info.st_size > _LARGE_BYTES:
            return f"{name} {info.st_size} {info.st_mtime_ns}"
        return f"{name} {_sha256(path)}"
    except OSError:
        return f"{name} unreadable"  # a dangling link or a socket


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as source:
        for block in iter(lambda: source.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
