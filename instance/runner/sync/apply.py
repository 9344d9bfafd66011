"""The steps of applying code: renames between staging, the project's folder and `old/`; each is idempotent."""

from __future__ import annotations

import errno
import os
import stat

from common.report import log
from common.tree import FOLDER
from sync.extract import signature
from sync.workspace import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sync.records import Step
    from sync.workspace import Workspace


def exists(folder: int, leaf: bytes) -> bool:
    try:
        os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class Work:
    """Holds the three folders open; use as a context manager."""

    def __init__(self, workspace: Workspace, staging: bytes, old: bytes) -> None:
        self._workspace = workspace
        self._fds: list[int] = []
        self._name = staging
        parked = self._open(old, workspace.own)
        if parked is None:
            raise FileNotFoundError(errno.ENOENT, "the folder of the replaced files does not exist")
        self._old = parked
        self._staging = self._open(staging, workspace.own)
        self._tree: Tree | None = None

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tree:
            self._tree.close()
        for fd in self._fds:
            os.close(fd)

    def _open(self, name: bytes, parent: int) -> int | None:
        try:
            fd = os.open(name, FOLDER, dir_fd=parent)
        except FileNotFoundError:
            return None
        self._fds.append(fd)
        return fd

    def open_trees(self) -> list[Tree | None]:
        """Staging and the project's folder as Trees, None for one that does not exist."""
        fds = (self._staging, self._open(self._workspace.name, self._workspace.home))
        return [None if fd is None else Tree(fd) for fd in fds]

    def _target(self, name: str) -> tuple[int, bytes]:
        """Folder and last component of a name in the project; of the project's folder itself for the empty name."""
        if not name:
            return self._workspace.home, self._workspace.name
        if self._tree is None:
            fd = self._open(self._workspace.name, self._workspace.home)
            if fd is None:
                raise FileNotFoundError(errno.ENOENT, "the project's folder does not exist")
            self._tree = Tree(fd)
        return self._tree.locate(name)

    def _source(self, name: str) -> tuple[int | None, bytes]:
        """Folder and last component of a name in staging; of staging itself for the empty name."""
        return (self._staging, name.encode()) if name else (self._workspace.own, self._name)

    def _park(self, index: int, folder: int, leaf: bytes, again: bool) -> None:
        """Moves a file to `old/`, if it exists."""
        parked = b"%d" % index
        while again and exists(self._old, parked):  # the interrupted sync parked one, and another file came after it
            parked += b"."
        try:
            os.rename(leaf, parked, src_dir_fd=folder, dst_dir_fd=self._old)
        except FileNotFoundError:
            return

    def put(self, index: int, name: str, again: bool) -> None:
        """Moves a file, or a whole folder, from staging to its place."""
        source, staged_leaf = self._source(name)
        if again and (source is None or not exists(source, staged_leaf)):
            return  # the interrupted sync did it
        folder, leaf = self._target(name)
        self._park(index, folder, leaf, again)
        os.rename(staged_leaf, leaf, src_dir_fd=source, dst_dir_fd=folder)

    def remove(self, index: int, name: str, again: bool) -> None:
        """Parks a file that the new code lacks."""
        try:
            folder, leaf = self._target(name)
            if not stat.S_ISDIR(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
                self._park(index, folder, leaf, again)
        except (FileNotFoundError, NotADirectoryError):
            return  # removed already, or a file of the new code is in the place of its folder

    def undo(self, index: int, verb: str, name: str) -> None:
        """Reverses one step, whether it was done or not."""
        if verb == "prune":
            return
        try:
            folder, leaf = self._target(name)
        except (FileNotFoundError, NotADirectoryError):
            return  # never reached
        source, staged_leaf = self._source(name)
        if verb == "put" and source is not None and not exists(source, staged_leaf) and exists(folder, leaf):
            os.rename(leaf, staged_leaf, src_dir_fd=folder, dst_dir_fd=source)
            if self._tree:
                self._tree.close()
        if exists(self._old, b"%d" % index):
            os.rename(b"%d" % index, leaf, src_dir_fd=self._old, dst_dir_fd=folder)

    def keep(self, steps: list[Step], suffix: str) -> list[str]:
        """After the last step: moves parked files of the person's beside their old names; returns the new names."""
        kept = []
        for parked in sorted(map(os.fsencode, os.listdir(self._old)), key=lambda leaf: (len(leaf), leaf)):
            _, name, ours = steps[int(parked.rstrip(b"."))]
            status = os.stat(parked, dir_fd=self._old, follow_symlinks=False)
            if signature(status) != ours and not self._is_hollow(parked, status):
                kept.append(self._keep_copy(parked, name, suffix))
        return kept

    def prune(self, steps: list[Step]) -> None:
        """Removes folders that became empty."""
        for verb, name, _ in steps:
            if verb == "prune":
                try:
                    folder, leaf = self._target(name)
                    os.rmdir(leaf, dir_fd=folder)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR):
                        raise

    def _is_hollow(self, parked: bytes, status: os.stat_result) -> bool:
        """Whether a parked folder holds no file, only folders."""
        if not stat.S_ISDIR(status.st_mode):
            return False
        return not any(names for _, _, names, _ in os.fwalk(parked, dir_fd=self._old))

    def _keep_copy(self, parked: bytes, name: str, suffix: str) -> str:
        """Moves a parked file to `<name>.local-<time>`, creates its folder if necessary; returns the new name."""
        above, _, leaf = name.rpartition("/")
        try:
            folder = self._create_folder(above)
        except NotADirectoryError:  # its folder is a file now
            above, leaf = "", name.replace("/", "_")
            folder = self._create_folder("")
        cut = leaf.encode()[: 250 - len(suffix)].decode(errors="ignore")
        new, number = cut + suffix, 0
        while exists(folder, new.encode()):
            number += 1
            new = "%s%s-%d" % (cut, suffix, number)
        copy = above + "/" + new if above else new
        reason = "was changed on this instance, or did not come from a sync"
        log("Kept a copy: %s (%s %s)" % (copy, name or "the folder", reason))
        os.rename(parked, new.encode(), src_dir_fd=self._old, dst_dir_fd=folder)
        return copy

    def _create_folder(self, name: str) -> int:
        """Descriptor of a folder of the project, which is created if necessary."""
        if not name:
            return self._target("x")[0]
        try:
            return self._target(name + "/x")[0]
        except FileNotFoundError:
            above, _, leaf = name.rpartition("/")
            os.mkdir(leaf.encode(), 0o755, dir_fd=self._create_folder(above))
            return self._target(name + "/x")[0]
