"""The process `store`: packs a project's environment after an install, and sends it to S3 while the training runs.

A poll of the training starts it, and gives it the right to send. It is root, and opens no file of the user: a process
that has become the user packs, and this one reads what comes out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import signal
import sys
import tempfile
from typing import Any, BinaryIO, NoReturn

from common import accounts, disk, keeper_files, libc, marker, part_sender, paths
from install import environment_archive, environment_files
from install.environment_files import NotStorable

_READ_BYTES = 1 << 20
#: Without anything sent for so long, it is given up.
_MAX_STALL_S = 120.0
#: What one report has room for.
_MAX_PARTS = 256
_MAX_MESSAGE = 300
#: Of the system call ioprio_set; its class "idle" reads when nobody else does.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_OF_PROCESS, _IOPRIO_IDLE = 1, 3 << 13


def main(job_folder: str) -> int:
    """Returns 0; also when another one works. job_folder: of the install."""
    if not keeper_files.begin(job_folder):
        return 0
    yield_to_training()
    work = marker.read(keeper_files.path(job_folder, keeper_files.INPUT))
    if work is None or marker.exists(keeper_files.path(job_folder, keeper_files.REPORT)):
        return 0  # Two polls may have started two of them.
    try:
        report = {"state": "sent", **_store(job_folder, work)}
    except (NotStorable, part_sender.GivenUp, OSError) as error:
        why = disk.reason(error)
        disk.complain(f"the environment is not stored: {why}")
        report = {"state": "failed", "message": why[:_MAX_MESSAGE]}
    marker.write(keeper_files.path(job_folder, keeper_files.REPORT), report, mode=0o600)
    return 0


def yield_to_training() -> None:
    """Gives this process the last place for the processors and the disk."""
    with contextlib.suppress(OSError):
        os.nice(19)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        with contextlib.suppress(OSError):
            libc.call("syscall", number, _IOPRIO_OF_PROCESS, 0, _IOPRIO_IDLE)


def _store(job_folder: str, work: dict[str, Any]) -> dict[str, Any]:
    """Packs and sends. Returns the report. Raises NotStorable, part_sender.GivenUp, OSError."""
    closed = os.path.join(os.path.dirname(job_folder), paths.CLOSED)

    def grant() -> dict[str, Any] | None:
        if marker.exists(closed):
            raise part_sender.GivenUp("the run has ended")
        return keeper_files.read_grant(job_folder)

    sent: dict[str, str] = {}
    sender = part_sender.Sender(sent, grant, lambda _: None, stall=_MAX_STALL_S)
    account = accounts.Account(**work["account"])
    packer = Packer(work, None if account.uid == os.geteuid() else account)
    digest = hashlib.sha256()
    total = 0
    try:
        while True:
            with tempfile.TemporaryFile(dir=keeper_files.folder(job_folder)) as part:
                length = _fill(part, packer.output, sender.grant()["partBytes"], digest)
                if length == 0:
                    break
                if len(sent) == _MAX_PARTS:
                    raise NotStorable(f"it has more than {total / 1e9:.0f} GB")
                sender.send("", f"{len(sent):05d}", part.fileno(), 0, length)
            total += length
        packages = packer.finish()
    finally:
        packer.kill()
    etags = [sent[key] for key in sorted(sent)]
    return {
        "key": work["key"],
        "sha256": digest.hexdigest(),
        "bytes": total,
        "packages": packages,
        "etags": etags,
    }


def _fill(part: BinaryIO, output: int, most: int, digest: hashlib._Hash) -> int:
    """Copies up to `most` bytes; returns how many."""
    length = 0
    while length < most:
        data = os.read(output, min(_READ_BYTES, most - length))
        if not data:
            break
        digest.update(data)
        part.write(data)
        length += len(data)
    part.flush()
    return length


class Packer:
    """A process of the user that writes the archive to a pipe. output: the end to read from."""

    def __init__(self, work: dict[str, Any], account: accounts.Account | None) -> None:
        self.output, archive = os.pipe()
        self._answer, answer = os.pipe()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self.output)
            os.close(self._answer)
            _pack(work, account, archive, answer)
        os.close(archive)
        os.close(answer)

    def finish(self) -> int:
        """The number of packages in the archive, when it is complete. Raises NotStorable."""
        data = os.read(self._answer, 4096)
        try:
            answer = json.loads(data.decode("ascii"))
        except ValueError:
            raise NotStorable("the process that packs it died") from None
        if "failed" in answer:
            raise NotStorable(answer["failed"])
        return answer["packages"]

    def kill(self) -> None:
        os.close(self.output)
        os.close(self._answer)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _pack(work: dict[str, Any], account: accounts.Account | None, archive: int, answer: int) -> NoReturn:
    try:
        if account is not None:
            accounts.drop_to(account)
        try:
            said: dict[str, Any] = {"packages": _write(work, archive)}
        except (NotStorable, OSError) as error:
            said = {"failed": str(error)[:_MAX_MESSAGE]}
        os.write(answer, json.dumps(said).encode("ascii"))
    finally:
        os._exit(0)


def _write(work: dict[str, Any], archive: int) -> int:
    """Writes the archive of exactly the files that the install has left. Raises NotStorable, OSError."""
    folder = work["folder"]
    changed = "its files have changed since the install"
    files = environment_files.find(folder)
    if environment_files.digest_of(files) != work["listing"]:
        raise NotStorable(changed)

    def out(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(archive, view) :]

    packages = environment_archive.write(folder, files, work["key"], work["installer"], out)
    if environment_files.digest_of(environment_files.find(folder)) != work["listing"]:
        raise NotStorable(changed)
    return len(packages)
