"""The folders a sync works in, opened so that no link is ever followed: a link under the home could lead anywhere."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import time

from sync.extract import FOLDER
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


class Tree:
    """Names below one folder, reached component by component with O_NOFOLLOW; descriptors of folders are remembered."""

    def __init__(self, fd: int) -> None:
        self._fds = {"": fd}

    def open_folder(self, name: str) -> int:
        """Descriptor of a folder. Raises LinkError, FileNotFoundError or NotADirectoryError."""
        fd = self._fds.get(name)
        if fd is None:
            above, _, leaf = name.rpartition("/")
            parent = self.open_folder(above)
            try:
                fd = os.open(leaf.encode(), FOLDER, dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP) and is_link(leaf, parent):
                    raise LinkError(name) from None
                raise
            if len(self._fds) > 200:
                self.close()  # the parents are opened again when they are needed
            self._fds[name] = fd
        return fd

    def create_folder(self, name: str) -> None:
        """Creates a folder and those above it. Does nothing where the name exists, as a folder or anything else."""
        above, _, leaf = name.rpartition("/")
        if above and self.status(above) is None:
            self.create_folder(above)
        try:
            os.mkdir(leaf.encode(), 0o755, dir_fd=self.open_folder(above))
        except FileExistsError:
            return

    def locate(self, name: str) -> tuple[int, bytes]:
        """Descriptor of the folder, and last component, of a name."""
        above, _, leaf = name.rpartition("/")
        return self.open_folder(above), leaf.encode()

    def status(self, name: str) -> os.stat_result | None:
        """lstat, or None where nothing exists, nor can exist: a file or a link is on the way."""
        try:
            fd, leaf = self.locate(name)
            return os.stat(leaf, dir_fd=fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError, LinkError):
            return None

    def close(self) -> None:
        """Closes the descriptors of the subfolders: folders were moved or removed, or there are too many."""
        for name in [name for name in self._fds if name]:
            os.close(self._fds.pop(name))


def is_link(leaf: str | bytes, fd: int) -> bool:
    return stat.S_ISLNK(os.stat(leaf, dir_fd=fd, follow_symlinks=False).st_mode)


def remove_tree(name: bytes, fd: int) -> None:
    for _, folders, files, folder_fd in os.fwalk(name, topdown=False, dir_fd=fd):
        for leaf in files:
            os.unlink(leaf, dir_fd=folder_fd)
        for leaf in folders:
            if is_link(leaf, folder_fd):
                os.unlink(leaf, dir_fd=folder_fd)
            else:
                os.rmdir(leaf, dir_fd=folder_fd)
    os.rmdir(name, dir_fd=fd)


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
