"""The globs of a spec's `outputs`.

Matching takes at most the glob's length times the name's: an attacker may have chosen both.
"""

from __future__ import annotations

import os
import re
from typing import Callable, Union

#: `*`, or a function that says whether a character fits.
_Token = Union[str, Callable[[str], bool]]


#: The innermost braces with a comma: others are characters as any.
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
#: Of one glob; core/spec/output-globs.ts refuses more.
_MAX_ALTERNATIVES = 256


def expand(glob: str) -> list[str]:
    """`a.{pt,json}` is `a.pt` and `a.json`. Raises ValueError."""
    done: list[str] = []
    rest = [glob]
    while rest:
        text = rest.pop()
        braces = _BRACES.search(text)
        if braces is None:
            done.append(text)
        else:
            rest += [text[: braces.start()] + part + text[braces.end() :] for part in braces.group(1).split(",")]
        if len(done) + len(rest) > _MAX_ALTERNATIVES:
            raise ValueError(f"it has more than {_MAX_ALTERNATIVES} alternatives")
    return done


def literal_part(glob: str) -> str:
    """The folder, or file, at which a glob's matches begin."""
    parts = []
    for part in glob.strip("/").split("/"):
        if any(char in part for char in "*?["):
            break
        parts.append(part)
    begin = os.path.normpath("/".join(parts)) if parts else ""
    return "" if begin == "." else begin


class Pattern:
    """A glob: `*` and `?` stay within a folder, `**` goes through folders; a folder means all in it.

    Raises ValueError.
    """

    def __init__(self, glob: str) -> None:
        parts = [part for part in glob.strip("/").split("/") if part not in ("", ".")]
        # None stands for `**`; several in a row mean the same as one.
        parts = [part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ["**"]]
        self._parts = [None if part == "**" else _tokens(part) for part in parts]

    def matches(self, name: str) -> bool:
        """name: a path in the project, without a slash at its ends."""
        end = len(self._parts)
        if end == 0:
            return False
        # All places in the pattern that the segments so far can have led to: none is tried twice.
        places = self._with_skipped({0})
        for segment in name.split("/"):
            reached: set[int] = set()
            for place in places:
                part = self._parts[place]
                if part is None:
                    reached.add(place if place < end - 1 else end)
                elif _matches(part, segment):
                    reached.add(place + 1)
            if end in reached:
                return True  # a file, or a folder above it
            places = self._with_skipped(reached)
        return False

    def _with_skipped(self, places: set[int]) -> set[int]:
        """A `**` with a part behind it may stand for no folder at all."""
        return places | {place + 1 for place in places if self._parts[place] is None and place < len(self._parts) - 1}


def _tokens(part: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(part):
        char = part[at]
        end = part.find("]", at + 2) if char == "[" else -1
        if char == "*":
            if tokens[-1:] != ["*"]:
                tokens.append("*")
        elif char == "?":
            tokens.append(lambda _: True)
        elif end > 0:
            tokens.append(_one_of(part[at + 1 : end]))
            at = end
        else:
            tokens.append(char.__eq__)
        at += 1
    return tokens


def _one_of(inner: str) -> Callable[[str], bool]:
    negated = len(inner) > 1 and inner[0] in "!^"
    inner = inner[1:] if negated else inner
    ranges, at = [], 0
    while at < len(inner):
        is_range = inner[at + 1 : at + 2] == "-" and at + 2 < len(inner)
        first, last = inner[at], inner[at + 2 if is_range else at]
        if last < first:
            raise ValueError(f"{first}-{last} is not a range")
        ranges.append((first, last))
        at += 3 if is_range else 1
    return lambda char: any(first <= char <= last for first, last in ranges) != negated


def _matches(tokens: list[_Token], text: str) -> bool:
    """Whether the tokens fit the whole text. A star takes as little as possible, and only the last one is widened."""
    index = at = 0
    star, widened = None, 0
    while at < len(text):
        fits = tokens[index] if index < len(tokens) else None
        if fits == "*":
            star, widened = index, at
            index += 1
        elif callable(fits) and fits(text[at]):
            index, at = index + 1, at + 1
        elif star is not None:
            widened += 1
            index, at = star + 1, widened
        else:
            return False
    return all(rest == "*" for rest in tokens[index:])
