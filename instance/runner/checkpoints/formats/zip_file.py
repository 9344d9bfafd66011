"""Zip files: torch.save, Lightning, Keras 3, numpy's npz. Their directory is written last.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (sections 4.3 and 4.4)
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Iterator, NamedTuple

from checkpoints.formats.verdict import MAX_HEADER_BYTES, Broken, read_exactly

MAGIC = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
#: Of the comment behind the directory; writers of checkpoints write none.
_MAX_COMMENT_BYTES = 65_535
_ALL_ONES_16, _ALL_ONES_32 = 0xFFFF, 0xFFFFFFFF


class Entry(NamedTuple):
    name: str
    #: Of its local header.
    offset: int
    #: In the file.
    bytes: int


def read_entries(file: BinaryIO, size: int) -> list[Entry]:
    """The entries of a zip file of `size` bytes. Raises Broken unless the directory and all of them are there."""
    count, begin, length, end = _find_directory(file, size)
    if begin + length != end or length > MAX_HEADER_BYTES:
        raise Broken("its directory does not end where the file says")
    entries = list(_directory(read_exactly(file, begin, length), count))
    for entry in entries:
        local = _LOCAL.unpack(read_exactly(file, entry.offset, _LOCAL.size))
        data = entry.offset + _LOCAL.size + local[9] + local[10]
        if local[0] != MAGIC or data + entry.bytes > begin:
            raise Broken(f"the entry {entry.name[:80]!r} is not where the directory says")
    return entries


def _find_directory(file: BinaryIO, size: int) -> tuple[int, int, int, int]:
    """(entries, offset, bytes, where it must end)."""
    tail_at = max(0, size - _END.size - _MAX_COMMENT_BYTES)
    tail = read_exactly(file, tail_at, size - tail_at)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise Broken("it has no directory at its end")
    _, _, _, _, count, length, begin, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise Broken("bytes follow its directory")
    end = tail_at + at
    if count != _ALL_ONES_16 and length != _ALL_ONES_32 and begin != _ALL_ONES_32 and not _has_locator(file, end):
        return count, begin, length, end
    magic, _, end_64, _ = _LOCATOR_64.unpack(read_exactly(file, max(0, end - _LOCATOR_64.size), _LOCATOR_64.size))
    if magic != b"PK\x06\x07":
        raise Broken("it has no locator of its directory")
    magic, _, _, _, _, _, _, count, length, begin = _END_64.unpack(read_exactly(file, end_64, _END_64.size))
    if magic != b"PK\x06\x06":
        raise Broken("its directory is not where the locator says")
    return count, begin, length, end_64


def _has_locator(file: BinaryIO, end: int) -> bool:
    """torch writes the records for large files also when it needs none."""
    at = end - _LOCATOR_64.size
    return at >= 0 and read_exactly(file, at, 4) == b"PK\x06\x07"


def _directory(data: bytes, count: int) -> Iterator[Entry]:
    at = 0
    for _ in range(count):
        if at + _ENTRY.size > len(data):
            raise Broken("its directory has fewer entries than it says")
        fields = _ENTRY.unpack_from(data, at)
        packed, unpacked, name_length, extra_length, comment_length = *fields[8:10], *fields[10:13]
        offset = fields[16]
        if fields[0] != b"PK\x01\x02":
            raise Broken("its directory is damaged")
        name = data[at + _ENTRY.size : at + _ENTRY.size + name_length]
        extra = data[at + _ENTRY.size + name_length : at + _ENTRY.size + name_length + extra_length]
        packed, offset = _large(extra, unpacked, packed, offset)
        yield Entry(name.decode("utf-8", "replace"), offset, packed)
        at += _ENTRY.size + name_length + extra_length + comment_length
    if at != len(data):
        raise Broken("its directory has more bytes than entries")


def _large(extra: bytes, unpacked: int, packed: int, offset: int) -> tuple[int, int]:
    """(bytes, offset) with the values of the extra field for files of 4 GiB and more."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{min(length, 24) // 8}Q", extra, at + 4))
            unpacked = next(values, unpacked) if unpacked == _ALL_ONES_32 else unpacked
            packed = next(values, packed) if packed == _ALL_ONES_32 else packed
            offset = next(values, offset) if offset == _ALL_ONES_32 else offset
        at += 4 + length
    return packed, offset
