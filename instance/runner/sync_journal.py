"""Applies a plan to the project's folder with a journal, so that a sync killed anywhere leaves the old code or the new.

The plan is on the disk before its first step is done. Every step may be done twice, and does renames alone: what has to
go is parked in `old/` under the step's number until all is done. Killed before the journal stands: the old code. Killed
after: the next sync does the list again to its end, or, where it cannot (a full disk, a folder taken away), undoes it.
"""

import errno
import os
import stat
import time

from sync_extract import signature
from sync_place import Tree
from sync_report import SyncError, say

JOURNAL, MANIFEST, NEXT, STAGING, OLD = b"journal.json", b"manifest.json", b"next.json", b"staging", b"old"


def clear(place):
    """Takes away what a killed sync left behind, once no journal needs it."""
    for name in (NEXT, b"archive", STAGING, OLD):
        place.discard(name)


def recover(place):
    """Ends what an interrupted sync began; returns what it kept. Raises SyncError or OSError where it cannot."""
    kept = []
    journal = place.load(JOURNAL)
    if journal is not None:
        say("An earlier sync was interrupted while it was applied: completing it")
        kept = apply(place, journal)
    clear(place)
    return kept


def commit(place, steps, manifest, started):
    """Applies a plan; returns the names under which files of the person's now lie."""
    place.discard(OLD)
    os.mkdir(OLD, 0o700, dir_fd=place.own)
    place.save(NEXT, manifest)  # now, because at the end a disk may be full
    journal = {"steps": steps, "started": started}
    place.save(JOURNAL, journal)
    return apply(place, journal)


def apply(place, journal):
    """Does the journal's steps, or, when one cannot be done, undoes them all and raises."""
    steps = journal["steps"]
    try:
        with Work(place) as work:
            for index, (verb, name, _) in enumerate(steps):
                if verb == "put":
                    work.put(index, name)
                elif verb == "remove":
                    work.remove(index, name)
    except (OSError, SyncError):
        with Work(place) as work:
            for index in range(len(steps) - 1, -1, -1):
                work.undo(index, *steps[index][:2])
        os.unlink(JOURNAL, dir_fd=place.own)
        say("The code could not be applied: what was there before is back")
        raise
    with Work(place) as work:
        kept = work.settle(steps, ".local-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(journal["started"])))
    try:
        os.rename(NEXT, MANIFEST, src_dir_fd=place.own, dst_dir_fd=place.own)
    except FileNotFoundError:
        pass  # a sync killed right here had done it
    os.unlink(JOURNAL, dir_fd=place.own)
    return kept


class Work:
    """The folders that the steps move files between: staging, the project, and `old/`."""

    def __init__(self, place):
        self._place = place
        self._fds = []
        self._old = self._open(OLD, place.own)
        self._staging = self._open(STAGING, place.own)
        self._tree = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._tree:
            self._tree.forget()
        for fd in self._fds:
            os.close(fd)

    def _open(self, name, at):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        except FileNotFoundError:
            return None
        self._fds.append(fd)
        return fd

    def _target(self, name):
        """Folder and last component of a name in the project; of the project's folder itself for the name ``."""
        if not name:
            return self._place.home, self._place.name
        if self._tree is None:
            self._tree = Tree(self._open(self._place.name, self._place.home))
        return self._tree.at(name)

    def _source(self, name):
        return (self._staging, name.encode()) if name else (self._place.own, STAGING)

    def _park(self, index, folder, leaf):
        parked = b"%d" % index
        while exists(self._old, parked):  # an interrupted sync parked one already, and something came after it
            parked += b"."
        try:
            os.rename(leaf, parked, src_dir_fd=folder, dst_dir_fd=self._old)
        except FileNotFoundError:
            return

    def put(self, index, name):
        """Moves a file, or a whole folder, from staging to its place."""
        source = self._source(name)
        if source[0] is None or not exists(*source):
            return  # done by the sync that was interrupted
        folder, leaf = self._target(name)
        self._park(index, folder, leaf)
        os.rename(source[1], leaf, src_dir_fd=source[0], dst_dir_fd=folder)

    def remove(self, index, name):
        try:
            folder, leaf = self._target(name)
            if not stat.S_ISDIR(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
                self._park(index, folder, leaf)
        except (FileNotFoundError, NotADirectoryError):
            return  # gone, or a file of the new code stands where its folder was

    def undo(self, index, verb, name):
        """Takes one step back, whether it was done or not."""
        if verb == "prune":
            return
        try:
            folder, leaf = self._target(name)
        except (FileNotFoundError, NotADirectoryError):
            return  # never reached
        source = self._source(name)
        if verb == "put" and source[0] is not None and not exists(*source) and exists(folder, leaf):
            os.rename(leaf, source[1], src_dir_fd=folder, dst_dir_fd=source[0])
        if exists(self._old, b"%d" % index):
            os.rename(b"%d" % index, leaf, src_dir_fd=self._old, dst_dir_fd=folder)

    def settle(self, steps, suffix):
        """After the last step: puts what was the person's beside its name, removes folders that became empty."""
        kept = []
        for parked in sorted(map(os.fsencode, os.listdir(self._old)), key=lambda leaf: (len(leaf), leaf)):
            _, name, ours = steps[int(parked.rstrip(b"."))]
            status = os.stat(parked, dir_fd=self._old, follow_symlinks=False)
            if signature(status) != ours and not self._vanishes(parked, status):
                kept.append(self._beside(parked, name, suffix))
        for verb, name, _ in steps:
            if verb == "prune":
                try:
                    folder, leaf = self._target(name)
                    os.rmdir(leaf, dir_fd=folder)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR):
                        raise
        return kept

    def _vanishes(self, parked, status):
        """Whether a parked folder holds no file: only folders that the last sync brought, or empty ones."""
        if not stat.S_ISDIR(status.st_mode):
            return False
        return not any(names for _, _, names, _ in os.fwalk(parked, dir_fd=self._old))

    def _beside(self, parked, name, suffix):
        """Moves a parked file to `<name>.local-<time>`, in its folder made again where that went; returns the new name."""
        above, _, leaf = name.rpartition("/")
        try:
            folder = self._made(above)
        except NotADirectoryError:  # its folder is a file now
            above, leaf = "", name.replace("/", "_")
            folder = self._made("")
        cut = leaf.encode()[: 250 - len(suffix)].decode(errors="ignore")
        new, again = cut + suffix, 0
        while exists(folder, new.encode()):
            again += 1
            new = "%s%s-%d" % (cut, suffix, again)
        shown = above + "/" + new if above else new
        say("Kept beside: %s (%s was changed on this instance, or is not from a sync)" % (shown, name or "the folder"))
        os.rename(parked, new.encode(), src_dir_fd=self._old, dst_dir_fd=folder)
        return shown

    def _made(self, name):
        if not name:
            return self._target("x")[0]
        try:
            return self._target(name + "/x")[0]
        except FileNotFoundError:
            above, _, leaf = name.rpartition("/")
            os.mkdir(leaf.encode(), 0o755, dir_fd=self._made(above))
            return self._target(name + "/x")[0]


def exists(folder, leaf):
    try:
        os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
