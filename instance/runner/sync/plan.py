"""Plans the way from what the project's folder is to what staging holds; changes nothing yet (journal.py does)."""

import hashlib
import os
import stat

from sync.extract import signature
from sync.report import SyncError
from sync.workspace import Linked

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def digest(tree, name):
    """SHA-256 of a file, or None when it cannot be read: it then counts as changed, and is kept."""
    try:
        folder, leaf = tree.at(name)
        with open(os.open(leaf, READ, dir_fd=folder), "rb") as file:
            found = hashlib.sha256()
            for piece in iter(lambda: file.read(1 << 20), b""):
                found.update(piece)
            return found.hexdigest()
    except OSError:
        return None


def holds(tree, name, status, entry):
    """Whether the file with that status has the content of a manifest's entry; reads it only when it was touched."""
    if not stat.S_ISREG(status.st_mode) or status.st_size != entry["size"]:
        return False
    return signature(status) == entry["sig"] or digest(tree, name) == entry["sha256"]


def is_torn(status, sig):
    """Whether a file is ours, untouched, and of another length than we wrote: the power went before the disk had it."""
    return [status.st_ino, status.st_mtime_ns] == [sig[0], sig[2]] and status.st_size != sig[1]


def is_ours(tree, name, status, entry):
    """Whether nobody but the last sync wrote this file."""
    return is_torn(status, entry["sig"]) or holds(tree, name, status, entry)


def is_intact(tree, manifest):
    """Whether every file that the last sync brought is there, as it was brought."""
    for name, entry in manifest["files"].items():
        status = tree.status(name)
        if status is None or stat.S_IMODE(status.st_mode) != entry["mode"] or not holds(tree, name, status, entry):
            return False
    return all(tree.status(name) is not None for name in manifest["folders"])


def plan(tree, staged, old, files, folders):
    """Returns `(steps, counts)`; brings `files` up to date with the signatures that they will have.

    `tree` is the project's folder, None while there is none. `staged` is the Tree of staging, `old` the last manifest.
    Steps: `[put, name, ours]`, `[remove, name, ours]`, `[prune, folder, None]`; `ours` is the signature of what may go
    there, whatever else stands under that name is the person's. Raises SyncError where the folder cannot take the code.
    """
    counts = {"added": 0, "changed": 0, "removed": 0, "unchanged": 0}
    if tree is None:
        counts["added"] = len(files)
        return [["put", "", None]], counts
    steps = removals(tree, old, files, folders, counts)
    whole = set()
    for name in folders:
        above = name.rpartition("/")[0]
        if above in whole:
            whole.add(name)
            continue
        status = tree.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise Linked(name)
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
        elif holds(tree, name, status, entry) and stat.S_IMODE(status.st_mode) == entry["mode"]:
            counts["unchanged"] += 1
            entry["sig"] = signature(status)
        else:
            counts["changed"] += 1
            before = old["files"].get(name)
            ours = holds(tree, name, status, entry) or (before is not None and is_ours(tree, name, status, before))
            freshen(staged, name, entry, status)
            steps.append(["put", name, signature(status) if ours else None])
    check_folders(tree, staged, steps)
    return steps, counts


def check_folders(tree, staged, steps):
    """Finds out before the first step what would stop a later one: a folder of root's, a disk mounted in between."""
    disk = os.fstat(staged.folder("")).st_dev
    for name in sorted({step[1].rpartition("/")[0] for step in steps if step[0] != "prune"}):
        folder = tree.folder(name)
        shown = "the project's folder" + (" " + name if name else "")
        if os.fstat(folder).st_dev != disk:
            raise SyncError(
                "SyncFailed",
                "%s is a separate filesystem: code cannot be replaced there atomically. Nothing was changed." % shown,
            )
        if not os.access(b".", os.W_OK | os.X_OK, dir_fd=folder):
            advice = "Give it to the user who runs the jobs (sudo chown -R). Nothing was changed."
            raise SyncError("SyncFailed", "%s cannot be written by this user. %s" % (shown, advice))


def freshen(staged, name, entry, status):
    """Makes a file newer by a second than the one it replaces: same size and second, and Python takes old bytecode."""
    old = status.st_mtime_ns // 10**9
    if entry["sig"][2] // 10**9 <= old:
        folder, leaf = staged.at(name)
        os.utime(leaf, ns=((old + 1) * 10**9,) * 2, dir_fd=folder, follow_symlinks=False)
        entry["sig"] = signature(os.stat(leaf, dir_fd=folder, follow_symlinks=False))


def removals(tree, old, files, folders, counts):
    """Steps for what an earlier sync brought and this archive lacks, with the bytecode that Python made of it."""
    steps = []
    pruned = set(old["folders"]).difference(folders)
    for name, entry in old["files"].items():
        status = tree.status(name)
        if name in files or status is None or stat.S_ISDIR(status.st_mode):
            continue
        counts["removed"] += 1
        steps.append(["remove", name, signature(status) if is_ours(tree, name, status, entry) else None])
        if name.endswith(".py"):
            cache = name.rpartition("/")[0] + "/__pycache__" if "/" in name else "__pycache__"
            made = [beside for beside in bytecode(tree, cache, name) if beside not in files]
            steps += [["remove", beside, signature(tree.status(beside))] for beside in made]
            if made and cache not in folders:
                pruned.add(cache)
    steps += [["prune", name, None] for name in sorted(pruned, reverse=True)]
    return steps


def bytecode(tree, cache, name):
    """Names of the compiled files of one Python file."""
    stem = name.rpartition("/")[2][:-3] + "."
    try:
        found = os.listdir(tree.folder(cache))
    except (FileNotFoundError, NotADirectoryError, Linked):
        return []
    return [cache + "/" + leaf for leaf in found if leaf.startswith(stem) and leaf.endswith(".pyc")]
