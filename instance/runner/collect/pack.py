"""Packs a run's results for S3: the jobs' logs, the outputs, and a list of the outputs and packages."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Iterator

from collect import inventory, log_stream, outputs, points, selection, usage
from common import accounts, attempts, child, listing, marker, paths

if TYPE_CHECKING:
    from common.secrets.redact import Redactor

OUTPUTS = "outputs.tar.gz"
INVENTORY = "inventory.json"
_MAX_INVENTORY_S = 30


def main(folder: str) -> None:
    """Writes collected.json. Whatever cannot be packed is a warning in it."""
    request = marker.read(os.path.join(folder, paths.INPUT))
    if request is None:
        raise FileNotFoundError(paths.INPUT)
    files: list[dict[str, Any]] = []
    warnings: list[str] = []
    run = os.path.dirname(folder)
    redact = _redactor(run, warnings)
    raw: dict[str, int] = {}
    chosen = selection.choose(attempts.folders(run), warnings)
    for one in chosen.logs:
        raw[one.name] = _log(one, files, warnings)
    for one in chosen.times:
        _times(one, raw[one.name], files, warnings)
    usage.pack(folder, [one.path for one in attempts.begun(run, "train")], files, warnings)
    if request.get("logsOnly"):
        marker.remove(os.path.join(folder, OUTPUTS))
        warnings.append("The outputs were not packed: the process that packs them crashed on every attempt")
    else:
        _outputs_and_inventory(folder, request, redact, files, warnings)
    warnings = [redact(warning) for warning in dict.fromkeys(warnings)]
    marker.write(os.path.join(folder, paths.COLLECTED), {"files": files, "warnings": warnings, "raw": raw})
    marker.remove(_metrics_file(folder))


def _metrics_file(folder: str) -> str:
    run = os.path.dirname(folder)
    return paths.metrics_file(os.path.dirname(os.path.dirname(run)), os.path.basename(run))


def fetch(folder: str) -> None:
    """Packs files for a person, and writes collected.json. Whatever cannot be packed is a warning in it."""
    request = marker.read_existing(os.path.join(folder, paths.INPUT))
    files: list[dict[str, Any]] = []
    warnings: list[str] = []
    run = os.path.dirname(folder)
    redact = _redactor(run, warnings)
    before = _listing(run)
    packed = _outputs(folder, before, request, accounts.Account(**request["account"]), files)
    warnings = [redact(warning) for warning in [*warnings, *packed.warnings]]
    result = {"files": files, "count": len(packed.files), "warnings": warnings, "raw": {}}
    marker.write(os.path.join(folder, paths.COLLECTED), result)


def _listing(run: str) -> listing.Listing | None:
    """Of the first attempt on this instance: what differs from that is the run's."""
    trainings = attempts.begun(run, "train")
    return listing.read(trainings[0].path) if trainings else None


def _redactor(run: str, warnings: list[str]) -> Redactor:
    """Takes the run's secrets out of texts: file names may hold them.

    The secrets are read again, since no file keeps them.
    """
    from common.secrets import read, redact

    for job in ("train", "install"):
        begun = attempts.begun(run, job)
        if not begun:
            continue  # It has not begun, and had no values.
        request = marker.read(os.path.join(begun[-1].path, paths.REQUEST)) or {}
        secrets = request.get(job, {}).get("secrets")
        if secrets:
            result = read.read(secrets, os.environ)
            if result.problems:
                why = read.describe(secrets, result.problems)
                warnings.append(f"Names of files were not searched for all secrets of the run. {why}")
            return redact.Redactor(result.values.values())
    return redact.Redactor()


def _outputs_and_inventory(
    folder: str, request: dict[str, Any], redact: Redactor, files: list[dict[str, Any]], warnings: list[str]
) -> None:
    account = accounts.Account(**request["account"])
    run = os.path.dirname(folder)
    _warn_of_administrator(account, warnings)
    before = _listing(run)
    packed = _outputs(folder, before, request, account, files)
    warnings += packed.warnings
    python, packages = _packages(run, account, warnings)
    content = {
        "outputs": [file for file in packed.files if "sha256" in file],
        "leftOut": packed.left_out,
        "others": packed.others,
        "python": python,
        "packages": packages,
    }
    _inventory(folder, redact.everywhere(content), files, warnings)
    project = os.path.join(account.home, request["project"])
    source = points.Source(_metrics_file(folder), project, before, redact)
    points.pack(folder, source, account, files, warnings)


def _warn_of_administrator(account: accounts.Account, warnings: list[str]) -> None:
    groups = accounts.administrator_groups(account) if os.geteuid() == 0 and account.uid != 0 else []
    if groups:
        warnings.append(
            "The jobs' user {} is in the administrators' groups {}: code of a run can become root".format(
                account.name, ", ".join(groups)
            )
        )


def _log(one: attempts.JobFolder, files: list[dict[str, Any]], warnings: list[str]) -> int:
    """Returns how many bytes of the log are kept: a process that escaped its supervisor may still write."""
    job, folder = one.name, one.path
    try:
        fd = marker.open_regular(os.path.join(folder, paths.LOG))
    except FileNotFoundError:
        return 0  # The job never began.
    except (OSError, marker.Untrusted) as error:
        warnings.append(f"The log of {job} cannot be read: {error}")
        return 0
    try:
        limit, why = log_stream.kept_bytes(fd)
        log = log_stream.Gzipped(fd, limit, log_stream.MAX_READ_S)
        files.append(log_stream.entry(job + selection.LOG, log))  # An empty log is kept too.
        if marker.exists(os.path.join(folder, paths.LOG_CHANGED)):
            warnings.append(f"The job {job} rewrote a part of its log")
        metadata = marker.read(os.path.join(folder, paths.METADATA_OPEN)) if one.job == "train" else None
        if metadata:
            warnings.append(
                "The run's jobs could reach the instance metadata service, and so the credentials of the instance's"
                f" role: {metadata['reason']}"
            )
        lingered = marker.read(os.path.join(folder, paths.LINGERED))
        if lingered:
            warnings.append(
                f"Processes of the job {job} were idle after its main process had exited, and were ended:"
                f" {lingered['processes']}"
            )
        if marker.exists(os.path.join(folder, paths.LOG_START)):
            warnings.append(f"The beginning of the log of {job} is missing: the job truncated it")
        if log.raw < limit:
            why = f"reading it took longer than {log_stream.MAX_READ_S} s"
        if why:
            warnings.append(f"Only the first {log.raw} bytes of the log of {job} were kept: {why}")
        return log.raw
    finally:
        os.close(fd)


def _times(one: attempts.JobFolder, limit: int, files: list[dict[str, Any]], warnings: list[str]) -> None:
    """Adds the times of a training's log, up to so many of its bytes."""
    try:
        with open_times(one.path, limit) as times:
            files.append(log_stream.entry(one.name + selection.TIMES, times))
    except FileNotFoundError:
        return  # The training never began.
    except (OSError, marker.Untrusted) as error:
        warnings.append(f"The times of the log of {one.name} cannot be read: {error}")


@contextlib.contextmanager
def open_times(train: str, limit: int) -> Iterator[log_stream.Times]:
    """The times of the first `limit` bytes in the log of a training. Raises OSError, Untrusted."""
    fd = marker.open_regular(os.path.join(train, paths.LOG_TIMES))
    try:
        begins = (marker.read(os.path.join(train, paths.LOG_START)) or {}).get("offset", 0)
        yield log_stream.Times(fd, begins, limit)
    finally:
        os.close(fd)


def _outputs(
    folder: str,
    before: listing.Listing | None,
    request: dict[str, Any],
    account: accounts.Account,
    files: list[dict[str, Any]],
) -> outputs.Packed:
    path = os.path.join(folder, OUTPUTS)
    project = os.path.join(account.home, request["project"])
    wanted = outputs.Selection(
        request["outputs"],
        before,
        request["outputsFrom"] == "all",
        request.get("isRunning", False),
        request.get("until"),
    )
    try:
        packed = outputs.pack(path, project, wanted, request["maxBytes"], account)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        packed = outputs.Packed([], [], [], [f"The outputs were not packed: {why}"])
    if not packed.files:
        marker.remove(path)
        return packed
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # collected.json, which names it, is durable too
        files.append(log_stream.entry(OUTPUTS, log_stream.plain(file.fileno())))
    return packed


def _packages(run: str, account: accounts.Account, warnings: list[str]) -> tuple[dict[str, str] | None, dict[str, str]]:
    """Of the latest training."""
    try:
        trainings = [one for one in attempts.folders(run) if one.job == "train"]
        request = marker.read(os.path.join(trainings[-1].path, paths.REQUEST)) if trainings else None
        if not request:
            return None, {}
        work = request["train"]
        project = request["project"] if work.get("environment") == "project" else None
        result = child.run(lambda: inventory.describe(work["python"], account, project), account, _MAX_INVENTORY_S)
        return result["python"], result["packages"]
    except Exception as error:  # A list for people: its failure must not stop anything else.
        warnings.append(f"The installed packages could not be read: {type(error).__name__}: {error}")
        return None, {}


def _inventory(folder: str, content: dict[str, Any], files: list[dict[str, Any]], warnings: list[str]) -> None:
    data = json.dumps(content, sort_keys=True).encode("utf-8")
    try:
        marker.replace(os.path.join(folder, INVENTORY), data)
    except OSError as error:
        warnings.append(f"The list of outputs was not written: {error.strerror or error}")
        return
    files.append(log_stream.entry(INVENTORY, [data]))
