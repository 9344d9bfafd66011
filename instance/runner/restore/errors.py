"""The one kind of error of a restore."""

from __future__ import annotations

from common.job_process import JobError


class RestoreError(JobError):
    """A restore failed: one of the names for a restore in CONTRACT.md."""

    def __init__(self, message: str, name: str = "RestoreFailed") -> None:
        super().__init__(name, message)
