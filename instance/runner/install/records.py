"""Remembers installs that ended well, so that unchanged requirements are not installed again.

`<home>/.runctl/installs/<key>.json` is written when an install has ended well, and only then. `unfinished-…` stands
there while one is at work: what a killed one left half done is found by it.
"""

import csv
import hashlib
import json
import os
import shutil

from common import marker
from common.packages import requirements_of
from install.redact import without_credentials

_KEPT = 50
#: Brought for the install, not by it.
_TOOLS = {"uv", "pip"}
#: Deeper files are too many to look at on a cold disk: torch and what comes with it have 20,000.
_DEPTH = 2
#: They change how, not what.
_NO_MATTER = (
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


def key_of(requirements, target, spec_env):
    """What an install depends on, as one SHA-256: requirements, interpreter, platform, and where packages come from.

    spec_env: of the run spec; of a secret the reference.
    """
    interpreter, facts = target.interpreter, target.facts
    relevant = {
        name: without_credentials(value)
        for name, value in spec_env.items()
        if name.startswith(("PIP_", "UV_")) and not any(word in name for word in (*_NO_MATTER, "PASSWORD", "USERNAME"))
    }
    parts = {
        "requirements": requirements.digest(),
        "interpreter": [interpreter.path, os.path.realpath(interpreter.path), interpreter.kind, target.own],
        "python": [facts[name] for name in ("implementation", "version", "platform", "libc")],
        "env": relevant,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Records:
    """The records in `folder`, which belongs to the user."""

    def __init__(self, folder):
        self._folder = folder

    def find(self, key):
        """The record of an install, or None."""
        try:
            with open(os.path.join(self._folder, f"{key}.json"), encoding="utf-8") as file:
                record = json.load(file)
            return record if isinstance(record.get("packages"), dict) else None
        except (OSError, ValueError):
            return None

    def keep(self, key, record):
        """Writes a record by rename, and drops the oldest of too many."""
        marker.write(os.path.join(self._folder, f"{key}.json"), record)
        records = [entry for entry in os.scandir(self._folder) if entry.name.endswith(".json")]
        for entry in sorted(records, key=lambda entry: entry.stat().st_mtime)[:-_KEPT]:
            os.unlink(entry.path)

    def begin(self, target):
        """Marks that packages are being changed. Returns when an install began that never ended (epoch), or None."""
        os.makedirs(self._folder, exist_ok=True)
        path = self._marker(target)
        killed = os.stat(path).st_mtime if os.path.exists(path) else None
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        os.fsync(descriptor)
        os.close(descriptor)
        return killed

    def end(self, target):
        """Nothing is half done any more."""
        os.unlink(self._marker(target))

    def _marker(self, target):
        return os.path.join(self._folder, "unfinished-" + hashlib.sha256(target.own[0].encode()).hexdigest()[:16])


def needed(requirements, before, after):
    """The packages that an install is about: those asked for, those that it changed, and all that they require."""
    names = {name for name, package in after.items() if before.get(name) != package} - _TOOLS
    names.update(name for name in after if os.path.exists(os.path.join(after[name].info, "direct_url.json")))
    queue = list(names | requirements.names)
    found = {}
    while queue:
        name = queue.pop()
        if name in after and name not in found:
            found[name] = after[name]
            queue.extend(requirements_of(after[name]))
    return found


def describe(packages, target):
    """As they stand in a record: [version, whether a later damage would be news]."""
    return {name: [package.version, damage_of(package, target, _DEPTH) is None] for name, package in packages.items()}


def doubts(record, target):
    """(why what was recorded does not hold any more, the packages that are damaged); (None, []) when it holds."""
    visible = target.visible()
    reasons, damaged = [], []
    for name, (version, whole) in record["packages"].items():
        package = visible.get(name)
        if package is None:
            reasons.append(f"{name} is no longer installed")
        elif package.version != version:
            reasons.append(f"{name} is {package.version} now, not {version}")
        elif whole and damage_of(package, target, _DEPTH):
            reasons.append(f"{name} is damaged ({damage_of(package, target, _DEPTH)})")
            damaged.append(package)
    return ("; ".join(reasons[:3]) or None), damaged


def half_installed(target, since):
    """The packages that an install left behind which began at `since` (epoch) and was killed."""
    recent = [package for package in target.visible().values() if os.stat(package.info).st_mtime >= since - 1]
    return [package for package in recent if damage_of(package, target)]


def take_away(packages, say):
    """Without its metadata a package counts as not installed, and comes anew."""
    for package in packages:
        say(f"{package.name} {package.version} is incomplete: installing it again")
        shutil.rmtree(package.info)


def damage_of(package, target, depth=None):
    """What a package lacks of the files that its RECORD names (one line), or None. depth: folders deep, None for all.

    Only of what uv or pip put there: what a system or an image brings need not be as it was packed.
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
        # Longer is somebody's change (a company adds its authority to certifi's list); shorter was cut off.
        if len(row) > 2 and row[2].isdigit() and size < int(row[2]):
            return f"{row[0]} has {size} bytes, not {row[2]}"
    return None


def _content(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError:
        return ""
