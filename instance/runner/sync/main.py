"""The job `sync`: brings the code of a run to `<home>/<project>`, whole or not at all, as the user (CONTRACT.md)."""

import json
import os
import sys
import time

from common import disk
from sync import journal, plan
from sync.apply import exists
from sync.extract import extract, verify_tree
from sync.inflate import expanded_size, size_hint, unpacked
from sync.report import Reporter, SyncError, counted, say, size
from sync.workspace import Place, Tree

KEPT_SHOWN = 50  # names in the result, which has to fit an answer


def main():
    """Reads the request on stdin; returns the exit code, 0 or 1."""
    os.umask(0o022)  # so that 0644 and 0755 are what they say
    # File names are UTF-8, whatever the instance's locale; -I hides PYTHONIOENCODING.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    reporter = Reporter()
    try:
        reporter.result(Sync(json.loads(sys.stdin.buffer.read()), reporter).run())
        return 0
    except SyncError as error:
        failure = error
    except OSError as error:
        name = "DiskFull" if disk.is_full_error(error) else "SyncFailed"
        where = " (%s)" % os.fsdecode(error.filename) if error.filename else ""
        failure = SyncError(name, "%s%s" % (error.strerror or type(error).__name__, where))
    except Exception as error:
        import traceback

        traceback.print_tb(error.__traceback__, file=sys.stdout)  # the way, without values: one of them is the URL
        failure = SyncError("SyncFailed", "Internal error of runctl: %s" % type(error).__name__)
    say("%s: %s" % (failure.name, failure.message))
    reporter.result({"error": {"name": failure.name, "message": failure.message}})
    return 1


class Sync:
    """One sync, step by step."""

    def __init__(self, request, reporter):
        self._reporter = reporter
        self._wanted = request["sync"]
        self._started = time.time()
        say("Syncing the code of run %s to project %s" % (request["run"]["id"], request["project"]))
        self._place = Place(request["home"], request["project"])

    def run(self):
        """Returns the contract's result; a request whose `sync` is null only ends what an interrupted sync began."""
        place, wanted = self._place, self._wanted
        place.lock()
        kept = journal.recover(place)
        if wanted is None:
            return {"kept": kept[:KEPT_SHOWN]}
        old = place.load(journal.MANIFEST) or {"sha256": None, "strip": None, "files": {}, "folders": []}
        if (old["sha256"], old["strip"]) == (wanted["sha256"], wanted["strip"]) and self._is_intact(old):
            say("This archive is already in place, and no file was changed: nothing to fetch")
            say("SHA-256 verified earlier: %s" % wanted["sha256"])
            counts = {"added": 0, "changed": 0, "removed": 0, "unchanged": len(old["files"])}
            return self._told(old["files"], counts, kept, True)
        try:
            files, folders = self._unpacked()
            counts, now_kept = self._applied(files, folders, old)
        finally:
            if not exists(place.own, journal.JOURNAL):
                journal.clear(place)
        return self._told(files, counts, kept + now_kept, False)

    def _is_intact(self, old):
        self._reporter.progress("verifying", 0, len(old["files"]))
        if not self._place.project_exists():
            return False
        tree = Tree(self._place.open_project())
        return plan.is_intact(tree, old)

    def _unpacked(self):
        """Fetches, extracts and verifies; staging is the tree then."""
        place, wanted = self._place, self._wanted
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(b"archive", flags, 0o600, dir_fd=place.own), "rb+", buffering=0) as archive:
            self._fetched(archive)
            os.mkdir(journal.STAGING, 0o755, dir_fd=place.own)
            staging = place.open_own(journal.STAGING)
            files, folders = self._extracted(archive, staging)
        place.discard(b"archive")
        self._reporter.progress("verifying", 0, len(files))
        if place.inside and any(name.split("/")[0] == ".runctl" for name in [*files, *folders]):
            raise SyncError(
                "ArchiveUnsafe", "The archive has a folder .runctl, where the sync keeps its own state here"
            )
        say("Tree verified: %s, regular files and folders only" % verify_tree(staging, files, folders))
        if wanted["script"] not in files:
            found = ", ".join(sorted(name for name in files if name.endswith(".py"))[:10])
            message = "The script %s is not in the archive (Python files: %s)" % (wanted["script"], found or "none")
            raise SyncError("SyncFailed", message + ". Nothing was changed.")
        os.close(staging)
        return files, folders

    def _fetched(self, archive):
        from sync.fetch import fetch  # here, because a sync that needs no network should not wait for its modules

        expected = self._wanted["bytes"]
        say("Fetching the archive: %s" % size(expected))
        self._room(expected, "to fetch the archive")
        began = time.monotonic()
        self._reporter.progress("downloading", 0, expected, 0)
        try:
            fetch(
                self._wanted["url"],
                expected,
                self._wanted["sha256"],
                archive,
                lambda done: self._reporter.progress("downloading", done, expected, done),
            )
        except OSError as error:
            self._full(error, expected, "to fetch the archive")
        seconds = time.monotonic() - began
        say("Fetched %s in %.1f s (%s/s)" % (size(expected), seconds, size(int(expected / max(seconds, 0.001)))))
        say("SHA-256 verified: %s" % self._wanted["sha256"])

    def _extracted(self, archive, staging):
        began = time.monotonic()
        self._room(size_hint(archive), "to unpack the archive")
        strip = self._wanted["strip"]
        try:
            with unpacked(archive) as source:
                files, folders = extract(
                    source,
                    staging,
                    strip,
                    lambda done, written, name: self._reporter.progress("extracting", done, None, written, name),
                )
        except OSError as error:
            self._place.discard(journal.STAGING)
            self._full(error, lambda: expanded_size(archive), "to unpack the archive")
        total = sum(file["size"] for file in files.values())
        taken = ' (top folder "%s" taken off)' % strip if strip else ""
        seconds = time.monotonic() - began
        say("Extracted %s, %s in %.1f s%s" % (counted(len(files), "file"), size(total), seconds, taken))
        return files, folders

    def _room(self, need, what):
        free = self._place.free()
        if need > free:
            missing = "%s needed %s, %s free, %s missing" % (size(need), what, size(free), size(need - free))
            raise SyncError(
                "DiskFull", "The disk of %s is full: %s. The code there is as it was." % (self._place.path, missing)
            )

    def _full(self, error, need, what):
        """Raises DiskFull with numbers when that was the error, else the error."""
        if disk.is_full_error(error):
            self._room(need() if callable(need) else need, what)
        raise error

    def _applied(self, files, folders, old):
        place = self._place
        self._reporter.progress("applying", 0, len(files))
        staged = Tree(place.open_own(journal.STAGING))
        tree = Tree(place.open_project()) if place.project_exists() else None
        steps, counts = plan.plan(tree, staged, old, files, folders)
        wanted = self._wanted
        manifest = {"sha256": wanted["sha256"], "strip": wanted["strip"], "files": files, "folders": folders}
        kept = journal.commit(place, steps, manifest, self._started)
        tree = Tree(place.open_project())
        for name, entry in files.items():
            status = tree.status(name)
            if status is None or not plan.holds(tree, name, status, entry):
                raise SyncError(
                    "SyncFailed", "%s changed while the code was applied: another process writes there" % name
                )
        parts = ["%s %s" % ("{:,}".format(counts[kind]), kind) for kind in counts]
        say("Applied to %s: %s, %d copies kept" % (place.path, ", ".join(parts), len(kept)))
        return counts, kept

    def _told(self, files, counts, kept, cached):
        """The last lines of the log, and the result."""
        wanted = self._wanted
        python = sorted(name for name in files if name.endswith(".py"))
        say(
            "\n  ".join(["Python files (%d):" % len(python)] + ["%s  %s" % (n, size(files[n]["size"])) for n in python])
        )
        say("Verified: script %s exists" % wanted["script"])
        say("Verified: training folder %s exists" % self._place.path)
        requirements = wanted["requirements"] or "requirements.txt"
        say(
            "Verified: %s %s"
            % (requirements, "exists" if requirements in files else "is missing: nothing to install from it")
        )
        return {
            "files": len(files),
            "bytes": sum(file["size"] for file in files.values()),
            "added": counts["added"],
            "changed": counts["changed"],
            "removed": counts["removed"],
            "kept": kept[:KEPT_SHOWN],
            "pythonFiles": len(python),
            "cached": cached,
            "sha256": wanted["sha256"],
        }
