"""What a look at the end of a file or folder found out."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

#: Of metadata that is read at once. What is larger is not a format that runctl knows.
MAX_HEADER_BYTES = 100 << 20


class Verdict(NamedTuple):
    """format: its name, for people; None: not known. why: what is missing; None: it is complete, or not known."""

    format: str | None
    why: str | None

    @property
    def is_complete(self) -> bool:
        return self.format is not None and self.why is None


UNKNOWN = Verdict(None, None)


class Broken(Exception):
    """The file does not end as its format does. The message says what is wrong."""


def read_exactly(file: BinaryIO, at: int, count: int) -> bytes:
    """Raises Broken when the file is shorter."""
    file.seek(at)
    data = file.read(count)
    if len(data) < count:
        raise Broken(f"it ends in the middle of the {count} bytes at {at}")
    return data
