"""Finds what may be a checkpoint in a project's folder. A unit is a file, several files of one name, or a folder.

Runs as the user.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from typing import Any, Iterator, NamedTuple

from checkpoints.formats.folders import SHARD, TAGS
from common import keeper_files
from common.listing import Listing

#: Searched for `checkpoint-*` and `*.ckpt` in every look.
_OUTPUTS = ("outputs", "lightning_logs")
_CHECKPOINT_FOLDER = re.compile(r"^checkpoint-.")
#: Never searched.
_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages"))
_TEMPORARY = re.compile(
    r"(^tmp[-_.])|(^_?temp[-_.])|(\.(tmp|temp|part|partial|incomplete|lock|swp|writing|download)$)|(~$)"
    r"|(\.tmp[-._])|([-_.]tmp$)|(-tmp-)|(\.tempstate)|(_tmp_)|(orbax-checkpoint-tmp)"
)
_MAX_TAG_BYTES = 200
#: Folders of DeepSpeed and Megatron, which always have a marker.
_TAGGED = re.compile(r"^(global_step\d+|iter_\d{7})$")
#: Of one unit, and of one search.
MAX_FILES = 1_000
_MAX_UNITS = 500
_TF_PART = re.compile(r"^(.+)\.(index|data-\d{5}-of-\d{5})$")
_SHARD_INDEX = re.compile(r"^(.+?)(\.[a-z]+)\.index\.json$")


class FileState(NamedTuple):
    #: Of the project.
    path: str
    bytes: int
    mtime_ns: int
    device: int
    inode: int


class Unit(NamedTuple):
    """name: its path in the project. folder: where its files begin; '' is the project."""

    name: str
    files: tuple[FileState, ...]
    #: By DeepSpeed or Megatron: the format whose marker names this folder; None: none does.
    tag: str | None
    #: Why it cannot be complete as it is; None: nothing is known against it.
    why: str | None

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def modified_ns(self) -> int:
        return max((file.mtime_ns for file in self.files), default=0)


class Search:
    """project: its folder. listing: of the start of the training. folder: of the checkpoints, in the project."""

    def __init__(self, project: str, listing: Listing | None, folder: str | None) -> None:
        self._project, self._listing = project, listing
        self._folder = folder or keeper_files.CHECKPOINTS
        self._only = folder is not None
        self.warnings: list[str] = []

    def units(self) -> list[Unit]:
        """The units that the run wrote, in the places that hold few files."""
        found: dict[str, Unit] = {}
        for unit in self._in_folder(self._folder):
            found[unit.name] = unit
        if not self._only:
            for top in _OUTPUTS:
                for unit in self._below(top):
                    found.setdefault(unit.name, unit)
        return self._new(found)

    def other_units(self, seconds: float) -> list[Unit]:
        """Files `*.ckpt` anywhere in the project. seconds: of wall time; then the search ends with what it has."""
        if self._only:
            return []
        until = time.monotonic() + seconds
        found: dict[str, Unit] = {}
        skipped = {self._folder, *_OUTPUTS}
        for unit in self._below("", until, skipped):
            found[unit.name] = unit
        return self._new(found)

    def again(self, name: str) -> Unit | None:
        """The unit of this name as it is now; None: it is gone."""
        path = os.path.join(self._project, name)
        above = os.path.dirname(name)
        for unit in self._in_folder(above) if above == self._folder else ():
            if unit.name == name:
                return unit
        if above == self._folder:
            return None
        try:
            info = os.stat(path)
        except OSError:
            return None
        return self._unit_of_folder(name) if stat.S_ISDIR(info.st_mode) else _unit_of_file(name, info)

    def _new(self, found: dict[str, Unit]) -> list[Unit]:
        units = [unit for unit in found.values() if self._is_new(unit)]
        if len(units) > _MAX_UNITS:
            self.warnings.append(f"only the newest {_MAX_UNITS} of {len(units)} checkpoints are looked at")
        return sorted(units, key=lambda unit: (-unit.modified_ns, unit.name))[:_MAX_UNITS]

    def _is_new(self, unit: Unit) -> bool:
        """Whether the run wrote any of its files."""
        if self._listing is None:
            return True
        for file in unit.files:
            try:
                if self._listing.is_new(file.path, os.lstat(os.path.join(self._project, file.path))):
                    return True
            except OSError:
                continue
        return False

    def _in_folder(self, folder: str) -> Iterator[Unit]:
        """Each entry of the folder of checkpoints is a unit; files that belong together are one."""
        entries = _entries(os.path.join(self._project, folder))
        tags = {name: text for name, text in ((name, self._tag(folder, name)) for name in TAGS) if text is not None}
        groups: dict[str, list[str]] = {}
        for name, info in entries.items():
            if name in tags or is_temporary(name):
                continue
            if stat.S_ISDIR(info.st_mode):
                yield self._marked(os.path.join(folder, name), folder, tags)
            elif stat.S_ISREG(info.st_mode):
                groups.setdefault(_group(name, entries), []).append(name)
        companions = [name for name in ("checkpoint", "config.json") if name in entries]
        for group, names in groups.items():
            if group in companions:
                continue
            if group == names[0] and SHARD.match(group):
                files = (_state(os.path.join(folder, group), entries[group]),)
                yield Unit(os.path.join(folder, group), files, None, "the index of its shards is missing")
            elif len(names) == 1 and group == names[0]:
                yield _unit_of_file(os.path.join(folder, group), entries[group])
            else:
                # TensorFlow's text `checkpoint` names the newest prefix.
                more = [name for name in companions if name not in names]
                files = [_state(os.path.join(folder, name), entries[name]) for name in sorted([*names, *more])]
                yield Unit(os.path.join(folder, group), tuple(files), None, None)

    def _marked(self, name: str, folder: str, tags: dict[str, str]) -> Unit:
        """The unit of a folder, with the file beside it that names it."""
        unit = self._unit_of_folder(name)
        if unit.why is not None:
            return unit
        for tag, target in tags.items():
            if target != os.path.basename(name):
                return unit._replace(why=f"{tag} does not name it")
            path = os.path.join(folder, tag)
            try:
                state = _state(path, os.lstat(os.path.join(self._project, path)))
            except OSError:
                return unit._replace(why=f"{tag} cannot be read")
            kind = "deepspeed" if tag == "latest" else "megatron"
            return unit._replace(files=(*unit.files, state), tag=kind)
        if _TAGGED.match(os.path.basename(name)):
            return unit._replace(why="no marker names it")
        return unit

    def _tag(self, folder: str, name: str) -> str | None:
        """The name that a marker has; None: there is no marker of that name."""
        try:
            with open(os.path.join(self._project, folder, name), "rb") as file:
                data = file.read(_MAX_TAG_BYTES + 1)
        except OSError:
            return None
        if len(data) > _MAX_TAG_BYTES or not all(32 <= byte < 127 or byte in b"\r\n" for byte in data):
            return None  # a checkpoint that is called so
        text = data.decode("ascii").strip()
        return f"iter_{int(text):07d}" if text.isdigit() else text

    def _unit_of_folder(self, name: str) -> Unit:
        files: list[FileState] = []
        folders, why = [name], None
        while folders:
            at = folders.pop()
            for entry, info in _entries(os.path.join(self._project, at)).items():
                path = os.path.join(at, entry)
                if is_temporary(entry, inside=True):
                    why = why or f"{path} has a temporary name"
                elif stat.S_ISDIR(info.st_mode):
                    folders.append(path)
                elif stat.S_ISREG(info.st_mode):
                    files.append(_state(path, info))
            if len(files) > MAX_FILES:
                return Unit(name, (), None, f"it has more than {MAX_FILES} files")
        return Unit(name, tuple(sorted(files)), None, why if files else "it has no files")

    def _below(self, top: str, until: float = float("inf"), skipped: set[str] | None = None) -> Iterator[Unit]:
        """Folders and files `checkpoint-*` (below a folder of outputs), and files `*.ckpt`."""
        folders = [top]
        while folders and time.monotonic() < until:
            at = folders.pop()
            for entry, info in _entries(os.path.join(self._project, at)).items():
                path = os.path.join(at, entry)
                if entry in _SKIPPED or is_temporary(entry) or path in (skipped or ()):
                    continue
                is_folder = stat.S_ISDIR(info.st_mode)
                if is_folder and top and _CHECKPOINT_FOLDER.match(entry):
                    yield self._unit_of_folder(path)
                elif is_folder:
                    folders.append(path)
                elif stat.S_ISREG(info.st_mode) and (
                    entry.endswith(".ckpt") or (top == "outputs" and _CHECKPOINT_FOLDER.match(entry))
                ):
                    yield _unit_of_file(path, info)


def is_temporary(name: str, inside: bool = False) -> bool:
    """Whether a writer has not renamed it yet. inside: of a unit's folder, whose hidden files count."""
    return bool(_TEMPORARY.search(name.lower())) or (name.startswith(".") and not inside)


def signature(unit: Unit) -> list[Any]:
    """Equal for two looks between which nothing of it was changed; as JSON."""
    return [list(file) for file in sorted(unit.files)]


def digest(signature: list[Any]) -> str:
    """Stands for a signature where many are kept."""
    return hashlib.sha256(json.dumps(signature).encode("ascii")).hexdigest()


def series(name: str) -> str:
    """Equal for the checkpoints of one series, of which a training writes one after another."""
    return re.sub(r"\d+([.e+-]+\d+)*", "#", name)


def _group(name: str, entries: dict[str, os.stat_result]) -> str:
    """The name of the unit that a file belongs to: its own, or what the files of one checkpoint have in common."""
    found = _TF_PART.match(name)
    if found and (f"{found.group(1)}.index" in entries or found.group(2) != "index"):
        return found.group(1)
    found = SHARD.match(name) or _SHARD_INDEX.match(name)
    if found and f"{found.group(1)}{found.group(2)}.index.json" in entries:
        return found.group(1) + found.group(2)
    return name


def _entries(path: str) -> dict[str, os.stat_result]:
    """What is in a folder, by name; empty when it cannot be listed. Links are not followed."""
    found: dict[str, os.stat_result] = {}
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    found[entry.name] = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
    except OSError:
        return {}
    return found


def _unit_of_file(name: str, info: os.stat_result) -> Unit:
    return Unit(name, (_state(name, info),), None, None)


def _state(path: str, info: os.stat_result) -> FileState:
    return FileState(path, info.st_size, info.st_mtime_ns, info.st_dev, info.st_ino)
