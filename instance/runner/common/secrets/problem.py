"""Why a secret cannot be read, in words for the person who named it. Never with a value."""

from __future__ import annotations

from typing import NamedTuple

ADD_ROLE = "Attach an instance profile whose role may read it, and enable the metadata service."
_MOST_TEXT = 300


class Problem(NamedTuple):
    #: NoRole MetadataUnavailable NoRegion AccessDenied NotFound NotDecrypted Refused Unreachable Unusable
    cause: str
    #: What happened: a clause without a full stop.
    text: str
    #: What to do next: a sentence.
    action: str

    @property
    def error(self) -> str:
        """What happened, as one sentence that begins with the cause."""
        return f"{self.cause}: {self.text.rstrip('.')}."

    def __str__(self) -> str:
        return f"{self.error} {self.action}"


class Unreadable(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def shortened(text: str) -> str:
    """A service's own text: on one line, printable, bounded."""
    flat = " ".join(text.split())
    kept = "".join(character if character.isprintable() else "?" for character in flat)
    return kept if len(kept) <= _MOST_TEXT else kept[: _MOST_TEXT - 1] + "…"
