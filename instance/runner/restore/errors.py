"""The one kind of error of a restore."""

from __future__ import annotations


class RestoreError(Exception):
    """A restore failed: one of the names for a restore in CONTRACT.md."""

    def __init__(self, message: str, name: str = "RestoreFailed") -> None:
        super().__init__(message)
        self.name = name
        self.message = message
