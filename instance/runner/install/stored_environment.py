"""Restores a project's environment from S3 in place of an install. Nothing that is fetched is trusted.

An environment counts from the moment on that `runctl.json` is in it, which is written last: what a restore leaves that
was killed, or failed, is removed by the next one, as it is for an install.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import re
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from common import presigned_get, ranges, tar
from install.environment_key import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from install.progress import Progress

#: The first file of an archive: {format, key, folder, installer, packages: versions by name}.
HEADER = "runctl-environment.json"
_MAX_LIST_BYTES = 8 << 20
_MAX_HEADER_BYTES = 4 << 20
#: A larger part is not fetched: parts are held in memory, _AHEAD of them.
_MAX_PART_BYTES = 64 << 20
_AHEAD = 4
_MAX_PARTS = 4_096
#: For folders, and for files that fill a part of a block.
_FREE_SHARE, _FREE_BYTES = 1.1, 64 << 20
_SCRIPT_BYTES = 1 << 20
#: Linux cuts a longer first line of a script.
_MAX_SHEBANG = 127
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NotRestored(Exception):
    """The environment cannot be restored; the message says why."""


class Stored(NamedTuple):
    """An archive in S3. parts: (presigned URL, bytes), in order."""

    key: str
    sha256: str
    bytes: int
    parts: tuple[tuple[str, int], ...]


def find(listed: dict[str, Any] | None, key: str) -> Stored | None:
    """The stored environment of this key, from a list `{url, sha256, bytes}`; None: there is none.

    Raises NotRestored when the list cannot be fetched or read.
    """
    if listed is None:
        return None
    if not 0 < listed["bytes"] <= _MAX_LIST_BYTES:
        raise NotRestored("the list of stored environments is too long")
    data = _fetch(listed["url"], listed["bytes"], "the list of stored environments")
    if hashlib.sha256(data).hexdigest() != listed["sha256"]:
        raise NotRestored("the list of stored environments is not the one that was written")
    try:
        value = json.loads(data.decode("utf-8"))
        found = next((item for item in value["environments"] if item["key"] == key), None)
        return None if found is None or value["version"] != 1 else _read_stored(found)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # The text of an error may have a URL.
        raise NotRestored(f"the list of stored environments cannot be read: {type(error).__name__}") from None


def _read_stored(item: dict[str, Any]) -> Stored:
    parts = tuple((part["url"], part["bytes"]) for part in item["parts"])
    sizes = [size for _, size in parts]
    if not all(type(size) is int and 0 < size <= _MAX_PART_BYTES for size in sizes) or len(parts) > _MAX_PARTS:
        raise ValueError
    if sum(sizes) != item["bytes"] or not _SHA256.fullmatch(item["sha256"]):
        raise ValueError
    return Stored(item["key"], item["sha256"], item["bytes"], parts)


def unpack(stored: Stored, folder: str, progress: Progress) -> dict[str, Any]:
    """Unpacks an archive into a new environment, and compares its digest. Returns its description.

    folder: of the environment, with nothing but what its creation made. Raises NotRestored, OSError.
    """
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < stored.bytes * _FREE_SHARE + _FREE_BYTES:
        raise NotRestored(f"the disk has no room for {stored.bytes / 1e6:.0f} MB")
    progress.enter("restoring")
    digest = hashlib.sha256()

    def count(data: bytearray) -> bytearray:
        digest.update(data)
        progress.update(bytes=(progress.bytes or 0) + len(data))
        return data

    source = tar.Source(map(count, _fetch_parts(stored)))
    entries = tar.read_entries(source)
    try:
        parts, _, length, _ = next(entries, ([], False, 0, False))
        if parts != [HEADER] or length > _MAX_HEADER_BYTES:
            raise NotRestored("the archive does not begin with its description")
        header = _read_header(bytes(source.read(length)), stored.key)
        made: set[str] = set()
        for parts, is_folder, length, is_executable in entries:
            if is_folder or len(parts) < 2:
                raise NotRestored(f"the archive has {tar.quote('/'.join(parts))}, which is no file of a package")
            path = os.path.join(folder, *parts)
            if os.path.dirname(path) not in made:
                made.add(os.path.dirname(path))
                os.makedirs(os.path.dirname(path), exist_ok=True)
            # The folders are those of the environment, which nobody else has written to.
            fd = os.open(path, _WRITE, 0o755 if is_executable else 0o644)
            try:
                _copy(source, fd, length, (header["folder"], folder) if parts[0] == "bin" else None)
            finally:
                os.close(fd)
    except tar.Unsafe as error:
        raise NotRestored(f"the archive is not one of an environment: {error.reason}") from None
    except FileExistsError as error:
        raise NotRestored(f"the archive has {error.filename} twice") from None
    if digest.hexdigest() != stored.sha256:
        raise NotRestored("its SHA-256 is wrong")
    return header


def _read_header(data: bytes, key: str) -> dict[str, Any]:
    try:
        header = json.loads(data.decode("utf-8"))
        texts = [header["installer"], header["folder"], *header["packages"].values()]
        is_right = all(isinstance(text, str) and text for text in texts)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_right, header = False, {}
    if not is_right or header.get("format") != FORMAT or header.get("key") != key:
        raise NotRestored("the archive is of another environment")
    return header


def _copy(source: tar.Source, fd: int, length: int, moved: tuple[str, str] | None) -> None:
    """moved: of a script, the environment that it was made for, and the one that it is in."""
    if moved is not None and length <= _SCRIPT_BYTES:
        _write_all(fd, relocate(bytes(source.read(length)), *moved))
        return
    for piece in source.read_pieces(length):
        _write_all(fd, piece)


def _write_all(fd: int, data: bytes | memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


def relocate(script: bytes, made_in: str, folder: str) -> bytes:
    """A script that starts the interpreter of the environment `folder`, made from one of the environment `made_in`.

    An interpreter whose path is too long for the first line, or has a space, is started by a shell, as uv and pip have
    it.
    """
    if made_in == folder or not script.startswith(b"#!"):
        return script
    old, new = os.fsencode(made_in), os.fsencode(folder)
    *lines, rest = script.split(b"\n", 3)
    first = lines[0].replace(old, new) if lines else b""
    if not lines or b"/bin/python" not in first or (len(first) <= _MAX_SHEBANG and b" " not in first):
        return b"\n".join([*(line.replace(old, new) for line in lines), rest])
    shell = b"#!/bin/sh\n'''exec' '%s' \"$0\" \"$@\"\n' '''" % first[2:].strip()
    return b"\n".join([shell, *lines[1:], rest])


def _fetch_parts(stored: Stored) -> Iterator[bytearray]:
    """The parts in order, some of them fetched ahead. Raises NotRestored."""
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(_AHEAD) as pool:
        waiting: list[concurrent.futures.Future[bytearray]] = []
        try:
            for url, length in stored.parts:
                waiting.append(pool.submit(_fetch, url, length, "it", stop))
                if len(waiting) == _AHEAD:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            stop.set()
            for future in waiting:
                future.cancel()


def _fetch(url: str, length: int, what: str, stop: threading.Event | None = None) -> bytearray:
    data = bytearray()
    try:
        ranges.read(url, 0, length, length, lambda piece, _: data.extend(piece), stop or threading.Event())
    except presigned_get.Refused as error:
        raise NotRestored(f"{what} could not be fetched: {error}") from None
    if len(data) != length:
        raise NotRestored(f"{what} was not fetched as a whole")
    return data
