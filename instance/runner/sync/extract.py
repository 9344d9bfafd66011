"""Unpacks a verified archive into staging: files and folders only, with our modes, hashed while they are written."""

import hashlib
import os
import unicodedata

from sync.report import SyncError, counted, size
from sync.tar import entries, shown, unsafe

WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Names:
    """Keeps an archive's names apart: none twice, none file and folder, none that differ only in case or accents."""

    def __init__(self):
        self.files = {}
        self.folders = set()
        self._folded = {}

    def folder(self, parts):
        """Takes a folder and those above it; gives the ones that are new, outermost first."""
        name = "/".join(parts)
        if not parts or name in self.folders:
            return []
        new = self.folder(parts[:-1])
        self._take(name, "a folder")
        self.folders.add(name)
        return [*new, name]

    def file(self, parts):
        """Takes a file; gives its name."""
        name = "/".join(parts)
        if not parts:
            raise unsafe("The archive has a file without a name")
        self._take(name, "a file")
        self.files[name] = None
        return name

    def _take(self, name, what):
        folded = (
            name.lower()
            if name.isascii()
            else unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        )
        other = self._folded.setdefault(folded, name)
        if other != name:
            raise unsafe("%s and %s differ only in case or accents" % (shown(other), shown(name)))
        if name in self.files or name in self.folders:
            raise unsafe(
                "%s is in the archive more than once%s"
                % (shown(name), "" if what == "a file" else ", as a file and as a folder")
            )


def stripped(parts, strip):
    if strip is None:
        return parts
    if parts and parts[0] != strip:
        raise unsafe("%s is not in the archive's top folder %s" % (shown("/".join(parts)), shown(strip)))
    return parts[1:]


def extract(source, staging, strip, tell):
    """Unpacks a Source into the folder with descriptor `staging`; `tell(files, bytes, name)` hears of each piece.

    Returns `(files, folders)`: `{name: {sha256, size, mode, sig}}` and the sorted folder names. Raises SyncError
    ArchiveUnsafe, and OSError (ENOSPC among them) as it comes.
    """
    names = Names()
    written = 0
    for parts, folder, length, executable in entries(source):
        if strip is not None and not folder and parts == ["._" + strip]:
            source.skip(length)  # what a Mac noted about the top folder
            continue
        parts = stripped(parts, strip)
        for new in names.folder(parts if folder else parts[:-1]):
            os.mkdir(new.encode(), 0o755, dir_fd=staging)
        if folder:
            continue
        name = names.file(parts)
        mode = 0o755 if executable else 0o644
        digest = hashlib.sha256()
        out = os.open(name.encode(), WRITE, mode, dir_fd=staging)
        try:
            for piece in source.pieces(length):
                digest.update(piece)
                written += len(piece)
                tell(len(names.files), written, name)
                while piece:
                    piece = piece[os.write(out, piece) :]
            sig = signature(os.fstat(out))
        finally:
            os.close(out)
        names.files[name] = {"sha256": digest.hexdigest(), "size": length, "mode": mode, "sig": sig}
    if not names.files:
        raise unsafe("The archive has no files")
    return names.files, sorted(names.folders)


def signature(status):
    """What tells cheaply that a file is the one we wrote: inode, size, time of change of its content (ns)."""
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def verify_tree(staging, files, folders):
    """Walks staging as it lies on the disk: exactly these regular files and folders, nothing else. Raises SyncError."""
    left = dict(files)
    seen = []
    for where, below, names, at in os.fwalk(b".", dir_fd=staging, follow_symlinks=False):
        base = where[2:].decode() + "/" if len(where) > 1 else ""
        seen += [base + name.decode() for name in below]
        for name in names:
            status = os.stat(name, dir_fd=at, follow_symlinks=False)
            expected = left.pop(base + name.decode("utf-8", "backslashreplace"), None)
            if (
                expected is None
                or signature(status) != expected["sig"]
                or status.st_nlink != 1
                or status.st_mode != 0o100000 | expected["mode"]
            ):
                raise SyncError(
                    "SyncFailed", "%s in staging differs from what was unpacked" % shown(base.encode() + name)
                )
    if left or sorted(seen) != folders:
        raise SyncError(
            "SyncFailed", "staging does not contain exactly the unpacked files: another process writes there"
        )
    return "%s, %s" % (counted(len(files), "file"), size(sum(file["size"] for file in files.values())))
