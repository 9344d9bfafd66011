"""Decodes requirements as pip and uv do."""

from __future__ import annotations

import codecs
import re

#: The longest first: a mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: PEP 263: in a comment in one of the first two lines.
_DECLARED = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")


def read_text(path: str) -> str:
    """The text of a file. Raises OSError."""
    with open(path, "rb") as file:
        return decode(file.read())


def decode(data: bytes) -> str:
    """The text of bytes with a byte order mark, with a declared encoding (PEP 263), else of UTF-8.

    A byte that is not valid becomes a surrogate: comments may have any, and names are ASCII.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    for line in data.split(b"\n")[:2]:
        declared = _DECLARED.match(line)
        if declared:
            try:
                return data.decode(declared.group(1).decode("ascii"), "replace")
            except LookupError:
                break  # pip refuses it; uv reads UTF-8
    return data.decode("utf-8", "surrogateescape")
