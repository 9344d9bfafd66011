"""The shapes of what a sync reads and stores as JSON. For type checkers alone: nothing imports this at run time."""

from __future__ import annotations

from typing import Any, List, Optional, TypedDict

#: What a JSON file holds.
Json = Any
#: Inode, size and modification time (ns) of a file.
Signature = List[int]
#: `[verb, name, Signature or None]`: the verb is put, remove or prune; plan.py describes them.
Step = List[Any]


class FileEntry(TypedDict):
    sha256: str
    size: int
    mode: int
    sig: Signature


class Source(TypedDict):
    """Where the code of an archive comes from: what is compared, and what people are shown."""

    id: str
    label: str


class _Files(TypedDict):
    sha256: Optional[str]
    strip: Optional[str]
    files: dict[str, FileEntry]
    folders: list[str]


class Manifest(_Files, total=False):
    """What the last sync put into the project's folder."""

    #: Of the last archive that named one.
    source: Optional[Source]


class Journal(TypedDict):
    """The steps of a sync that is being applied, and the suffix of the copies that it keeps."""

    steps: list[Step]
    suffix: str
