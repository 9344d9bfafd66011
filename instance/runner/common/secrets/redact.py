"""Removes the values of secrets from what runctl itself shows: log tails, progress, results, warnings."""

from __future__ import annotations

import base64
import json
from typing import Iterable, Iterator, TypeVar, cast
from urllib.parse import quote, quote_plus

MASK = "***"
#: Shorter values would black out ordinary words.
SHORTEST = 4
#: Of base64 within a longer text fewer characters are certain, and a short piece of it may well be a word.
_SHORTEST_ENCODED = 8
_Json = TypeVar("_Json")


class Redactor:
    """A callable that returns a text without the values: as written, and as JSON, URLs and base64 write them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        found = {form for value in values for form in forms(value)}
        # Longest first: one may be part of another.
        self._forms = sorted(found, key=len, reverse=True)

    @property
    def longest(self) -> int:
        """Bytes that the longest form takes in UTF-8. Text cut out of a log needs so much before it."""
        return max((len(form.encode("utf-8")) for form in self._forms), default=0)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def everywhere(self, data: _Json) -> _Json:
        """JSON data with every text in it redacted, the keys of objects too."""
        return cast(_Json, self._redacted(data)) if self._forms else data

    def _redacted(self, data: object) -> object:
        if isinstance(data, str):
            return self(data)
        if isinstance(data, list):
            return [self._redacted(item) for item in data]
        if isinstance(data, dict):
            return {self(key): self._redacted(value) for key, value in data.items()}
        return data


def forms(value: str) -> Iterator[str]:
    """All that a value is recognized by."""
    # A log is read line by line, so each line of a private key counts by itself.
    for text in {value, value.strip(), *(line.strip() for line in value.splitlines())}:
        if len(text) < SHORTEST:
            continue
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield quote(text, safe="")
        yield quote(text)
        yield quote_plus(text)
        yield from _base64_forms(text.encode("utf-8"))


def _base64_forms(data: bytes) -> Iterator[str]:
    """The characters that are the same in every base64 text that has `data` inside, as `user:token` has a token."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data)
        certain = encoded[(0, 2, 3)[before] : (before + len(data)) * 8 // 6].decode("ascii")
        if len(certain) >= _SHORTEST_ENCODED:
            yield certain
            yield certain.replace("+", "-").replace("/", "_")
