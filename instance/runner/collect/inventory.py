"""Which interpreter the training ran with, and what is installed there: for the manifest.

Nothing is executed.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from typing import Any, Iterable

from common import interpreter, packages
from common.accounts import Account
from common.interpreter import Interpreter

#: Where systems keep packages, below an interpreter's prefix; {} stands for its version (3.11).
_BELOW_PREFIX = (
    "local/lib/python{}/dist-packages",
    "lib/python3/dist-packages",
    "lib/python{}/dist-packages",
    "lib64/python{}/site-packages",
    "lib/python{}/site-packages",
)
_MAX_READ_BYTES = 256 << 20


def describe(python: str | None, account: Account, project: str | None = None) -> dict[str, Any]:
    """{python: {path, version}, packages: {name: version}}. Called as the user. Raises PythonNotFound.

    python: the spec's. project: of a run in the project's own environment.
    """
    chosen = interpreter.choose(python, account.home, account.name, project)
    minor = _minor(chosen)
    found = packages.installed(_folders(chosen, account.home, minor))
    return {
        "python": {"path": chosen.path, "version": _version(chosen, minor)},
        "packages": {package.name: package.version for _, package in sorted(found.items())},
    }


def _minor(chosen: Interpreter) -> str | None:
    """`3.11` of the interpreter, or None."""
    site = interpreter.site_packages(chosen.prefix) if chosen.kind != "system" else None
    names = [os.path.basename(os.path.dirname(site))] if site else []
    names.append(os.path.basename(os.path.realpath(chosen.path)))
    matches = [re.fullmatch(r"python(3\.\d+)", name) for name in names]
    site = site or interpreter.site_packages(chosen.prefix)
    matches.append(re.search(r"python(3\.\d+)/site-packages$", site) if site else None)
    return next((match.group(1) for match in matches if match), None)


def _folders(chosen: Interpreter, home: str, minor: str | None) -> list[str]:
    """Where its packages are, in the order in which an import searches them."""
    user = [os.path.join(home, ".local", "lib", f"python{minor}", "site-packages")]
    if chosen.kind == "system":
        prefixes = [chosen.prefix] if chosen.prefix != "/usr" else ["/usr/local", "/usr"]
        return user + _below(prefixes, minor)
    own = [chosen.env["PYTHONPATH"]] if chosen.kind == "overlay" else []
    own += [os.path.join(chosen.prefix, lib, f"python{minor}", "site-packages") for lib in ("lib", "lib64")]
    if chosen.kind == "project":
        with open(os.path.join(chosen.prefix, interpreter.MADE_FOR), encoding="utf-8") as file:
            return own + json.load(file)["folders"]
    if os.path.isfile(os.path.join(chosen.prefix, "pyvenv.cfg")):
        settings = _settings(chosen.prefix)
        if settings.get("include-system-site-packages", "").lower() != "true":
            return own
        base = os.path.dirname(settings.get("home", "/usr/bin"))
        return own + user + _below([base] if base != "/usr" else ["/usr/local", "/usr"], minor)
    return user + own  # conda


def _below(prefixes: Iterable[str], minor: str | None) -> list[str]:
    return [os.path.join(prefix, folder.format(minor)) for prefix in prefixes for folder in _BELOW_PREFIX]


def _settings(prefix: str) -> dict[str, str]:
    """The content of pyvenv.cfg."""
    try:
        with open(os.path.join(prefix, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
            pairs = [line.split("=", 1) for line in file.read(65_536).splitlines() if "=" in line]
    except OSError:
        return {}
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _version(chosen: Interpreter, minor: str | None) -> str:
    """The interpreter's version, as far as files show it: `3.11.7`, or `3.11`, or an empty text."""
    if os.path.realpath(chosen.path) == os.path.realpath(sys.executable):
        return platform.python_version()
    settings = _settings(chosen.prefix)
    for text in (settings.get("version_info"), settings.get("version")):
        match = re.match(r"3\.\d+\.\d+\w*", text or "")
        if match:
            return match.group()
    return _built_in(chosen, minor) or minor or ""


def _built_in(chosen: Interpreter, minor: str | None) -> str | None:
    """The version that the interpreter's file, or its library, was built with; None when not found there."""
    if minor is None:
        return None
    pattern = re.compile(rb"(?<![\w.])(%s\.\d+(?:(?:a|b|rc)\d+)?)\+?\0" % re.escape(minor).encode("ascii"))
    real = os.path.realpath(chosen.path)
    libraries = [
        os.path.join(folder, name)
        for folder in (os.path.join(os.path.dirname(os.path.dirname(real)), lib) for lib in ("lib", "lib64"))
        if os.path.isdir(folder)
        for name in sorted(os.listdir(folder))
        if name.startswith(f"libpython{minor}") and ".so" in name
    ]
    for path in [real, *libraries]:
        try:
            with open(path, "rb") as file:
                match = pattern.search(file.read(_MAX_READ_BYTES))
        except OSError:
            continue
        if match:
            return match.group(1).decode("ascii")
    return None
