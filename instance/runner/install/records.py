"""Records installs that succeeded, so that unchanged requirements are not installed again.

`<home>/.runctl/installs/<key>.json` is written only after an install succeeded. `unfinished-…` exists there while one
runs: a later install finds by it what a killed one left incomplete.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from common import marker
from common.packages import requirements_of
from install.redact import without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from common.packages import Package
    from install.requirements import Requirements
    from install.target import Target

_KEPT = 50
#: Installed for the install, not as a part of it.
_TOOLS = {"uv", "pip"}
#: Deeper files are too many to check on a cold disk: torch and its dependencies have 20,000.
_DEPTH = 2
#: Settings that change how packages are installed, not which.
_IRRELEVANT = (
    "CACHE_DIR",
    "TIMEOUT",
    "RETRIES",
    "PROGRESS",
    "CONCURRENT",
    "LINK_MODE",
    "CERT",
    "NO_INPUT",
    "VERSION_CHECK",
)


def key_of(requirements: Requirements, target: Target, installer: str, spec_env: dict[str, str], home: str) -> str:
    """A SHA-256 of what an install depends on: requirements, interpreter, platform, and the sources of packages.

    installer: the run spec's. spec_env: the run spec's `env`, with the references of its secrets. home: of the user;
    an instance that is started from an image may have it elsewhere.
    """
    interpreter, facts = target.interpreter, target.facts
    paths = [interpreter.path, os.path.realpath(interpreter.path), *target.own]
    parts = {
        "requirements": requirements.digest(),
        "interpreter": [interpreter.kind, *(_below(home, path) for path in paths)],
        "python": [facts[name] for name in ("implementation", "version", "platform", "libc")],
        "installer": installer,
        "env": relevant_settings(spec_env),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _below(home: str, path: str) -> str:
    return "~" + path[len(home) :] if path.startswith(home + "/") else path


def relevant_settings(env: dict[str, str]) -> dict[str, str]:
    """The variables of pip and uv that decide which packages are installed, without credentials."""
    return {
        name: without_credentials(value)
        for name, value in env.items()
        if name.startswith(("PIP_", "UV_")) and not any(word in name for word in (*_IRRELEVANT, "PASSWORD", "USERNAME"))
    }


class Records:
    """The records in `folder`, which belongs to the user."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find(self, key: str) -> dict[str, Any] | None:
        """The record of an install, or None. Without packages it could not show a change, and is not used."""
        try:
            with open(os.path.join(self._folder, f"{key}.json"), encoding="utf-8") as file:
                record = json.load(file)
            return record if isinstance(record.get("packages"), dict) and record["packages"] else None
        except (OSError, ValueError):
            return None

    def keep(self, key: str, record: dict[str, Any], project: str, target: Target) -> None:
        """Writes a project's record by rename, and removes the oldest beyond the limit."""
        os.makedirs(self._folder, exist_ok=True)
        earlier = self.find(key) or {}
        projects = sorted({project, *earlier.get("projects", [])})
        marker.write(os.path.join(self._folder, f"{key}.json"), dict(record, projects=projects, folder=target.own[0]))
        records = [entry for entry in os.scandir(self._folder) if entry.name.endswith(".json")]
        for entry in sorted(records, key=lambda entry: entry.stat().st_mtime)[:-_KEPT]:
            os.unlink(entry.path)

    def conflicts(
        self, project: str, target: Target, before: dict[str, Package], after: dict[str, Package]
    ) -> list[str]:
        """A warning for each other project whose last record has another version of a package that was changed."""
        changed = {name for name, package in after.items() if before.get(name) != package}
        warnings = []
        for other, record in sorted(self._last_records(target).items()):
            if other == project or project in record["projects"]:
                continue
            differing = [
                f"{name} {after[name].version}, where the project {other} has installed {version}"
                for name, (version, _) in sorted(record["packages"].items())
                if name in changed and after[name].version != version
            ]
            if differing:
                warnings.append(
                    f"The project {project} installed {'; '.join(differing[:5])}. Both use {target.own[0]}. "
                    "To keep their packages apart, set environment: project in both."
                )
        return warnings

    def _last_records(self, target: Target) -> dict[str, dict[str, Any]]:
        """The newest record of each project in the target's folder."""
        try:
            entries = [entry for entry in os.scandir(self._folder) if entry.name.endswith(".json")]
        except OSError:
            return {}  # no record yet
        last = {}
        for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime_ns):
            record = self.find(entry.name[: -len(".json")])
            if record and record.get("folder") == target.own[0]:
                last.update({project: record for project in record.get("projects", [])})
        return last

    def begin(self, target: Target) -> float | None:
        """Marks that packages are being changed. Returns the start (epoch) of an install that never ended, or None."""
        os.makedirs(self._folder, exist_ok=True)
        path = self._marker(target)
        killed = os.stat(path).st_mtime if os.path.exists(path) else None
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        os.fsync(descriptor)
        os.close(descriptor)
        return killed

    def end(self, target: Target) -> None:
        """Removes the mark."""
        os.unlink(self._marker(target))

    def _marker(self, target: Target) -> str:
        return os.path.join(self._folder, "unfinished-" + hashlib.sha256(target.own[0].encode()).hexdigest()[:16])


def needed(requirements: Requirements, before: dict[str, Package], after: dict[str, Package]) -> dict[str, Package]:
    """The packages of an install: those that are named, those that it changed, and all that they require."""
    names = {name for name, package in after.items() if before.get(name) != package} - _TOOLS
    names.update(name for name in after if os.path.exists(os.path.join(after[name].info, "direct_url.json")))
    queue = list(names | requirements.names)
    packages = {}
    while queue:
        name = queue.pop()
        if name in after and name not in packages:
            packages[name] = after[name]
            queue.extend(requirements_of(after[name]))
    return packages


def describe(packages: dict[str, Package], target: Target) -> dict[str, list[Any]]:
    """The packages of a record: [version, whether the package was complete]."""
    return {name: [package.version, damage_of(package, target, _DEPTH) is None] for name, package in packages.items()}


def compare(record: dict[str, Any], target: Target) -> tuple[str | None, list[Package]]:
    """(how the installed packages differ from the record, those that are damaged); (None, []) without a difference."""
    visible = target.visible()
    reasons, damaged = [], []
    for name, (version, complete) in record["packages"].items():
        package = visible.get(name)
        if package is None:
            reasons.append(f"{name} is no longer installed")
        elif package.version != version:
            reasons.append(f"{name} is {package.version} now, not {version}")
        elif complete and damage_of(package, target, _DEPTH):
            reasons.append(f"{name} is damaged ({damage_of(package, target, _DEPTH)})")
            damaged.append(package)
    return ("; ".join(reasons[:3]) or None), damaged


def half_installed(target: Target, since: float) -> list[Package]:
    """The incomplete packages of an install that began at `since` (epoch) and was killed."""
    recent = [package for package in target.visible().values() if os.stat(package.info).st_mtime >= since - 1]
    return [package for package in recent if damage_of(package, target)]


def remove_metadata(packages: Iterable[Package], log: Callable[[str], None]) -> None:
    """Removes the metadata of packages: without it a package counts as not installed, and is installed again."""
    for package in packages:
        log(f"{package.name} {package.version} is incomplete: installing it again")
        shutil.rmtree(package.info)


def damage_of(package: Package, target: Target, depth: int | None = None) -> str | None:
    """A file of the package's RECORD that is missing or too short (one line), or None. depth: folders, None for all.

    Only packages that uv or pip installed: those of a system or an image may differ from their RECORD.
    """
    if not target.is_own(package) or not package.info.endswith(".dist-info"):
        return None
    if _content(package.info, "INSTALLER").strip() not in ("uv", "pip", ""):
        return None
    record = _content(package.info, "RECORD")
    if not record:
        return "its RECORD is missing"
    for row in csv.reader(record.splitlines()):
        if not row or row[0].endswith(".pyc") or (depth is not None and row[0].count("/") >= depth):
            continue
        try:
            size = os.stat(os.path.join(package.root, row[0])).st_size
        except OSError:
            return f"{row[0]} is missing"
        # A longer file was changed (a company adds its authority to certifi's list); a shorter one was cut off.
        if len(row) > 2 and row[2].isdigit() and size < int(row[2]):
            return f"{row[0]} has {size} bytes, not {row[2]}"
    return None


def _content(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:
        return ""
