"""Where files are until all of a checkpoint are there, and the journal of their moves.

A kill at any step leaves the files that were there before, or a journal with which the next restore completes the
moves. A hidden folder of its own holds them, on the mount of their places: a move is a rename.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from typing import NamedTuple

from common.tree import FOLDER, LinkError, Tree, encode, remove_tree
from restore.checkpoint_list import STAGING, File, is_safe
from restore.errors import RestoreError

_JOURNAL, _DRAFT = b"journal.json", b"journal.json.new"
_MAX_JOURNAL_BYTES = 64 << 20
_STAGING = encode(STAGING)


class Step(NamedTuple):
    """A move: of the file `staged` in the staging of the folder `base` to `path`, where `before` was."""

    base: str
    staged: str
    path: str
    #: Size, mtime and inode; None: nothing was there.
    before: list[int] | None


class Staging:
    """The staging folders in a project. project: a descriptor of its folder."""

    def __init__(self, project: int) -> None:
        self.tree = Tree(project)
        self._folders: dict[str, int] = {}

    def base_of(self, path: str) -> str:
        """The topmost folder on the mount of a file's place. Raises RestoreError where no file can be put."""
        above = path.rpartition("/")[0]
        while True:
            try:
                mount = _mount_of(self.tree.open_folder(above))
                break
            except FileNotFoundError:
                above = above.rpartition("/")[0]
            except LinkError as error:
                raise RestoreError(f"{error.name} in the project is a symbolic link: a restore follows none") from None
            except NotADirectoryError:
                raise RestoreError(f"a file stands where {path} needs a folder") from None
        status = self.tree.status(path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise RestoreError(f"{path} is a folder in the project, and a file in the checkpoint")
        while above:
            higher = above.rpartition("/")[0]
            if _mount_of(self.tree.open_folder(higher)) != mount:
                break
            above = higher
        return above

    def folder(self, base: str) -> int:
        """The descriptor of a folder's staging, which is created when it is missing. Raises RestoreError, OSError."""
        fd = self._folders.get(base)
        if fd is None:
            above = self.tree.open_folder(base)
            try:
                os.mkdir(_STAGING, 0o700, dir_fd=above)
            except FileExistsError:
                pass
            try:
                fd = self._folders[base] = os.open(_STAGING, FOLDER, dir_fd=above)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise RestoreError(f"{STAGING} in the project is not a folder: take it away") from None
                raise
        return fd

    def complete(self) -> int:
        """Completes the moves that a restore had begun when it was killed. Returns how many it did."""
        steps = self._load()
        count = 0
        for step in steps:
            try:
                fd = self.folder(step.base)
                os.stat(step.staged, dir_fd=fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError, LinkError):
                continue  # it was moved
            if self._is_as_before(step):
                with contextlib.suppress(OSError):  # then it is fetched to its place once more
                    self._move(step)
                    count += 1
        if steps:
            self._end(steps)
        return count

    def _is_as_before(self, step: Step) -> bool:
        """Whether a move can still be done: what was changed since is newer than its checkpoint."""
        try:
            return self.state(step.path) == step.before and self.base_of(step.path) == step.base
        except RestoreError:
            return False

    def move(self, steps: list[Step]) -> None:
        """Moves files to their places, all or none, as far as a restore after this one tells. Raises OSError."""
        self._save(steps)
        for step in steps:
            self._move(step)
        self._end(steps)

    def discard(self, kept: frozenset[tuple[str, str]] = frozenset()) -> None:
        """Removes what is staged, but for `kept`: (base, name). Without any, the folders too."""
        for base in {"", *self._folders, *(base for base, _ in kept)}:
            names = {name for at, name in kept if at == base}
            if names:
                fd = self.folder(base)
                for name in os.listdir(fd):
                    if name not in names:
                        with contextlib.suppress(IsADirectoryError):
                            os.unlink(name, dir_fd=fd)
                continue
            fd = self._folders.pop(base, -1)
            if fd >= 0:
                os.close(fd)
            try:
                remove_tree(_STAGING, self.tree.open_folder(base))
            except (FileNotFoundError, NotADirectoryError):
                continue

    def state(self, path: str) -> list[int] | None:
        """[size, mtime, inode] of what is at a place, or None."""
        status = self.tree.status(path)
        return None if status is None else [status.st_size, status.st_mtime_ns, status.st_ino]

    def _move(self, step: Step) -> None:
        above = step.path.rpartition("/")[0]
        if above:
            self.tree.create_folder(above)
        fd, leaf = self.tree.locate(step.path)
        os.rename(step.staged, leaf, src_dir_fd=self.folder(step.base), dst_dir_fd=fd)

    def _end(self, steps: list[Step]) -> None:
        """Makes the moves durable, then forgets them."""
        # Also those above, which may be new.
        for name in {"", *(step.path[:at] for step in steps for at, char in enumerate(step.path) if char == "/")}:
            try:
                os.fsync(self.tree.open_folder(name))
            except (FileNotFoundError, NotADirectoryError, LinkError):
                continue
        own = self.folder("")
        os.unlink(_JOURNAL, dir_fd=own)
        os.fsync(own)

    def _save(self, steps: list[Step]) -> None:
        own = self.folder("")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(_DRAFT, flags, 0o600, dir_fd=own), "wb") as file:
            file.write(json.dumps([list(step) for step in steps]).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        for base in {step.base for step in steps}:
            os.fsync(self.folder(base))
        os.rename(_DRAFT, _JOURNAL, src_dir_fd=own, dst_dir_fd=own)
        os.fsync(own)

    def _load(self) -> list[Step]:
        """The steps of the journal; none without a valid one: it is written by rename, so a person changed it."""
        try:
            above = os.open(_STAGING, FOLDER, dir_fd=self.tree.open_folder(""))
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            fd = os.open(_JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        except OSError:
            return []
        finally:
            os.close(above)
        with open(fd, "rb") as file:
            try:
                steps = [Step(*item) for item in json.loads(file.read(_MAX_JOURNAL_BYTES))]
            except (ValueError, TypeError, RecursionError):
                return []
        is_valid = all(is_safe(s.path) and (s.base == "" or is_safe(s.base)) and is_safe(s.staged) for s in steps)
        return steps if is_valid and all("/" not in step.staged for step in steps) else []


def _mount_of(fd: int) -> str:
    """The mount that a folder is in: no file is renamed from one to another, also of the same filesystem."""
    with open(f"/proc/self/fdinfo/{fd}") as file:
        return next(line for line in file if line.startswith("mnt_id:"))


def staged_name(file: File) -> str:
    """Equal for the same content of the same file, so that another restore goes on with what one has fetched."""
    content = [file.path, file.bytes, [[part.bytes, part.md5] for part in file.parts]]
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:32]
