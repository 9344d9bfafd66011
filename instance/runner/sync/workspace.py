"""The folders a sync works in, opened so that no link is ever followed: a link under the home could lead anywhere."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time

from common import tree
from common.tree import FOLDER, remove_tree
from sync.report import SyncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sync.records import Json

PROJECT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
DRAFT_SUFFIX = b".new"  # after the name of a file that is being written
LOCK_WAIT_S = 10  # a sync that was killed may take a moment to end


class LinkError(SyncError):
    """A symbolic link stands where a folder of the code has to be."""

    def __init__(self, name: str) -> None:
        what = "folder %s of the project is" % name if name else "project's folder is"
        advice = "The sync writes through no link: put a real folder there, or take the link away."
        super().__init__("SyncFailed", "The %s a symbolic link. %s Nothing was changed." % (what, advice))


class Tree(tree.Tree):
    """Names below the project's folder, or below staging."""

    link_error = LinkError


class Workspace:
    """The project's folder and the sync's own, `<home>/.runctl/<project>/sync`: staging, journal and manifest.

    When the project's folder is a disk of its own, the sync's is in `.runctl/` there: a rename never leaves a disk.
    """

    def __init__(self, home: str, project: str) -> None:
        if not PROJECT.fullmatch(project):
            raise SyncError("SyncFailed", "The project's name is not one that a folder may have")
        self.name = project.encode()
        self.path = os.path.join(home, project)
        try:
            self.home = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SyncError("SyncFailed", "The home %s cannot be opened: %s" % (home, error.strerror)) from None
        base = self.home
        self.inside = False  # whether the sync's own folder is in the project's
        if self.project_exists() and self.project_status().st_dev != os.fstat(self.home).st_dev:
            base, self.inside = self.open_project(), True
        for part in (b".runctl", self.name, b"sync"):
            base = self._own_folder(part, base)
        self.own = base

    def _own_folder(self, part: bytes, above: int) -> int:
        try:
            os.mkdir(part, 0o700, dir_fd=above)
        except FileExistsError:
            pass
        try:
            return os.open(part, FOLDER, dir_fd=above)
        except NotADirectoryError:
            what = "%s in %s is not a folder, or is a symbolic link" % (part.decode(), os.path.dirname(self.path))
            raise SyncError("SyncFailed", what + ". The sync keeps its state there: take it away.") from None

    def project_status(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.home, follow_symlinks=False)

    def project_exists(self) -> bool:
        """Whether the project's folder exists. Raises SyncError for anything else under its name."""
        try:
            mode = self.project_status().st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(mode):
            raise LinkError("")
        if not stat.S_ISDIR(mode):
            raise SyncError("SyncFailed", "%s is not a folder: move it away. Nothing was changed." % self.path)
        return True

    def open_project(self) -> int:
        """A new descriptor of the project's folder."""
        return os.open(self.name, FOLDER, dir_fd=self.home)

    def open_own(self, name: bytes) -> int:
        """A new descriptor of a folder in the sync's own."""
        return os.open(name, FOLDER, dir_fd=self.own)

    def lock(self) -> None:
        """Keeps a second sync of this project away until this process ends."""
        fd = os.open(b"lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.own)
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SyncError(
                        "SyncFailed", "Another sync of this project is still at work on this instance"
                    ) from None
                time.sleep(0.1)

    def free_bytes(self) -> int:
        """Bytes that this user may still write."""
        status = os.fstatvfs(self.own)
        return status.f_bavail * status.f_frsize

    def load(self, name: bytes) -> Json:
        """A JSON file of the sync's own folder, or None."""
        try:
            with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.own), "rb") as file:
                return json.loads(file.read())
        except FileNotFoundError:
            return None
        except ValueError:
            return None  # it is written by rename, so a person or a failing disk did this; the next save replaces it

    def save(self, name: bytes, value: object) -> None:
        """Writes a JSON file whole or not at all, also when the power goes.

        Not marker.write: this is below a descriptor, and its draft has a name that the next sync removes.
        """
        draft = name + DRAFT_SUFFIX
        fd = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.own
        )
        with open(fd, "wb") as file:
            file.write(json.dumps(value, separators=(",", ":")).encode())
            file.flush()
            os.fsync(fd)
        os.rename(draft, name, src_dir_fd=self.own, dst_dir_fd=self.own)
        os.fsync(self.own)

    def discard(self, name: bytes) -> None:
        """Removes a file or a whole folder of the sync's own folder, if it exists."""
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=self.own, follow_symlinks=False).st_mode):
                remove_tree(name, self.own)
            else:
                os.unlink(name, dir_fd=self.own)
        except FileNotFoundError:
            return
