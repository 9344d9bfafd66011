"""The steps of applying code: renames between staging, the project's folder and `old/`; each may be done twice."""

import errno
import os
import stat

from sync.extract import FOLDER, signature
from sync.report import say
from sync.workspace import Tree


def exists(folder, leaf):
    try:
        os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class Work:
    """Holds the three folders open; use as a context manager."""

    def __init__(self, place, staging, old):
        self._place = place
        self._fds = []
        self._name = staging
        self._old = self._open(old, place.own)
        self._staging = self._open(staging, place.own)
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
            fd = os.open(name, FOLDER, dir_fd=at)
        except FileNotFoundError:
            return None
        self._fds.append(fd)
        return fd

    def trees(self):
        """Staging and the project's folder as Trees, None for one that is not there."""
        found = (self._staging, self._open(self._place.name, self._place.home))
        return [None if fd is None else Tree(fd) for fd in found]

    def _target(self, name):
        """Folder and last component of a name in the project; of the project's folder itself for the empty name."""
        if not name:
            return self._place.home, self._place.name
        if self._tree is None:
            fd = self._open(self._place.name, self._place.home)
            if fd is None:
                raise FileNotFoundError(errno.ENOENT, "the project's folder does not exist")
            self._tree = Tree(fd)
        return self._tree.at(name)

    def _source(self, name):
        return (self._staging, name.encode()) if name else (self._place.own, self._name)

    def _park(self, index, folder, leaf, again):
        parked = b"%d" % index
        while again and exists(self._old, parked):  # the interrupted sync parked one, and something came after it
            parked += b"."
        try:
            os.rename(leaf, parked, src_dir_fd=folder, dst_dir_fd=self._old)
        except FileNotFoundError:
            return

    def put(self, index, name, again):
        """Moves a file, or a whole folder, from staging to its place."""
        source, leaf_there = self._source(name)
        if again and (source is None or not exists(source, leaf_there)):
            return  # the interrupted sync did it
        folder, leaf = self._target(name)
        self._park(index, folder, leaf, again)
        os.rename(leaf_there, leaf, src_dir_fd=source, dst_dir_fd=folder)

    def remove(self, index, name, again):
        """Parks a file that the new code lacks."""
        try:
            folder, leaf = self._target(name)
            if not stat.S_ISDIR(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
                self._park(index, folder, leaf, again)
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
        source, leaf_there = self._source(name)
        if verb == "put" and source is not None and not exists(source, leaf_there) and exists(folder, leaf):
            os.rename(leaf, leaf_there, src_dir_fd=folder, dst_dir_fd=source)
            if self._tree:
                self._tree.forget()
        if exists(self._old, b"%d" % index):
            os.rename(b"%d" % index, leaf, src_dir_fd=self._old, dst_dir_fd=folder)

    def keep(self, steps, suffix):
        """After the last step: puts what was the person's beside its name; returns the new names."""
        kept = []
        for parked in sorted(map(os.fsencode, os.listdir(self._old)), key=lambda leaf: (len(leaf), leaf)):
            _, name, ours = steps[int(parked.rstrip(b"."))]
            status = os.stat(parked, dir_fd=self._old, follow_symlinks=False)
            if signature(status) != ours and not self._is_hollow(parked, status):
                kept.append(self._beside(parked, name, suffix))
        return kept

    def prune(self, steps):
        """Removes folders that became empty."""
        for verb, name, _ in steps:
            if verb == "prune":
                try:
                    folder, leaf = self._target(name)
                    os.rmdir(leaf, dir_fd=folder)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR):
                        raise

    def _is_hollow(self, parked, status):
        """Whether a parked folder holds no file, only folders."""
        if not stat.S_ISDIR(status.st_mode):
            return False
        return not any(names for _, _, names, _ in os.fwalk(parked, dir_fd=self._old))

    def _beside(self, parked, name, suffix):
        """Moves a parked file to `<name>.local-<time>`, its folder made again where that went; returns the new name."""
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
        why = "was changed on this instance, or did not come from a sync"
        say("Kept a copy: %s (%s %s)" % (shown, name or "the folder", why))
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
