"""Models as text, JSON or UBJSON: XGBoost, LightGBM."""

from __future__ import annotations

import json
import struct
from typing import BinaryIO

from checkpoints.formats.verdict import MAX_HEADER_BYTES, Broken, read_exactly

#: By UBJSON's type markers: bytes of a value, and how Python's struct reads it. https://ubjson.org/type-reference/
_FIXED = {"Z": 0, "N": 0, "T": 0, "F": 0, "i": 1, "U": 1, "C": 1, "I": 2, "l": 4, "L": 8, "d": 4, "D": 8}
_INTEGERS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q"}
_MAX_DEPTH = 100
LIGHTGBM_MAGIC = b"tree\nversion="


def check_json(file: BinaryIO, size: int) -> object:
    """Raises Broken unless it is whole; returns its value."""
    if size > MAX_HEADER_BYTES:
        raise Broken("it is too large for JSON that runctl reads")
    try:
        return json.loads(read_exactly(file, 0, size).decode("utf-8"))
    except (ValueError, RecursionError):
        raise Broken("its JSON is not complete") from None


def check_lightgbm(file: BinaryIO, size: int) -> bool:
    """Whether it ends as the Python package ends a model; False: as the command line does. Raises Broken."""
    begin = max(0, size - (1 << 20))
    tail = read_exactly(file, begin, size - begin)
    lines = tail.rsplit(b"\n", 2)
    if lines[-1] == b"" and len(lines) > 1 and lines[-2].startswith(b"pandas_categorical:"):
        try:
            json.loads(lines[-2].split(b":", 1)[1].decode("utf-8"))
        except ValueError:
            raise Broken("its last line is not complete") from None
        return True
    if tail.endswith(b"end of parameters\n"):
        return False
    raise Broken("it does not end as a model of LightGBM")


def check_ubjson(file: BinaryIO, size: int) -> None:
    """Raises Broken unless one value ends where the file ends."""
    if size > MAX_HEADER_BYTES:
        raise Broken("it is too large for UBJSON that runctl reads")
    data = read_exactly(file, 0, size)
    try:
        end = _Ubjson(data).skip(0)
    except (IndexError, KeyError, struct.error, RecursionError):
        raise Broken("its UBJSON is not complete") from None
    if end != size:
        raise Broken("its UBJSON does not end where the file ends")


class _Ubjson:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def skip(self, at: int, kind: str | None = None, depth: int = 0) -> int:
        """Where the value that begins at `at` ends. kind: its type, when the container has said it."""
        if kind is None:
            kind, at = chr(self._data[at]), at + 1
        if depth > _MAX_DEPTH:
            raise RecursionError
        if kind in "{[":
            return self._skip_container(at, kind == "{", depth)
        if kind in "SH":
            length, at = self._integer(at)
            return self._within(at + length)
        return self._within(at + _FIXED[kind])

    def _skip_container(self, at: int, is_object: bool, depth: int) -> int:
        kind: str | None = None
        count: int | None = None
        if self._data[at] == ord("$"):
            kind, at = chr(self._data[at + 1]), at + 2
        if self._data[at] == ord("#"):
            count, at = self._integer(at + 1)
        if kind is not None and count is None:
            raise KeyError
        if kind in _FIXED and not is_object and count is not None:
            return self._within(at + count * _FIXED[kind])
        end = ord("}" if is_object else "]")
        while count is None or count > 0:
            if count is None and self._data[at] == end:
                return at + 1
            if is_object:
                length, at = self._integer(at)
                at = self._within(at + length)
            at = self.skip(at, kind, depth + 1)
            count = None if count is None else count - 1
        return at

    def _integer(self, at: int) -> tuple[int, int]:
        form = _INTEGERS[chr(self._data[at])]
        (value,) = struct.unpack_from(form, self._data, at + 1)
        if value < 0:
            raise KeyError
        return value, at + 1 + struct.calcsize(form)

    def _within(self, at: int) -> int:
        if at > len(self._data):
            raise IndexError
        return at
