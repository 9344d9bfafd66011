"""Plans the steps from the project's folder as it is to the content of staging; changes nothing (journal.py does)."""

from __future__ import annotations

import hashlib
import os
import stat

from sync.extract import signature
from sync.report import SyncError
from sync.workspace import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sync.note import LeftOut
    from sync.records import FileEntry, Manifest, Signature, Step
    from sync.workspace import Tree

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def hash_file(tree: Tree, name: str) -> str | None:
    """SHA-256 of a file, or None when it cannot be read: it then counts as changed, and is kept."""
    try:
        folder, leaf = tree.locate(name)
        with open(os.open(leaf, READ, dir_fd=folder), "rb") as file:
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
            return digest.hexdigest()
    except OSError:
        return None


def has_content(tree: Tree, name: str, status: os.stat_result, entry: FileEntry) -> bool:
    """Whether the file with that status has the content of a manifest's entry; reads it only when it was touched."""
    if not stat.S_ISREG(status.st_mode) or status.st_size != entry["size"]:
        return False
    return signature(status) == entry["sig"] or hash_file(tree, name) == entry["sha256"]


def is_torn(status: os.stat_result, sig: Signature) -> bool:
    """Whether a file is ours, untouched, and of another length than we wrote: after a power cut."""
    return [status.st_ino, status.st_mtime_ns] == [sig[0], sig[2]] and status.st_size != sig[1]


def is_ours(tree: Tree, name: str, status: os.stat_result, entry: FileEntry) -> bool:
    """Whether the last sync alone wrote this file."""
    return is_torn(status, entry["sig"]) or has_content(tree, name, status, entry)


def is_intact(tree: Tree, manifest: Manifest) -> bool:
    """Whether every file that the last sync wrote exists unchanged."""
    for name, entry in manifest["files"].items():
        status = tree.status(name)
        if (
            status is None
            or stat.S_IMODE(status.st_mode) != entry["mode"]
            or not has_content(tree, name, status, entry)
        ):
            return False
    return all(tree.status(name) is not None for name in manifest["folders"])


def make_plan(
    tree: Tree | None,
    staged: Tree,
    old: Manifest,
    files: dict[str, FileEntry],
    folders: list[str],
    left_out: LeftOut,
) -> tuple[list[Step], dict[str, int]]:
    """Returns `(steps, counts)`; updates `files` with the signatures that they will have.

    `tree` is the project's folder, None while there is none. `staged` is the Tree of staging, `old` the last manifest.
    `left_out` has the names that are not removed.
    Steps: `[put, name, ours]`, `[remove, name, ours]`, `[prune, folder, None]`; `ours` is the signature of the file
    that may be replaced or removed. Any other file of that name is the person's. Raises SyncError where the folder
    cannot take the code.
    """
    counts = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0, "left in place": 0}
    if tree is None:
        counts["added"] = len(files)
        return [["put", "", None]], counts
    steps = _plan_removals(tree, old, files, folders, left_out, counts)
    whole: set[str] = set()
    for name in folders:
        above = name.rpartition("/")[0]
        if above in whole:
            whole.add(name)
            continue
        status = tree.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise LinkError(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            whole.add(name)
            steps.append(["put", name, None])
    for name, entry in files.items():
        if name.rpartition("/")[0] in whole:
            counts["added"] += 1
            continue
        status = tree.status(name)
        if status is None:
            counts["added"] += 1
            steps.append(["put", name, None])
        elif has_content(tree, name, status, entry) and stat.S_IMODE(status.st_mode) == entry["mode"]:
            counts["unchanged"] += 1
            entry["sig"] = signature(status)
        else:
            counts["changed"] += 1
            before = old["files"].get(name)
            ours = has_content(tree, name, status, entry) or (
                before is not None and is_ours(tree, name, status, before)
            )
            _make_newer(staged, name, entry, status)
            steps.append(["put", name, signature(status) if ours else None])
    _check_folders(tree, staged, steps)
    return steps, counts


def _check_folders(tree: Tree, staged: Tree, steps: list[Step]) -> None:
    """Finds before the first step what would stop a later one: a folder of root's, a disk mounted in between."""
    device = os.fstat(staged.open_folder("")).st_dev
    for name in sorted({name.rpartition("/")[0] for verb, name, _ in steps if verb != "prune"}):
        folder = tree.open_folder(name)
        label = "the project's folder" + (" " + name if name else "")
        if os.fstat(folder).st_dev != device:
            raise SyncError(
                "SyncFailed",
                "%s is a separate filesystem: code cannot be replaced there atomically. Nothing was changed." % label,
            )
        if not os.access(b".", os.W_OK | os.X_OK, dir_fd=folder):
            advice = "Give it to the user who runs the jobs (sudo chown -R). Nothing was changed."
            raise SyncError("SyncFailed", "%s cannot be written by this user. %s" % (label, advice))


def _make_newer(staged: Tree, name: str, entry: FileEntry, status: os.stat_result) -> None:
    """Makes a file newer by a second than the one it replaces: same size and second, and Python takes old bytecode."""
    old = status.st_mtime_ns // 10**9
    if entry["sig"][2] // 10**9 <= old:
        folder, leaf = staged.locate(name)
        newer = (old + 1) * 10**9
        os.utime(leaf, ns=(newer, newer), dir_fd=folder, follow_symlinks=False)
        entry["sig"] = signature(os.stat(leaf, dir_fd=folder, follow_symlinks=False))


def _plan_removals(
    tree: Tree,
    old: Manifest,
    files: dict[str, FileEntry],
    folders: list[str],
    left_out: LeftOut,
    counts: dict[str, int],
) -> list[Step]:
    """Steps for what an earlier sync wrote and this archive lacks, with the bytecode that Python made of it."""
    steps: list[Step] = []
    pruned = set(old["folders"]).difference(folders)
    for name, entry in old["files"].items():
        status = tree.status(name)
        if name in files or status is None or stat.S_ISDIR(status.st_mode):
            continue
        if name in left_out:
            counts["left in place"] += 1
            continue
        counts["removed"] += 1
        steps.append(["remove", name, signature(status) if is_ours(tree, name, status, entry) else None])
        if name.endswith(".py"):
            cache = name.rpartition("/")[0] + "/__pycache__" if "/" in name else "__pycache__"
            compiled = {path: tree.status(path) for path in _find_bytecode(tree, cache, name) if path not in files}
            steps += [["remove", path, signature(found)] for path, found in compiled.items() if found]
            if compiled and cache not in folders:
                pruned.add(cache)
    steps += [["prune", name, None] for name in sorted(pruned, reverse=True)]
    return steps


def _find_bytecode(tree: Tree, cache: str, name: str) -> list[str]:
    """Names of the compiled files of one Python file."""
    stem = name.rpartition("/")[2][:-3] + "."
    try:
        leaves = os.listdir(tree.open_folder(cache))
    except (FileNotFoundError, NotADirectoryError, LinkError):
        return []
    return [cache + "/" + leaf for leaf in leaves if leaf.startswith(stem) and leaf.endswith(".pyc")]
