"""The one kind of error of a sync."""

from __future__ import annotations

from common.job_process import JobError


class SyncError(JobError):
    """A sync failed: one of the names for a sync in CONTRACT.md."""
