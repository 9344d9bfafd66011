"""The one kind of error of a sync."""

from __future__ import annotations


class SyncError(Exception):
    """A sync failed: one of the names for a sync in CONTRACT.md."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
