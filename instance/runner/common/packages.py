"""Installed packages, as their .dist-info and .egg-info say: files are read, nothing is executed."""

import collections
import os
import re

#: A header is never so long; a file that somebody wrote may be.
_MOST_LINE = 65_536
_MOST_LINES = 10_000

#: One installed package: `info` its .dist-info or .egg-info, `root` the folder on sys.path that holds it.
Package = collections.namedtuple("Package", "name version info root")


def normalize(name):
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(folders):
    """Everything that is installed in `folders`, by normalized name; the first folder wins, as it does on sys.path."""
    found = {}
    for root in folders:
        try:
            entries = sorted(os.listdir(root))
        except OSError:
            continue  # sys.path also names zips and folders that are not there
        for entry in entries:
            if not entry.endswith((".dist-info", ".egg-info")) or entry.startswith("~"):
                continue
            package = _package(root, entry)
            if package:
                found.setdefault(normalize(package.name), package)
    return found


def metadata_file(info):
    """The file with the package's name, version and requirements; some .egg-info are that file themselves."""
    for name in ("METADATA", "PKG-INFO"):
        if os.path.isfile(os.path.join(info, name)):
            return os.path.join(info, name)
    return info if os.path.isfile(info) else None


def requirements_of(package):
    """Normalized names that a package requires, without those of its extras, on whatever platform."""
    source = metadata_file(package.info)
    texts = [_value(line, "Requires-Dist") for line in _headers(source)] if source else []
    matches = [re.match(r"[A-Za-z0-9._-]+", text) for text in texts if text and not re.search(r"\bextra\s*==", text)]
    return {normalize(match.group()) for match in matches if match}


def _package(root, entry):
    info = os.path.join(root, entry)
    source = metadata_file(info)
    name, version = None, None
    for line in _headers(source) if source else ():
        name = name or _value(line, "Name")
        version = version or _value(line, "Version")
        if name and version:
            return Package(name, version, info, root)
    return None  # what an uninstall or half an install left; no tool counts it


def _headers(path):
    """The lines before the description."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for _ in range(_MOST_LINES):
                line = file.readline(_MOST_LINE)
                if not line.strip():
                    return
                yield line
    except OSError:
        return


def _value(line, header):
    key, colon, value = line.partition(":")
    return value.strip() if colon and key.strip().lower() == header.lower() else None
