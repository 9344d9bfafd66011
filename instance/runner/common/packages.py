"""Installed packages, from their .dist-info and .egg-info: files are read, nothing is executed."""

from __future__ import annotations

import os
import re
from typing import Iterable, Iterator, NamedTuple

#: Headers are never so long, but these files may have any content.
_MAX_LINE = 65_536
_MAX_LINES = 10_000


class Package(NamedTuple):
    """An installed package."""

    name: str
    version: str
    #: Path of its .dist-info or .egg-info.
    info: str
    #: The folder on sys.path that it is in.
    root: str


def normalize(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(folders: Iterable[str]) -> dict[str, Package]:
    """Everything that is installed in `folders`, by normalized name; the first folder wins, as it does on sys.path."""
    found: dict[str, Package] = {}
    for root in folders:
        try:
            entries = sorted(os.listdir(root))
        except OSError:
            continue  # sys.path also has zips and missing folders
        for entry in entries:
            if not entry.endswith((".dist-info", ".egg-info")) or entry.startswith("~"):
                continue
            package = _package(root, entry)
            if package:
                found.setdefault(normalize(package.name), package)
    return found


def metadata_file(info: str) -> str | None:
    """The file with the package's name, version and requirements; some .egg-info are that file themselves."""
    for name in ("METADATA", "PKG-INFO"):
        if os.path.isfile(os.path.join(info, name)):
            return os.path.join(info, name)
    return info if os.path.isfile(info) else None


def requirements_of(package: Package) -> set[str]:
    """Normalized names that a package requires on any platform, without those of its extras."""
    source = metadata_file(package.info)
    texts = [_value(line, "Requires-Dist") for line in _headers(source)] if source else []
    matches = [re.match(r"[A-Za-z0-9._-]+", text) for text in texts if text and not re.search(r"\bextra\s*==", text)]
    return {normalize(match.group()) for match in matches if match}


def _package(root: str, entry: str) -> Package | None:
    info = os.path.join(root, entry)
    source = metadata_file(info)
    name, version = None, None
    for line in _headers(source) if source else ():
        name = name or _value(line, "Name")
        version = version or _value(line, "Version")
        if name and version:
            return Package(name, version, info, root)
    return None  # left by an uninstall or an incomplete install; other tools ignore it too


def _headers(path: str) -> Iterator[str]:
    """The lines before the description."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for _ in range(_MAX_LINES):
                line = file.readline(_MAX_LINE)
                if not line.strip():
                    return
                yield line
    except OSError:
        return


def _value(line: str, header: str) -> str | None:
    key, colon, value = line.partition(":")
    return value.strip() if colon and key.strip().lower() == header.lower() else None
