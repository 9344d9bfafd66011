"""Packs what outlives the instance: the jobs' logs, the outputs, and a list of what is what."""

import json
import os

from collect import inventory, log_stream, outputs
from common import accounts, child, marker, paths

JOBS = ("sync", "install", "train")
OUTPUTS = "outputs.tar.gz"
INVENTORY = "inventory.json"
_INVENTORY_SECONDS = 30


def main(folder):
    """Writes collected.json. Whatever cannot be packed is a warning there."""
    asked = marker.read(os.path.join(folder, paths.INPUT))
    files, warnings = [], []
    run = os.path.dirname(folder)
    redact = _redactor(run, warnings)
    raw = {job: _log(os.path.join(run, job, paths.LOG), job, files, warnings) for job in JOBS}
    if asked.get("logsOnly"):
        marker.remove(os.path.join(folder, OUTPUTS))
        warnings.append("The outputs were not packed: the process that packs them crashed on every attempt")
    else:
        _everything_else(folder, asked, redact, files, warnings)
    warnings = [redact(warning) for warning in warnings]
    marker.write(os.path.join(folder, paths.COLLECTED), {"files": files, "warnings": warnings, "raw": raw})


def _redactor(run, warnings):
    """Takes the run's secrets out of texts; file names may hold them. They are read again: nobody has kept them."""
    from common.secrets import read, redact

    for job in ("train", "install"):
        if not marker.exists(os.path.join(run, job, paths.IDENTITY)):
            continue  # It has not begun, and had no values.
        request = marker.read(os.path.join(run, job, paths.REQUEST)) or {}
        secrets = request.get(job, {}).get("secrets")
        if secrets:
            found = read.read(secrets, os.environ)
            if found.problems:
                why = read.describe(secrets, found.problems)
                warnings.append(f"Names of files were not searched for all secrets of the run. {why}")
            return redact.Redactor(found.values.values())
    return redact.Redactor()


def _everything_else(folder, asked, redact, files, warnings):
    account = accounts.Account(**asked["account"])
    _warn_of_administrator(account, warnings)
    listed = _outputs(folder, asked, account, files, warnings)
    python, packages = _packages(os.path.join(os.path.dirname(folder), "train"), asked, account, warnings)
    inventory = {"outputs": listed, "python": python, "packages": packages}
    _inventory(folder, redact.everywhere(inventory), files, warnings)


def _warn_of_administrator(account, warnings):
    groups = accounts.administrator_groups(account) if os.geteuid() == 0 and account.uid != 0 else []
    if groups:
        warnings.append(
            "The jobs' user {} is in the administrators' groups {}: code of a run can become root".format(
                account.name, ", ".join(groups)
            )
        )


def _log(path, job, files, warnings):
    """Returns how many bytes of the log are kept: what escaped its supervisor may still write."""
    try:
        fd = marker.open_regular(path)
    except FileNotFoundError:
        return 0  # The run never came to this job.
    except (OSError, marker.Untrusted) as error:
        warnings.append(f"The log of {job} cannot be read: {error}")
        return 0
    try:
        most, why = log_stream.meant(fd)
        log = log_stream.Gzipped(fd, most, log_stream.MOST_SECONDS)
        size, digest = log_stream.measure(log)  # also of an empty log: whoever looks for it finds it
        files.append({"name": f"{job}.log.gz", "bytes": size, "sha256": digest})
        folder = os.path.dirname(path)
        if marker.exists(os.path.join(folder, paths.LOG_CHANGED)):
            warnings.append(f"The job {job} rewrote a part of its log")
        metadata = marker.read(os.path.join(folder, paths.METADATA_OPEN)) if job == "train" else None
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
        if log.raw < most:
            why = f"reading it took longer than {log_stream.MOST_SECONDS} s"
        if why:
            warnings.append(f"Only the first {log.raw} bytes of the log of {job} were kept: {why}")
        return log.raw
    finally:
        os.close(fd)


def _outputs(folder, asked, account, files, warnings):
    path = os.path.join(folder, OUTPUTS)
    project = os.path.join(account.home, asked["project"])
    try:
        listed = outputs.pack(path, project, asked["outputs"], asked["maxBytes"], account, warnings)
    except (OSError, RuntimeError) as error:
        warnings.append(f"The outputs were not packed: {getattr(error, 'strerror', None) or error}")
        listed = []
    if not listed:
        marker.remove(path)
        return []
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # collected.json, which promises it, is durable too
        size, digest = log_stream.measure(log_stream.plain(file.fileno()))
    files.append({"name": OUTPUTS, "bytes": size, "sha256": digest})
    return [entry for entry in listed if "sha256" in entry]


def _packages(train, asked, account, warnings):
    try:
        request = marker.read(os.path.join(train, paths.REQUEST))
        if not request:
            return None, {}
        found = child.run(lambda: inventory.look(request["train"]["python"], account), account, _INVENTORY_SECONDS)
        return found["python"], found["packages"]
    except Exception as error:  # A list for people: whatever hinders it hinders nothing else.
        warnings.append(f"The installed packages could not be read: {type(error).__name__}: {error}")
        return None, {}


def _inventory(folder, inventory, files, warnings):
    data = json.dumps(inventory, sort_keys=True).encode("utf-8")
    try:
        marker.replace(os.path.join(folder, INVENTORY), data)
    except OSError as error:
        warnings.append(f"The list of outputs was not written: {error.strerror or error}")
        return
    size, digest = log_stream.measure([data])
    files.append({"name": INVENTORY, "bytes": size, "sha256": digest})
