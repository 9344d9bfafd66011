"""Unpacks a verified archive into staging: files and folders only, with our modes, hashed while they are written."""

from __future__ import annotations

import hashlib
import os
import unicodedata

from common.report import format_count, format_size
from common.tar import Source, quote, read_entries, unsafe
from sync.note import Note
from sync.report import SyncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from sync.records import FileEntry, Signature

WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Names:
    """Keeps an archive's names apart: none twice, none file and folder, none that differ only in case or accents."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.folders: set[str] = set()
        self._folded: dict[str, str] = {}

    def add_folder(self, parts: list[str]) -> list[str]:
        """Adds a folder and those above it; returns the ones that are new, outermost first."""
        name = "/".join(parts)
        if not parts or name in self.folders:
            return []
        new = self.add_folder(parts[:-1])
        self._check(name, is_file=False)
        self.folders.add(name)
        return [*new, name]

    def add_file(self, parts: list[str]) -> str:
        """Adds a file; returns its name."""
        name = "/".join(parts)
        if not parts:
            raise unsafe("The archive has a file without a name")
        self._check(name, is_file=True)
        self.files.add(name)
        return name

    def _check(self, name: str, is_file: bool) -> None:
        folded = (
            name.lower()
            if name.isascii()
            else unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        )
        other = self._folded.setdefault(folded, name)
        if other != name:
            raise unsafe("%s and %s differ only in case or accents" % (quote(other), quote(name)))
        if name in self.files or name in self.folders:
            raise unsafe(
                "%s is in the archive more than once%s"
                % (quote(name), "" if is_file else ", as a file and as a folder")
            )


def _strip_top(parts: list[str], strip: str | None) -> list[str]:
    """The name below the archive's top folder, when that is taken off."""
    if strip is None:
        return parts
    if parts and parts[0] != strip:
        raise unsafe("%s is not in the archive's top folder %s" % (quote("/".join(parts)), quote(strip)))
    return parts[1:]


def extract(
    source: Source, staging: int, strip: str | None, report: Callable[[int, int, str], None]
) -> tuple[dict[str, FileEntry], list[str], Note]:
    """Unpacks a Source into the folder with descriptor `staging`; calls `report(files, bytes, name)` for each piece.

    Returns the files by name, the sorted folder names and the archive's note. Raises SyncError ArchiveUnsafe, and
    OSError (ENOSPC among them) unchanged.
    """
    names = Names()
    files: dict[str, FileEntry] = {}
    comments: list[bytes] = []
    written = 0
    for parts, is_folder, length, is_executable in read_entries(source, comments):
        if strip is not None and not is_folder and parts == ["._" + strip]:
            source.skip(length)  # the extended attributes of the top folder, from a Mac
            continue
        parts = _strip_top(parts, strip)
        for new in names.add_folder(parts if is_folder else parts[:-1]):
            os.mkdir(new.encode(), 0o755, dir_fd=staging)
        if is_folder:
            continue
        name = names.add_file(parts)
        mode = 0o755 if is_executable else 0o644
        digest = hashlib.sha256()
        out = os.open(name.encode(), WRITE, mode, dir_fd=staging)
        try:
            for piece in source.read_pieces(length):
                digest.update(piece)
                written += len(piece)
                report(len(names.files), written, name)
                while piece:
                    piece = piece[os.write(out, piece) :]
            sig = signature(os.fstat(out))
        finally:
            os.close(out)
        files[name] = {"sha256": digest.hexdigest(), "size": length, "mode": mode, "sig": sig}
    if not files:
        raise unsafe("The archive has no files")
    return files, sorted(names.folders), Note(comments, strip)


def signature(status: os.stat_result) -> Signature:
    """What shows cheaply that a file is the one we wrote: inode, size, modification time (ns)."""
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def verify_tree(staging: int, files: dict[str, FileEntry], folders: list[str]) -> str:
    """Walks staging on the disk: exactly these regular files and folders, nothing else. Raises SyncError.

    Returns the counts for the log.
    """
    missing = dict(files)
    subfolders: list[str] = []
    for path, below, names, fd in os.fwalk(b".", dir_fd=staging, follow_symlinks=False):
        base = path[2:].decode() + "/" if len(path) > 1 else ""
        subfolders += [base + name.decode() for name in below]
        for name in names:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            expected = missing.pop(base + name.decode("utf-8", "backslashreplace"), None)
            if (
                expected is None
                or signature(status) != expected["sig"]
                or status.st_nlink != 1
                or status.st_mode != 0o100000 | expected["mode"]
            ):
                raise SyncError(
                    "SyncFailed", "%s in staging differs from what was unpacked" % quote(base.encode() + name)
                )
    if missing or sorted(subfolders) != folders:
        raise SyncError(
            "SyncFailed", "staging does not contain exactly the unpacked files: another process writes there"
        )
    total = sum(file["size"] for file in files.values())
    return "%s, %s" % (format_count(len(files), "file"), format_size(total))
