"""The list of a checkpoint's files, as the functions wrote it. Nothing in it is trusted."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from typing import Any, NamedTuple

from common import tree
from restore import ranges
from restore.errors import RestoreError

#: A checkpoint of 1,000 files has 1.5 MB, and one of 1 TB in parts 6 MB.
_MAX_BYTES = 64 << 20
_MAX_FILES, _MAX_PARTS = 20_000, 100_000
_MAX_PATH, _MAX_NAME = 4_000, 255
_MD5 = re.compile(r"[0-9a-f]{32}")
#: Where files are until all are there: no checkpoint has such a name.
STAGING = ".runctl-restore"


class Part(NamedTuple):
    url: str
    #: Of the file.
    offset: int
    bytes: int
    md5: str


class File(NamedTuple):
    #: In the project.
    path: str
    bytes: int
    parts: tuple[Part, ...]


class Checkpoint(NamedTuple):
    name: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def fetch(request: dict[str, Any]) -> Checkpoint:
    """The checkpoint of a request, `{list: {url, sha256, bytes}, name}`. Raises RestoreError."""
    expected = request["list"]
    if not 0 < expected["bytes"] <= _MAX_BYTES:
        raise RestoreError(f"the list of the checkpoint's files has {expected['bytes']} bytes")
    data = bytearray()
    try:
        ranges.read(
            expected["url"],
            0,
            expected["bytes"],
            expected["bytes"],
            lambda piece, _at: data.extend(piece),
            threading.Event(),
        )
    except RestoreError as error:
        raise RestoreError(f"the list of the checkpoint's files could not be fetched: {error}") from None
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise RestoreError("the list of the checkpoint's files is not the one that the run has checked")
    try:
        return _parse(json.loads(data.decode("utf-8")), request["name"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # The text of an error may have a URL.
        raise RestoreError(f"the list of the checkpoint's files cannot be read: {type(error).__name__}") from None


def _parse(value: dict[str, Any], name: str) -> Checkpoint:
    if value["version"] != 1 or value["name"] != name:
        raise RestoreError("the list of the checkpoint's files is of another version or another checkpoint")
    files = tuple(_file(item) for item in value["files"])
    if not files or len(files) > _MAX_FILES or sum(len(file.parts) for file in files) > _MAX_PARTS:
        raise RestoreError(f"the checkpoint has no files, or more than {_MAX_FILES} files or {_MAX_PARTS} parts")
    _check_names([file.path for file in files])
    return Checkpoint(name, files)


def _file(item: dict[str, Any]) -> File:
    path = item["path"]
    if not is_safe(path):
        raise RestoreError("the checkpoint has a file whose path is not one in the project")
    parts, offset = [], 0
    for part in item["parts"]:
        size, url, md5 = _size(part["bytes"]), part["url"], part["md5"]
        if not isinstance(url, str) or not isinstance(md5, str) or not _MD5.fullmatch(md5):
            raise ValueError
        parts.append(Part(url, offset, size, md5))
        offset += size
    if _size(item["bytes"]) != offset or not parts:
        raise RestoreError("the checkpoint has a file whose parts do not make up its size")
    return File(path, offset, tuple(parts))


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise ValueError
    return value


def is_safe(path: object) -> bool:
    """Whether it is a path of a file in the project, and not of one of the restore's own."""
    if not isinstance(path, str) or not 0 < len(path) <= _MAX_PATH or "\0" in path:
        return False
    try:
        names = [tree.encode(name) for name in path.split("/")]
    except UnicodeEncodeError:
        return False
    reserved = (b"", b".", b"..", tree.encode(STAGING))
    return all(name not in reserved and len(name) <= _MAX_NAME for name in names)


def _check_names(paths: list[str]) -> None:
    """Raises RestoreError when a path is there twice, or is a folder of another one."""
    found = set(paths)
    folders = {path[:at] for path in paths for at, char in enumerate(path) if char == "/"}
    if len(found) < len(paths) or found & folders:
        raise RestoreError("the checkpoint has two files of one path, or a file that is a folder of another one")
