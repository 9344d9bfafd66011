"""The job `restore`: brings a checkpoint back into `<home>/<project>`, all of its files or none, as the user.

CONTRACT.md has the request and the result.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Any

from common import disk
from common.report import Reporter, format_count, format_size, log
from common.tree import FOLDER
from restore import checkpoint_list
from restore.errors import RestoreError
from restore.fetch import Fetch, Staged, has_content, verify
from restore.staging import Staging, Step, staged_name

if TYPE_CHECKING:
    from restore.checkpoint_list import Checkpoint, File, Part

#: At the same time.
_OPEN_FILES = 64
#: Left free on the disk beside what the checkpoint needs.
_SPARE_BYTES = 16 << 20


def main() -> int:
    """Reads the request on stdin; returns the exit code, 0 or 1."""
    os.umask(0o022)
    # File names are UTF-8, whatever the instance's locale; -I hides PYTHONIOENCODING.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    reporter = Reporter()
    try:
        reporter.report_result(Restore(json.loads(sys.stdin.buffer.read()), reporter).run())
        return 0
    except RestoreError as error:
        failure = error
    except OSError as error:
        name = "DiskFull" if disk.is_full_error(error) else "RestoreFailed"
        path = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        failure = RestoreError((error.strerror or type(error).__name__) + path, name)
    except Exception as error:
        import traceback

        traceback.print_tb(error.__traceback__, file=sys.stdout)  # the calls, without values: some of them are URLs
        failure = RestoreError(f"internal error of runctl: {type(error).__name__}")
    log(f"{failure.name}: {failure.message}")
    reporter.report_result({"error": {"name": failure.name, "message": failure.message}})
    return 1


class Restore:
    """One restore, step by step."""

    def __init__(self, request: dict[str, Any], reporter: Reporter) -> None:
        self._request, self._reporter = request["restore"], reporter
        self._staging = Staging(_open_project(request["home"], request["project"]))

    def run(self) -> dict[str, Any]:
        """Returns the contract's result. Raises RestoreError, OSError."""
        completed = self._staging.complete()
        if completed:
            log(f"An earlier restore was interrupted: moved its last {format_count(completed, 'file')} into place")
        checkpoint = checkpoint_list.fetch(self._request)
        size = f"{format_count(len(checkpoint.files), 'file')}, {format_size(checkpoint.bytes)}"
        log(f"Restoring the checkpoint {checkpoint.name}: {size}")
        bases = {file.path: self._staging.base_of(file.path) for file in checkpoint.files}
        missing = self._missing(checkpoint)
        kept = len(checkpoint.files) - len(missing)
        if kept:
            log(f"{format_count(kept, 'file')} of it are in the project already")
        try:
            self._bring(missing, bases)
        except OSError as error:
            if disk.is_full_error(error):
                self._staging.discard()
                raise RestoreError(self._full(f"{format_size(checkpoint.bytes)} needed"), "DiskFull") from None
            raise
        self._staging.discard()
        log("The checkpoint is in place")
        return {"restored": checkpoint.name, "files": len(checkpoint.files), "bytes": checkpoint.bytes, "kept": kept}

    def _missing(self, checkpoint: Checkpoint) -> list[File]:
        """The files that are not in the project with the size and the MD5 of their parts."""
        files, missing = checkpoint.files, []
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for at in range(0, len(files), _OPEN_FILES):
                some = files[at : at + _OPEN_FILES]
                self._reporter.report_progress("verifying", at, len(files), None, some[0].path)
                # Opened here: Tree is for one thread.
                wholes = pool.map(_is_whole, some, [self._open(file) for file in some])
                missing += [file for file, is_whole in zip(some, wholes) if not is_whole]
        return missing

    def _open(self, file: File) -> int | None:
        """The file in the project when it may be the checkpoint's: a regular one of its size."""
        status = self._staging.tree.status(file.path)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
            return None
        above, leaf = self._staging.tree.locate(file.path)
        try:
            return os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
        except OSError:
            return None

    def _bring(self, files: list[File], bases: dict[str, str]) -> None:
        staged = [Staged(file, self._staging.folder(bases[file.path]), staged_name(file)) for file in files]
        names = frozenset((bases[one.file.path], one.name) for one in staged)
        self._staging.discard(names)
        if not files:
            return
        self._check_room(staged)
        missing = self._prepare(staged)
        total, began = sum(part.bytes for _, part in missing), time.monotonic()
        fetch = Fetch(lambda count, path: self._reporter.report_progress("downloading", count, total, count, path))
        fetch.run(missing)
        seconds = max(time.monotonic() - began, 0.001)
        log(f"Fetched {format_size(fetch.bytes)} in {seconds:.1f} s ({format_size(int(fetch.bytes / seconds))}/s)")
        self._reporter.report_progress("applying", 0, len(files))
        for one in staged:
            fd = one.open(os.O_WRONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        steps = [
            Step(bases[one.file.path], one.name, one.file.path, self._staging.state(one.file.path)) for one in staged
        ]
        self._staging.move(steps)

    def _prepare(self, staged: list[Staged]) -> list[tuple[Staged, Part]]:
        """Creates what is not staged yet; returns the parts that are to be fetched."""
        parts = []
        for one in staged:
            fd = one.open(os.O_WRONLY | os.O_CREAT)
            try:
                os.ftruncate(fd, one.file.bytes)
            finally:
                os.close(fd)
            parts += [(one, part) for part in one.file.parts]
        missing = [one for one, is_right in zip(parts, verify(parts)) if not is_right]
        if len(missing) < len(parts):
            log(f"{format_count(len(parts) - len(missing), 'part')} of it were fetched by an earlier restore")
        return missing

    def _check_room(self, staged: list[Staged]) -> None:
        """Raises RestoreError DiskFull when a disk has no room for what is missing."""
        need: dict[int, int] = {}
        folders: dict[int, int] = {}
        for one in staged:
            device = os.fstat(one.fd).st_dev
            need[device] = need.get(device, 0) + max(one.file.bytes - one.allocated(), 0)
            folders[device] = one.fd
        for device, count in need.items():
            info = os.fstatvfs(folders[device])
            free = info.f_bavail * info.f_frsize
            if count + _SPARE_BYTES > free:
                self._staging.discard()
                raise RestoreError(self._full(f"{format_size(count)} needed, {format_size(free)} free"), "DiskFull")

    def _full(self, sizes: str) -> str:
        return f"the disk has no room for the checkpoint {self._request['name']}: {sizes}"


def _is_whole(file: File, fd: int | None) -> bool:
    if fd is None:
        return False
    try:
        return all(has_content(fd, part) for part in file.parts)
    except OSError:
        return False
    finally:
        os.close(fd)


def _open_project(home: str, project: str) -> int:
    """A descriptor of the project's folder. Raises RestoreError where there is none."""
    try:
        above = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.open(project, FOLDER, dir_fd=above)
        finally:
            os.close(above)
    except OSError as error:
        raise RestoreError(f"the project's folder cannot be opened: {error.strerror}") from None
