"""Writes the archive of a project's environment: a tar of the files of its packages, without compression."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Callable

from common.tar import BLOCK, MAX_PART
from install.environment_files import NotStorable, packages_of
from install.environment_key import FORMAT
from install.stored_environment import HEADER

if TYPE_CHECKING:
    from install.environment_files import File

_PIECE_BYTES = 1 << 20
#: Of a name in the header of a tar.
_MAX_NAME = 100
_SCRIPT_LINES = 3


def write(
    folder: str,
    files: list[File],
    key: str,
    installer: str,
    out: Callable[[bytes], object],
) -> dict[str, str]:
    """Gives the archive to `out`, piece by piece. folder: of the environment. Returns the versions of its packages.

    Raises NotStorable when a file has another size than it had, or works in this folder alone.
    """
    packages = {name: package.version for name, package in packages_of(folder).items()}
    described = {"format": FORMAT, "key": key, "folder": folder, "installer": installer, "packages": packages}
    header = json.dumps(described, sort_keys=True)
    out(_entry(HEADER, len(header), False))
    out(header.encode("ascii") + bytes(-len(header) % BLOCK))
    for file in files:
        out(_entry(file.path, file.bytes, file.is_executable))
        _copy(folder, file, out)
        out(bytes(-file.bytes % BLOCK))
    out(bytes(2 * BLOCK))
    return packages


def _copy(folder: str, file: File, out: Callable[[bytes], object]) -> None:
    own, before, left = os.fsencode(folder), b"", file.bytes
    # A restore changes the first lines of a script.
    skipped = _SCRIPT_LINES if file.path.startswith("bin/") else 0
    fd = os.open(os.path.join(folder, file.path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while left:
            data = os.read(fd, min(left, _PIECE_BYTES))
            if not data:
                raise NotStorable(f"{file.path} has become shorter")
            left -= len(data)
            searched = data
            if skipped and data.startswith(b"#!"):
                searched = b"\n".join(data.split(b"\n", skipped)[skipped:])
            skipped = 0
            if own in before + searched:
                raise NotStorable(f"{file.path} has the path of the environment in it")
            before = searched[1 - len(own) :]
            out(data)
    finally:
        os.close(fd)


def _entry(path: str, length: int, is_executable: bool) -> bytes:
    """The header of a file; with one of PAX before it, for a long name or one that is not ASCII."""
    name = path.encode("utf-8")
    if len(name) <= _MAX_NAME and path.isascii() and length < 8**11:
        return _block(name, length, b"0", is_executable)
    if any(len(part) > MAX_PART for part in name.split(b"/")):
        raise NotStorable(f"{path} has a name that is too long")
    records = _record(b"path", name) + _record(b"size", b"%d" % length)
    short = b"long-name"
    extended = _block(short, len(records), b"x", False) + records + bytes(-len(records) % BLOCK)
    return extended + _block(short, length if length < 8**11 else 0, b"0", is_executable)


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (key, value)
    length = len(body)
    while length != len(b"%d" % length) + len(body):
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def _block(name: bytes, length: int, kind: bytes, is_executable: bool) -> bytes:
    mode = b"0000755\0" if is_executable else b"0000644\0"
    size, nobody, at = b"%011o\0" % length, b"0000000\0", b"00000000000\0"
    fields = [name.ljust(_MAX_NAME, b"\0"), mode, nobody, nobody, size, at, b" " * 8, kind, bytes(100)]
    block = (b"".join(fields) + b"ustar\x0000").ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
