"""Reads scalars from the event files of TensorBoard (`events.out.tfevents.*`).

A file is a row of records: length (8 bytes), CRC of the length, data, CRC of the data. The data is a protocol buffer
of the type Event. The job has written it, so nothing in it is trusted: lengths are checked by their CRC and against
what is there, nothing is recursive, and what is not a scalar is skipped.
"""

from __future__ import annotations

import os
import struct
import time
from typing import Any, Callable, Tuple

#: (tag, step, wall time, value)
Take = Callable[[bytes, int, float, float], None]
_CHUNK_BYTES = 1 << 20
#: A longer record has images or histograms, and is skipped without reading it.
_MAX_RECORD_BYTES = 1 << 20
_HEADER_BYTES, _FOOTER_BYTES = 12, 4
#: Of one file; the run of a hostile job has as many names as it has records.
_MAX_TAGS = 10_000

_length_and_crc = struct.Struct("<QI").unpack_from
_float = struct.Struct("<f").unpack_from
_double = struct.Struct("<d").unpack_from
#: A tensor of one float, as TensorFlow writes most: its type, its shape, and where the value is.
_PLAIN_TENSORS = (b"\x08\x01\x12\x00\x22\x04", b"\x08\x01\x12\x00\x2a\x04")
#: Formats of struct by the data type of a tensor.
_TYPES = {1: "<f", 2: "<d", 3: "<i", 4: "<B", 5: "<h", 6: "<b", 9: "<q", 17: "<H", 19: "<e", 22: "<I", 23: "<Q"}


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def masked_crc(data: bytes) -> int:
    """CRC32C, rotated and shifted as in TFRecord."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read(fd: int, until: float, take: Take) -> int | None:
    """Calls `take` for each scalar. Stops at `until`, of the monotonic clock, and at the part of a record at the end.

    Returns at which byte the file is damaged, or None. Raises OSError.
    """
    size = os.fstat(fd).st_size  # what is appended meanwhile does not count
    reader = _Reader(take)
    crcs: dict[int, int] = {}
    buffer, base, pos = b"", 0, 0
    while time.monotonic() < until:
        chunk = os.pread(fd, min(_CHUNK_BYTES, size - base - len(buffer)), base + len(buffer))
        if not chunk:
            return None
        buffer += chunk
        count = len(buffer)
        while pos + _HEADER_BYTES <= count:
            length, crc = _length_and_crc(buffer, pos)
            expected = crcs.get(length)
            if expected is None:
                expected = masked_crc(buffer[pos : pos + 8])
                if length <= _MAX_RECORD_BYTES:
                    crcs[length] = expected
            if crc != expected:
                return base + pos
            end = pos + _HEADER_BYTES + length
            if length <= _MAX_RECORD_BYTES:
                if end + _FOOTER_BYTES > count:
                    break
                reader.event(buffer, pos + _HEADER_BYTES, end)
            elif base + end + _FOOTER_BYTES > size:
                return None
            pos = end + _FOOTER_BYTES
            if pos > count:
                break
        base += pos
        buffer, pos = buffer[pos:], 0
    return None


class _Reader:
    def __init__(self, take: Take) -> None:
        self._take = take
        #: The plugin that a tag's first value names; of a later one it is left out.
        self._plugins: dict[bytes, bytes] = {}

    def event(self, data: bytes, at: int, end: int) -> None:
        """Reads data[at:end]. What is not an event is skipped."""
        try:
            self._event(data, at, end)
        except (IndexError, ValueError, OverflowError, struct.error):
            return

    def _event(self, data: bytes, at: int, end: int) -> None:
        wall_time, step = 0.0, 0
        while at < end:
            key = data[at]
            if key == 0x09:  # wall_time
                wall_time = _double(data, at + 1)[0]
                at += 9
            elif key == 0x10:  # step
                step, at = _varint(data, at + 1, end)
                if step >= 1 << 63:
                    step -= 1 << 64
            elif key == 0x2A:  # summary
                length, at = _varint(data, at + 1, end)
                stop = at + length
                if stop > end:
                    return
                while at < stop:
                    is_value = data[at] == 0x0A
                    if not is_value:
                        at = _skip(data, at, stop)
                        continue
                    length, at = _varint(data, at + 1, stop)
                    if at + length > stop:
                        return
                    self._value(data, at, at + length, step, wall_time)
                    at += length
            else:
                at = _skip(data, at, end)

    def _value(self, data: bytes, at: int, end: int, step: int, wall_time: float) -> None:
        tag, value, plugin = b"", None, None
        tensor: Tuple[int, int] | None = None
        while at < end:
            key = data[at]
            if key == 0x15:  # simple_value
                value = _float(data, at + 1)[0]
                at += 5
            elif key in (0x0A, 0x42, 0x4A):  # tag, tensor, metadata
                length, at = _varint(data, at + 1, end)
                if at + length > end:
                    return
                if key == 0x0A:
                    tag = data[at : at + length]
                elif key == 0x42:
                    tensor = (at, at + length)
                else:
                    plugin = _plugin(data, at, at + length)
                at += length
            else:
                at = _skip(data, at, end)
        if plugin is not None and tag not in self._plugins and len(self._plugins) < _MAX_TAGS:
            self._plugins[tag] = plugin
        if tensor is not None and self._plugins.get(tag, b"scalars") == b"scalars":
            value = _scalar(data, *tensor)
        if value is not None and at == end:
            self._take(tag, step, wall_time, value)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(the number that begins there, what is behind it). Raises ValueError."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        at += 1
        if shift > 63 or at >= end:
            raise ValueError("not a number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
    return value & 0xFFFFFFFFFFFFFFFF, at + 1


def _skip(data: bytes, at: int, end: int) -> int:
    """What is behind a field. Raises ValueError."""
    key, at = _varint(data, at, end)
    kind = key & 7
    if kind == 0:
        return _varint(data, at, end)[1]
    if kind == 2:
        length, at = _varint(data, at, end)
    elif kind in (1, 5):
        length = 8 if kind == 1 else 4
    else:
        raise ValueError("not a field")
    if at + length > end:
        raise ValueError("not whole")
    return at + length


def _fields(data: bytes, at: int, end: int) -> list[tuple[int, Any]]:
    """[(number, value)]: of a number field the number, of any other its bytes. Raises ValueError."""
    found: list[tuple[int, Any]] = []
    while at < end:
        behind = _skip(data, at, end)
        key, at = _varint(data, at, end)
        if key & 7 == 0:
            value: Any = _varint(data, at, end)[0]
        else:
            if key & 7 == 2:
                at = _varint(data, at, end)[1]
            value = data[at:behind]
        found.append((key >> 3, value))
        at = behind
    return found


def _plugin(data: bytes, at: int, end: int) -> bytes | None:
    """The name of the plugin in a SummaryMetadata."""
    for number, value in _fields(data, at, end):
        if number == 1 and isinstance(value, bytes):
            names = [name for field, name in _fields(value, 0, len(value)) if field == 1]
            return names[0] if names and isinstance(names[0], bytes) else None
    return None


def _scalar(data: bytes, at: int, end: int) -> float | None:
    """The value of a TensorProto of one number, or None."""
    if end - at == 10 and data[at : at + 6] in _PLAIN_TENSORS:
        return _float(data, at + 6)[0]
    kind, content, numbers = 0, b"", []
    for number, value in _fields(data, at, end):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes) and not _is_single(value):
            return None
        elif number == 4 and isinstance(value, bytes):
            content = value
        elif number in (5, 6, 7, 10, 13):  # float_val, double_val, int_val, int64_val, half_val
            numbers.append((number, value))
    form = _TYPES.get(kind)
    if form is None:
        return None
    if content:
        return float(struct.unpack(form, content)[0]) if len(content) == struct.calcsize(form) else None
    return _number(form, *numbers[0]) if len(numbers) == 1 else None


def _number(form: str, field: int, value: int | bytes) -> float | None:
    """The only number of a repeated field, packed or not."""
    if isinstance(value, bytes) and field in (5, 6):
        form = "<f" if field == 5 else "<d"
        return struct.unpack(form, value)[0] if len(value) == struct.calcsize(form) else None
    if isinstance(value, bytes):
        number, behind = _varint(value, 0, len(value))
        if behind != len(value):
            return None
    else:
        number = value
    if field == 13:
        return struct.unpack("<e", struct.pack("<H", number & 0xFFFF))[0] if form == "<e" else None
    return float(number - (1 << 64) if number >= 1 << 63 else number)


def _is_single(shape: bytes) -> bool:
    """Whether a TensorShapeProto is of one number: no dimension, or dimensions of the size 1."""
    for number, value in _fields(shape, 0, len(shape)):
        if number == 3 and value:
            return False  # of an unknown rank
        if number == 2:
            sizes = [size for field, size in _fields(value, 0, len(value)) if field == 1]
            if sizes != [1]:
                return False
    return True
