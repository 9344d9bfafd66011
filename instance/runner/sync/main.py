"""The job `sync`: brings the code of a run to `<home>/<project>`, whole or not at all, as the user (CONTRACT.md)."""

from __future__ import annotations

import os
import time

from common import disk, job_process
from common.report import Reporter, format_count, format_size, log
from common.tar import quote
from sync import journal, plan, previous
from sync.apply import exists
from sync.extract import extract, verify_tree
from sync.inflate import measure_expanded_size, open_unpacked, read_size_hint
from sync.report import SyncError
from sync.workspace import LinkError, Tree, Workspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO
    from typing import Any, Callable, NoReturn

    from sync.archive_index import Member
    from sync.fetch import Meter
    from sync.note import Note
    from sync.records import FileEntry, Manifest, Source

#: More is removed only when the run spec has allowRemovals. core/archive/removals.ts has the same numbers.
MAX_REMOVED_FILES = 100
MAX_REMOVED_BYTES = 100_000_000
MAX_KEPT_NAMES = 50  # in the result, which has to fit an answer


def main() -> int:
    """The process of the job; returns the exit code, 0 or 1."""
    return job_process.run(lambda request, reporter: Sync(request, reporter).run(), "SyncFailed")


class Sync:
    """One sync, step by step."""

    def __init__(self, request: dict[str, Any], reporter: Reporter) -> None:
        self._reporter = reporter
        self._request: dict[str, Any] = request["sync"]
        self._started = time.time()
        self._fetched = 0
        log("Syncing the code of run %s to project %s" % (request["run"]["id"], request["project"]))
        self._workspace = Workspace(request["home"], request["project"])

    def run(self) -> dict[str, object]:
        """Returns the contract's result; a request whose `sync` is null only completes an interrupted sync."""
        workspace, request = self._workspace, self._request
        workspace.lock()
        kept = journal.recover(workspace)
        if request is None:
            return {"kept": kept[:MAX_KEPT_NAMES]}
        empty: Manifest = {"sha256": None, "strip": None, "files": {}, "folders": []}
        old: Manifest = workspace.load(journal.MANIFEST) or empty
        if (old["sha256"], old["strip"]) == (request["sha256"], request["strip"]) and self._is_intact(old):
            log("This archive is already in place, and no file was changed: nothing to fetch")
            log("SHA-256 verified earlier: %s" % request["sha256"])
            counts = {"added": 0, "changed": 0, "removed": 0, "unchanged": len(old["files"])}
            return self._finish(old["files"], counts, kept, True)
        try:
            files, folders, note = self._unpack()
            self._check_source(old.get("source"), note.source)
            counts, new_kept = self._apply(files, folders, note, old)
        finally:
            if not exists(workspace.own, journal.JOURNAL):
                journal.clear(workspace)
        return self._finish(files, counts, kept + new_kept, False)

    def _is_intact(self, old: Manifest) -> bool:
        self._reporter.report_progress("verifying", 0, len(old["files"]))
        if not self._workspace.project_exists():
            return False
        tree = Tree(self._workspace.open_project())
        return plan.is_intact(tree, old)

    def _unpack(self) -> tuple[dict[str, FileEntry], list[str], Note]:
        """Fetches, extracts and verifies; staging holds the tree after that."""
        workspace, script = self._workspace, self._request["script"]
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(b"archive", flags, 0o600, dir_fd=workspace.own), "rb+", buffering=0) as archive:
            members, expanded = self._fetch(archive)
            self._check_room(max(expanded, read_size_hint(archive)), "to unpack the archive")
            os.mkdir(journal.STAGING, 0o755, dir_fd=workspace.own)
            staging = workspace.open_own(journal.STAGING)
            files, folders, note = self._extract(archive, staging)
        previous.keep(workspace, b"archive", self._request["bytes"], members)
        self._reporter.report_progress("verifying", 0, len(files))
        if workspace.inside and any(name.split("/")[0] == ".runctl" for name in [*files, *folders]):
            raise SyncError(
                "ArchiveUnsafe", "The archive has a folder .runctl, where the sync keeps its own state here"
            )
        log("Tree verified: %s, regular files and folders only" % verify_tree(staging, files, folders))
        if script is not None and script not in files:
            python = ", ".join(sorted(name for name in files if name.endswith(".py"))[:10])
            message = "The script %s is not in the archive (Python files: %s)" % (script, python or "none")
            raise SyncError("SyncFailed", message + ". Nothing was changed.")
        os.close(staging)
        return files, folders, note

    def _fetch(self, archive: FileIO) -> tuple[list[Member] | None, int]:
        """Writes the archive into the open file; returns its members and what they unpack to, if an index has them."""
        # Here, because a sync that needs no network should not wait for its modules.
        from sync.fetch import Meter, fetch

        request, expected = self._request, self._request["bytes"]
        log("Fetching the archive: %s" % format_size(expected))
        self._check_room(expected, "to fetch the archive")
        began, meter = time.monotonic(), Meter()
        self._reporter.report_progress("downloading", 0, expected, 0)

        def report(done: int, total: int) -> None:
            self._reporter.report_progress("downloading", done, total, done)

        try:
            members, expanded, is_complete = self._rebuild(archive, meter, report)
            if not is_complete:
                fetch(request["url"], expected, request["sha256"], archive, meter, report)
        except OSError as error:
            self._raise_full(error, lambda: expected, "to fetch the archive")
        self._fetched = meter.fetched
        seconds = time.monotonic() - began
        speed = int(meter.fetched / max(seconds, 0.001))
        log("Fetched %s in %.1f s (%s/s)" % (format_size(meter.fetched), seconds, format_size(speed)))
        log("SHA-256 verified: %s" % request["sha256"])
        return members, expanded

    def _rebuild(
        self, archive: FileIO, meter: Meter, report: Callable[[int, int], None]
    ) -> tuple[list[Member] | None, int, bool]:
        """The members of the archive, what they unpack to, and whether the file has the archive already."""
        if not self._request.get("index"):
            return None, 0, False
        from sync import rebuild

        request, members, expanded = self._request, None, 0
        try:
            members, expanded = rebuild.fetch_index(request["index"], request["sha256"], request["bytes"], meter)
            rebuild.rebuild(self._workspace, request["url"], members, request["sha256"], archive, meter, report)
            return members, expanded, True
        except rebuild.NotRebuilt as error:
            log("Fetching all of the archive: %s" % error)
            return members, expanded, False

    def _extract(self, archive: FileIO, staging: int) -> tuple[dict[str, FileEntry], list[str], Note]:
        began = time.monotonic()
        strip = self._request["strip"]
        try:
            with open_unpacked(archive) as source:
                files, folders, note = extract(
                    source,
                    staging,
                    strip,
                    lambda done, written, name: self._reporter.report_progress("extracting", done, None, written, name),
                )
        except OSError as error:
            self._workspace.discard(journal.STAGING)
            self._raise_full(error, lambda: measure_expanded_size(archive), "to unpack the archive")
        total = sum(file["size"] for file in files.values())
        stripped = ' (top folder "%s" taken off)' % strip if strip else ""
        seconds = time.monotonic() - began
        log("Extracted %s, %s in %.1f s%s" % (format_count(len(files), "file"), format_size(total), seconds, stripped))
        return files, folders, note

    def _check_room(self, need: int, purpose: str) -> None:
        free = self._workspace.free_bytes()
        if need > free and previous.discard(self._workspace):
            free = self._workspace.free_bytes()
        if need > free:
            sizes = tuple(format_size(count) for count in (need, free, need - free))
            missing = "%s needed %s, %s free, %s missing" % (sizes[0], purpose, sizes[1], sizes[2])
            raise SyncError(
                "DiskFull", "The disk of %s is full: %s. The code there is as it was." % (self._workspace.path, missing)
            )

    def _raise_full(self, error: OSError, need: Callable[[], int], purpose: str) -> NoReturn:
        """Raises DiskFull with numbers when that was the error, else the error."""
        if disk.is_full_error(error):
            self._check_room(need(), purpose)
        raise error

    def _apply(
        self, files: dict[str, FileEntry], folders: list[str], note: Note, old: Manifest
    ) -> tuple[dict[str, int], list[str]]:
        """Moves staging into the project's folder; returns the counts, and the names of kept copies."""
        workspace, request = self._workspace, self._request
        self._reporter.report_progress("applying", 0, len(files))
        staged = Tree(workspace.open_own(journal.STAGING))
        tree = Tree(workspace.open_project()) if workspace.project_exists() else None
        steps, counts = plan.make_plan(tree, staged, old, files, folders, note.left_out)
        left_in_place = counts.pop("left in place")
        self._check_removals(
            [old["files"][name] for verb, name, _ in steps if verb == "remove" and name in old["files"]]
        )
        manifest: Manifest = {
            "sha256": request["sha256"],
            "strip": request["strip"],
            "files": files,
            "folders": folders,
            "source": note.source or old.get("source"),
        }
        kept = journal.commit(workspace, steps, manifest, self._started)
        tree = Tree(workspace.open_project())
        for name, entry in files.items():
            status = tree.status(name)
            if status is None or not plan.has_content(tree, name, status, entry):
                raise SyncError(
                    "SyncFailed", "%s changed while the code was applied: another process writes there" % name
                )
        parts = ["%s %s" % ("{:,}".format(counts[kind]), kind) for kind in counts]
        log("Applied to %s: %s, %d copies kept" % (workspace.path, ", ".join(parts), len(kept)))
        if left_in_place:
            log("Not removed: %s that the archive leaves out" % format_count(left_in_place, "file"))
        return counts, kept

    def _check_source(self, old: Source | None, new: Source | None) -> None:
        """Raises SyncError when another folder or repository has synced this project. An unknown source may be any."""
        if old is None or new is None or old["id"] == new["id"] or self._request.get("takeOver"):
            return
        raise SyncError(
            "ProjectInUse",
            "The project %s on this instance has the code of %s, and this archive is from %s. Nothing was changed."
            % (os.fsdecode(self._workspace.name), quote(old["label"]), quote(new["label"])),
        )

    def _check_removals(self, removed: list[FileEntry]) -> None:
        """Raises SyncError when so much would be removed that a person has to allow it."""
        total = sum(entry["size"] for entry in removed)
        if self._request.get("allowRemovals") or (len(removed) <= MAX_REMOVED_FILES and total <= MAX_REMOVED_BYTES):
            return
        raise SyncError(
            "RemovalsNotAllowed",
            "The sync would remove %s (%s) of %s that the archive does not contain. Nothing was changed."
            % (format_count(len(removed), "file"), format_size(total), self._workspace.path),
        )

    def _create_folders(self, names: list[str]) -> None:
        """Creates the folders that the outputs are in: scripts write into them. Changes nothing that exists."""
        tree = Tree(self._workspace.open_project())
        for name in names:
            if not name or any(part in ("", ".", "..") for part in name.split("/")):
                continue
            try:
                tree.create_folder(name)
            except (NotADirectoryError, LinkError):
                continue  # the person has put a file or a link there
            except OSError as error:
                log("The folder %s could not be created: %s" % (name, error.strerror))
        tree.close()

    def _finish(
        self, files: dict[str, FileEntry], counts: dict[str, int], kept: list[str], cached: bool
    ) -> dict[str, object]:
        """Writes the last lines of the log; returns the result."""
        request = self._request
        self._create_folders(request.get("folders", []))
        python = sorted(name for name in files if name.endswith(".py"))
        lines = ["%s  %s" % (name, format_size(files[name]["size"])) for name in python]
        log("\n  ".join(["Python files (%d):" % len(python), *lines]))
        if request["script"] is not None:
            log("Verified: script %s exists" % request["script"])
        log("Verified: training folder %s exists" % self._workspace.path)
        requirements = request["requirements"] or "requirements.txt"
        log(
            "Verified: %s %s"
            % (requirements, "exists" if requirements in files else "is missing: nothing to install from it")
        )
        return {
            "files": len(files),
            "bytes": sum(file["size"] for file in files.values()),
            "added": counts["added"],
            "changed": counts["changed"],
            "removed": counts["removed"],
            "kept": kept[:MAX_KEPT_NAMES],
            "pythonFiles": len(python),
            "cached": cached,
            "fetched": self._fetched,
            "sha256": request["sha256"],
        }
