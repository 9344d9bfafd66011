"""Reads TOML with the standard library: `tomllib` came with Python 3.11, and the runner stands on 3.8.

Strings, arrays, tables, booleans and integers have their Python types; floats, dates and times stay text: no key that
an install needs is one. uv and pip judge whether a file is valid; this reader accepts some files that they refuse.
"""

from __future__ import annotations

import re
from typing import Any

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_LINE_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRINGS = (
    (re.compile(r'"""\n?((?:[^\\]|\\.)*?"{0,2})"""(?!")', re.DOTALL), True),
    (re.compile(r"'''\n?(.*?'{0,2})'''(?!')", re.DOTALL), False),
    (re.compile(r'"((?:[^"\\\n]|\\.)*)"'), True),
    (re.compile(r"'([^'\n]*)'"), False),
)
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d[ Tt]\d\d:[^\s,\]}#]+|[^\s,\[\]{}#=\"']+")
_INTEGER = re.compile(r"[+-]?\d+(?:_\d+)*")
_ESCAPE = re.compile(r"\\(?:(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2})|([ \t]*\n\s*)|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


class TomlError(ValueError):
    """The text is not TOML; the message has the line."""


def loads(text: str) -> dict[str, Any]:
    """The tables of a TOML document. Raises TomlError."""
    return _Reader(text.replace("\r\n", "\n")).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> dict[str, Any]:
        root: dict[str, Any] = {}
        table = root
        while True:
            self._skip(_BLANK)
            if self._at == len(self._text):
                return root
            if self._accept("[["):
                table = self._append(root, self._key())
                self._expect("]]")
            elif self._accept("["):
                table = self._descend(root, self._key())
                self._expect("]")
            else:
                self._pair(table)
            if not self._skip(_LINE_END):
                raise self._error("the end of the line")

    def _pair(self, table: dict[str, Any]) -> None:
        *parents, name = self._key()
        self._expect("=")
        self._skip(_SPACE)
        self._descend(table, parents)[name] = self._value()

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            text = self._string()
            if text is None:
                text = self._match(_BARE_KEY, "a key").group()
            parts.append(text)
            self._skip(_SPACE)
            if not self._accept("."):
                return parts

    def _value(self) -> object:
        text = self._string()
        if text is not None:
            return text
        if self._accept("["):
            return self._array()
        if self._accept("{"):
            return self._inline_table()
        word = self._match(_SCALAR, "a value").group()
        if word in ("true", "false"):
            return word == "true"
        return int(word) if _INTEGER.fullmatch(word) else word

    def _array(self) -> list[object]:
        values: list[object] = []
        while True:
            self._skip(_BLANK)
            if self._accept("]"):
                return values
            values.append(self._value())
            self._skip(_BLANK)
            if not self._accept(","):
                self._expect("]")
                return values

    def _inline_table(self) -> dict[str, Any]:
        table: dict[str, Any] = {}
        while True:
            self._skip(_BLANK)
            if self._accept("}"):
                return table
            self._pair(table)
            self._skip(_BLANK)
            if not self._accept(","):
                self._expect("}")
                return table

    def _string(self) -> str | None:
        if not self._text.startswith(('"', "'"), self._at):
            return None
        for pattern, has_escapes in _STRINGS:
            match = pattern.match(self._text, self._at)
            if match:
                self._at = match.end()
                return _ESCAPE.sub(self._unescape, match.group(1)) if has_escapes else match.group(1)
        raise self._error("the end of the string")

    def _unescape(self, match: re.Match[str]) -> str:
        code, line_end, letter = match.groups()
        if code:
            return chr(int(code[1:], 16))
        if line_end:
            return ""
        if letter not in _ESCAPED:
            raise self._error("a known escape")
        return _ESCAPED[letter]

    def _descend(self, table: dict[str, Any], keys: list[str]) -> dict[str, Any]:
        for key in keys:
            value = table.setdefault(key, {})
            if isinstance(value, list) and value:
                value = value[-1]
            if not isinstance(value, dict):
                raise self._error(f"a table named {key}")
            table = value
        return table

    def _append(self, root: dict[str, Any], keys: list[str]) -> dict[str, Any]:
        tables = self._descend(root, keys[:-1]).setdefault(keys[-1], [])
        if not isinstance(tables, list):
            raise self._error(f"an array named {keys[-1]}")
        tables.append({})
        return tables[-1]

    def _accept(self, text: str) -> bool:
        found = self._text.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _expect(self, text: str) -> None:
        self._skip(_SPACE)
        if not self._accept(text):
            raise self._error(text)

    def _match(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if not match:
            raise self._error(expected)
        self._at = match.end()
        return match

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match is not None

    def _error(self, expected: str) -> TomlError:
        line = self._text.count("\n", 0, self._at) + 1
        return TomlError(f"line {line}: expected {expected}")
