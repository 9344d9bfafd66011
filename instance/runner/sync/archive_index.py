"""The index of an archive: its members and their digests, as the function that verified the archive wrote them."""

from __future__ import annotations

import json
import re
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

    #: Bytes in the archive, and the first 16 bytes of their SHA-256 in hex.
    Member = Tuple[int, str]

#: As core/archive/archive-index.ts allows: the members of the largest archive take 6 MB.
MAX_EXPANDED_BYTES = 32 << 20
MAX_BYTES = 8 << 20
_DIGEST = re.compile(r"[0-9a-f]{32}")


class InvalidIndex(Exception):
    """The index is damaged, or of another archive."""


def read(data: bytes, sha256: str, expected: int) -> tuple[list[Member], int]:
    """The members, and the bytes that they unpack to. Raises InvalidIndex."""
    try:
        index = json.loads(_inflate(data))
        found = (index["sha256"], index["bytes"])
        members = [(_count(length), _digest(digest)) for length, _, digest in index["members"]]
        expanded = sum(_count(content) for _, content, _ in index["members"])
    except (ValueError, KeyError, TypeError, zlib.error, RecursionError):
        raise InvalidIndex("it cannot be read") from None
    if found != (sha256, expected):
        raise InvalidIndex("it is of another archive")
    if sum(length for length, _ in members) != expected:
        raise InvalidIndex("its members are not the archive's")
    return members, expanded


def _inflate(data: bytes) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    text = reader.decompress(data, MAX_EXPANDED_BYTES)
    if not reader.eof:
        raise ValueError
    return text


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError
    return value
