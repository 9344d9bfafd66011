"""Names below a folder, opened so that no link is ever followed: a link could lead anywhere."""

from __future__ import annotations

import errno
import os
import stat

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LinkError(Exception):
    """A symbolic link stands where a folder has to be. `name`: of the folder."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is a symbolic link")
        self.name = name


class Tree:
    """Names below one folder, reached component by component with O_NOFOLLOW; descriptors of folders are remembered."""

    #: Raised with the name of a folder that is a symbolic link.
    link_error: type[Exception] = LinkError

    def __init__(self, fd: int) -> None:
        self._fds = {"": fd}

    def open_folder(self, name: str) -> int:
        """Descriptor of a folder. Raises LinkError, FileNotFoundError or NotADirectoryError."""
        fd = self._fds.get(name)
        if fd is None:
            above, _, leaf = name.rpartition("/")
            parent = self.open_folder(above)
            try:
                fd = os.open(encode(leaf), FOLDER, dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP) and is_link(encode(leaf), parent):
                    raise self.link_error(name) from None
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
            os.mkdir(encode(leaf), 0o755, dir_fd=self.open_folder(above))
        except FileExistsError:
            return

    def locate(self, name: str) -> tuple[int, bytes]:
        """Descriptor of the folder, and last component, of a name."""
        above, _, leaf = name.rpartition("/")
        return self.open_folder(above), encode(leaf)

    def status(self, name: str) -> os.stat_result | None:
        """lstat, or None where nothing exists, nor can exist: a file or a link is on the way."""
        try:
            fd, leaf = self.locate(name)
            return os.stat(leaf, dir_fd=fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError, self.link_error):
            return None

    def close(self) -> None:
        """Closes the descriptors of the subfolders: folders were moved or removed, or there are too many."""
        for name in [name for name in self._fds if name]:
            os.close(self._fds.pop(name))


def encode(name: str) -> bytes:
    """A name as the filesystem has it, whatever the locale is."""
    return name.encode("utf-8", "surrogateescape")


def is_link(leaf: bytes, fd: int) -> bool:
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
