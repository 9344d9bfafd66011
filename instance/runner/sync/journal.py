"""Applies a plan to the project's folder with a journal, so that a sync killed anywhere leaves the old code or the new.

The plan is on the disk before its first step is done. Every step is idempotent, and does renames alone: what has to
go is parked in `old/` under the step's number until all is done. Killed before the journal exists: the old code.
Killed after: the next sync does the list again to its end, or undoes it where it cannot (a full disk, a power cut).
"""

from __future__ import annotations

import os
import time

from common.report import log
from sync.apply import Work, exists
from sync.isolate import run_isolated
from sync.plan import is_torn
from sync.previous import MEMBERS
from sync.report import SyncError
from sync.workspace import DRAFT_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sync.records import Journal, Manifest, Step
    from sync.workspace import Workspace

JOURNAL, MANIFEST, NEXT, STAGING, OLD = b"journal.json", b"manifest.json", b"next.json", b"staging", b"old"


def clear(workspace: Workspace) -> None:
    """Removes what a killed sync left behind, once no journal needs it."""
    for name in (NEXT, NEXT + DRAFT_SUFFIX, JOURNAL + DRAFT_SUFFIX, MEMBERS + DRAFT_SUFFIX, b"archive", STAGING, OLD):
        workspace.discard(name)


def recover(workspace: Workspace) -> list[str]:
    """Completes an interrupted sync; returns the names of the copies that it kept. Raises OSError or SyncError."""
    journal: Journal | None = workspace.load(JOURNAL)
    kept: list[str] = []
    if journal is not None:
        log("An earlier sync was interrupted while it was applied: completing it")
        try:
            kept = run_isolated(lambda: apply(workspace, journal, again=True))
        except (OSError, SyncError):
            if exists(workspace.own, JOURNAL):
                raise
    clear(workspace)
    return kept


def commit(workspace: Workspace, steps: list[Step], manifest: Manifest, started: float) -> list[str]:
    """Applies a plan; returns the names of the copies that it kept of the person's files."""
    os.mkdir(OLD, 0o700, dir_fd=workspace.own)
    workspace.save(NEXT, manifest)  # now, because at the end a disk may be full
    suffix = ".local-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(started))
    journal: Journal = {"steps": steps, "suffix": suffix}

    def work() -> list[str]:
        workspace.save(JOURNAL, journal)
        return apply(workspace, journal, again=False)

    return run_isolated(work)


def apply(workspace: Workspace, journal: Journal, again: bool) -> list[str]:
    """Does the journal's steps, or, when one fails, undoes them all and raises; returns the names of kept copies.

    again: some steps may be done already.
    """
    steps, suffix = journal["steps"], journal["suffix"]
    try:
        with Work(workspace, STAGING, OLD) as work:
            if again:
                _check(workspace, work, steps)
            for index, (verb, name, _) in enumerate(steps):
                if verb == "put":
                    work.put(index, name, again)
                elif verb == "remove":
                    work.remove(index, name, again)
    except (OSError, SyncError) as error:
        log("The code could not be applied (%s): restoring the previous code" % error)
        with Work(workspace, STAGING, OLD) as work:
            for index in range(len(steps) - 1, -1, -1):
                work.undo(index, *steps[index][:2])
            work.keep(steps, suffix)
        os.unlink(JOURNAL, dir_fd=workspace.own)
        raise
    with Work(workspace, STAGING, OLD) as work:
        kept = work.keep(steps, suffix)
        work.prune(steps)
    if exists(workspace.own, NEXT):  # else a sync killed just after had done it
        os.rename(NEXT, MANIFEST, src_dir_fd=workspace.own, dst_dir_fd=workspace.own)
    os.unlink(JOURNAL, dir_fd=workspace.own)
    return kept


def _check(workspace: Workspace, work: Work, steps: list[Step]) -> None:
    """Raises SyncError when an interrupted sync must be undone: a power cut tore files, or its folder was taken."""
    manifest: Manifest | None = workspace.load(NEXT)
    if manifest is None:
        return  # the very last steps were reached
    staged, project = work.open_trees()
    if staged and project and steps and steps[0][1] == "":
        raise SyncError("SyncFailed", "the project's folder was created by another program")
    for name, entry in manifest["files"].items():
        for tree in (staged, project):
            status = tree.status(name) if tree else None
            if status is not None and is_torn(status, entry["sig"]):
                raise SyncError("SyncFailed", "%s was lost when the instance stopped" % name)
