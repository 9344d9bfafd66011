"""Applies a plan to the project's folder with a journal, so that a sync killed anywhere leaves the old code or the new.

The plan is on the disk before its first step is done. Every step may be done twice, and does renames alone: what has
to go is parked in `old/` under the step's number until all is done. Killed before the journal stands: the old code.
Killed after: the next sync does the list again to its end, or undoes it where it cannot (a full disk, a power cut).
"""

import os
import time

from sync.apply import Work, exists
from sync.isolate import apart
from sync.plan import is_torn
from sync.report import SyncError, say
from sync.workspace import NEW

JOURNAL, MANIFEST, NEXT, STAGING, OLD = b"journal.json", b"manifest.json", b"next.json", b"staging", b"old"


def clear(place):
    """Takes away what a killed sync left behind, once no journal needs it."""
    for name in (NEXT, NEXT + NEW, JOURNAL + NEW, b"archive", STAGING, OLD):
        place.discard(name)


def recover(place):
    """Ends what an interrupted sync began; returns what it kept. Raises OSError or SyncError where it cannot."""
    journal = place.load(JOURNAL)
    kept = []
    if journal is not None:
        say("An earlier sync was interrupted while it was applied: completing it")
        try:
            kept = apart(lambda: apply(place, journal, again=True))
        except (OSError, SyncError):
            if exists(place.own, JOURNAL):
                raise
    clear(place)
    return kept


def commit(place, steps, manifest, started):
    """Applies a plan; returns the names under which files of the person's now lie."""
    os.mkdir(OLD, 0o700, dir_fd=place.own)
    place.save(NEXT, manifest)  # now, because at the end a disk may be full
    suffix = ".local-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(started))
    journal = {"steps": steps, "suffix": suffix}

    def work():
        place.save(JOURNAL, journal)
        return apply(place, journal, again=False)

    return apart(work)


def apply(place, journal, again):
    """Does the journal's steps, or, when one cannot be done, undoes them all and raises. `again`: some may be done."""
    steps, suffix = journal["steps"], journal["suffix"]
    try:
        with Work(place, STAGING, OLD) as work:
            if again:
                check(place, work, steps)
            for index, (verb, name, _) in enumerate(steps):
                if verb == "put":
                    work.put(index, name, again)
                elif verb == "remove":
                    work.remove(index, name, again)
    except (OSError, SyncError) as error:
        say("The code could not be applied (%s): restoring the previous code" % error)
        with Work(place, STAGING, OLD) as work:
            for index in range(len(steps) - 1, -1, -1):
                work.undo(index, *steps[index][:2])
            work.keep(steps, suffix)
        os.unlink(JOURNAL, dir_fd=place.own)
        raise
    with Work(place, STAGING, OLD) as work:
        kept = work.keep(steps, suffix)
        work.prune(steps)
    if exists(place.own, NEXT):  # else a sync killed right here had done it
        os.rename(NEXT, MANIFEST, src_dir_fd=place.own, dst_dir_fd=place.own)
    os.unlink(JOURNAL, dir_fd=place.own)
    return kept


def check(place, work, steps):
    """Raises SyncError when an interrupted sync must be undone: a power cut tore files, or its place was taken."""
    manifest = place.load(NEXT)
    if manifest is None:
        return  # the very last steps were reached
    staged, project = work.trees()
    if staged and project and steps and steps[0][1] == "":
        raise SyncError("SyncFailed", "the project's folder was created by another program")
    for name, entry in manifest["files"].items():
        for tree in (staged, project):
            status = tree.status(name) if tree else None
            if status is not None and is_torn(status, entry["sig"]):
                raise SyncError("SyncFailed", "%s was lost when the instance stopped" % name)
