"""What `runctl` noted in an archive beside its files (core/archive/note.ts). Other tools' archives have no note."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sync.records import Source

PREFIX = b"runctl note "
MAX_TEXT = 1_000  # characters of a source


class LeftOut:
    """Names that exist in the project's folder on the laptop and that the archive leaves out."""

    def __init__(self, names: Iterable[str] = (), strip: str | None = None) -> None:
        if strip is not None:
            names = [name[len(strip) + 1 :] for name in names if name.startswith(strip + "/") or not name]
        self._names = frozenset(names)

    def __contains__(self, name: str) -> bool:
        if not self._names:
            return False
        if "" in self._names or name in self._names:
            return True
        slash = name.find("/")
        while slash != -1:
            if name[: slash + 1] in self._names:
                return True
            slash = name.find("/", slash + 1)
        return False


class Note:
    """The note of one archive; empty where it has none that can be read."""

    def __init__(self, comments: Iterable[bytes] = (), strip: str | None = None) -> None:
        values: dict[str, object] = {}
        for comment in comments:
            if comment.startswith(PREFIX):
                values = _parse(comment[len(PREFIX) :])
        names = values.get("leftOut")
        self.left_out = LeftOut(_only_text(names), strip)
        self.source = _source(values.get("source"))


def _parse(text: bytes) -> dict[str, object]:
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _source(value: object) -> Source | None:
    if not isinstance(value, dict):
        return None
    texts = _only_text([value.get(key) for key in ("id", "label")])
    if len(texts) != 2 or not all(0 < len(text) <= MAX_TEXT for text in texts):
        return None
    return {"id": texts[0], "label": texts[1]}


def _only_text(names: object) -> list[str]:
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
