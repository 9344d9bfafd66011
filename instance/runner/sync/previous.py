"""Keeps the archive of the last sync of a project, so that the next one fetches only what that archive lacks.

What is kept is not trusted: an archive that was rebuilt is compared with the SHA-256 of the run like a fetched one.
"""

from __future__ import annotations

import os
import stat
import time

from common.tree import FOLDER
from sync.archive_index import InvalidIndex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

    from sync.archive_index import Member
    from sync.workspace import Workspace

ARCHIVE, MEMBERS = b"previous.tar.gz", b"previous.json"
#: Larger archives are not kept, nor those that take more than this share of what is free.
MAX_BYTES = 256 << 20
MAX_SHARE_OF_FREE = 0.05
#: Of all projects of this user.
MAX_TOTAL_BYTES = 1 << 30
MAX_AGE_S = 30 * 86_400


def load(workspace: Workspace) -> tuple[FileIO, list[Member]] | None:
    """The open archive and its members, or None. Raises InvalidIndex when they do not belong together."""
    try:
        members = workspace.load(MEMBERS)
        if members is None:
            return None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = open(os.open(ARCHIVE, flags, dir_fd=workspace.own), "rb", buffering=0)
    except OSError as error:
        raise InvalidIndex("it cannot be opened: %s" % error.strerror) from None
    try:
        status = os.fstat(file.fileno())
        parsed = [(int(length), str(digest)) for length, digest in members]
        if stat.S_ISREG(status.st_mode) and status.st_size == sum(length for length, _ in parsed):
            return file, parsed
    except (TypeError, ValueError, OverflowError):
        pass
    file.close()
    raise InvalidIndex("its size is not that of its members")


def keep(workspace: Workspace, name: bytes, size: int, members: list[Member] | None) -> None:
    """Keeps an archive that was synced, in place of the one before. Without members, or too large: discards it."""
    discard(workspace)
    room = workspace.free_bytes() * MAX_SHARE_OF_FREE
    if members is None or size > MAX_BYTES or size > room:
        workspace.discard(name)
        return
    try:
        os.rename(name, ARCHIVE, src_dir_fd=workspace.own, dst_dir_fd=workspace.own)
        workspace.save(MEMBERS, members)
    except OSError:  # a full disk, for one: the code has arrived, and the next sync fetches all of its archive
        workspace.discard(name)
        discard(workspace)
    prune(workspace)


def discard(workspace: Workspace) -> bool:
    """Removes what is kept of this project; returns whether there was an archive."""
    found = exists(workspace)
    for name in (MEMBERS, ARCHIVE):  # in this order, so that no members are without their archive
        workspace.discard(name)
    return found


def exists(workspace: Workspace) -> bool:
    try:
        os.stat(ARCHIVE, dir_fd=workspace.own, follow_symlinks=False)
        return True
    except FileNotFoundError:
        return False


def prune(workspace: Workspace) -> None:
    """Removes archives of other projects that are old, and the oldest beyond the limit of all of them."""
    total, oldest_allowed = 0, time.time() - MAX_AGE_S
    for changed, size, folder in sorted(_kept_by_user(workspace.home), reverse=True):
        total += size
        try:
            is_over = changed < oldest_allowed or total > MAX_TOTAL_BYTES
            if is_over and not os.path.sameopenfile(folder, workspace.own):
                for name in (MEMBERS, ARCHIVE):
                    os.unlink(name, dir_fd=folder)
        except OSError:
            continue
        finally:
            os.close(folder)


def _kept_by_user(home: int) -> list[tuple[float, int, int]]:
    """Time, size and folder of each kept archive in the home."""
    found: list[tuple[float, int, int]] = []
    try:
        base = os.open(b".runctl", FOLDER, dir_fd=home)
    except OSError:
        return found
    for project in os.listdir(base):
        try:
            folder = os.open(os.path.join(project, "sync"), FOLDER, dir_fd=base)
        except OSError:
            continue
        try:
            status = os.stat(ARCHIVE, dir_fd=folder, follow_symlinks=False)
            found.append((status.st_mtime, status.st_size, folder))
        except OSError:
            os.close(folder)
    os.close(base)
    return found
