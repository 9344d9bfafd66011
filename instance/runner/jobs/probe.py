"""`probe`: what a training would find on this instance. It is a short job: supervised, as the user, in a container."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from typing import Any

from common import accounts, disk, environment, image, interpreter, marker, paths
from common.protocol import Refusal
from jobs import entry, launch, status, terminate

_PREFIX = "runctl-probe-"
#: Three programs for 15 s each; the document has 60 s for all.
_MAX_S, _GRACE_S = 48, 1
#: By state: how many seconds after its start the request still waits for it.
_MAX_WAIT_S = {"absent": 15.0, "running": 55.0}
#: After this time the folder of a probe whose command was killed is removed.
_OLD_S = 3_600
_CHECK_INTERVAL_S = 0.02


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answers `probe`. Raises Refusal."""
    account = accounts.find(request)
    root = disk.describe(request["root"])
    secrets = _secrets(request["secrets"])
    folder = _begin(request, account)
    state = "absent"
    try:
        begun_at = time.monotonic()
        while time.monotonic() - begun_at < _MAX_WAIT_S.get(state, 0):
            time.sleep(_CHECK_INTERVAL_S)
            state, _, end = status.find_state(folder)
        found = end["result"] if end else None
        metadata = marker.read(os.path.join(folder, paths.METADATA_OPEN)) or {}
    finally:
        _leave(folder, state)
    if not found or not isinstance(found.get("disk"), dict):
        reason = found["error"].get("message") if found and isinstance(found.get("error"), dict) else f"it is {state}"
        raise Refusal("RunnerBroken", f"the probe failed: {reason}")
    kept = {name: found.get(name) for name in ("python", "uv", "gpu")}
    kept["metadata"] = metadata.get("reason")
    kept["administratorGroups"] = accounts.administrator_groups(account) if os.geteuid() == 0 and account.uid else []
    kept["command"] = _find_command(request, account)
    kept["image"] = _image(request["root"])
    return dict(kept, user=account.name, home=account.home, disk={"home": found["disk"], "root": root}, secrets=secrets)


def _image(root: str) -> dict[str, str] | None:
    """The image of runctl that the instance was started from; None: of none."""
    found = image.read(root)
    return None if found is None else {"key": found["key"], "state": found["state"]}


def _find_command(request: dict[str, Any], account: accounts.Account) -> dict[str, str | None] | None:
    """Where the program of a training's command is, or why it was not found; None when the request names none."""
    if request["command"] is None:
        return None
    try:
        python = interpreter.find(request["python"], account.home, account.name)
        env = environment.of_job(account, environment.of_agent(), {"id": ""}, "", python)
        return {"path": entry.find_program(request["command"], python, env, account.home), "error": None}
    except (interpreter.PythonNotFound, entry.ProgramNotFound) as error:
        return {"path": None, "error": str(error)}


def _secrets(references: dict[str, str]) -> dict[str, dict[str, str] | None]:
    """By variable name: what is wrong with the secret and what to do, or None when the instance can read it.

    They are read here and not in the job, which need not reach the instance's role.
    """
    if not references:
        return {}
    from common.secrets import read

    problems = read.read(references, os.environ).problems
    by_name = {name: {"error": problem.error, "next": problem.action} for name, problem in problems.items()}
    return {name: by_name.get(name) for name in references}


def _begin(request: dict[str, Any], account: accounts.Account) -> str:
    """Starts the job, in a folder outside of all runs: a probe needs no lease, and nothing of an earlier run."""
    _remove_old()
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    name = os.path.basename(folder)
    os.close(os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    work = {"python": request["python"], "maxDuration": _MAX_S, "stopGrace": _GRACE_S}
    work_input = {
        "job": "probe",
        "run": {"id": name, "key": name},
        "project": "",
        "root": request["root"],
        "work": work,
    }
    work_input.update(account=account._asdict(), agent=environment.of_agent())
    marker.write(os.path.join(folder, paths.INPUT), work_input, mode=0o600)
    launch.detached(["supervise", folder], name, _GRACE_S)
    return folder


def _leave(folder: str, state: str) -> None:
    """Ends the job if it still runs, and keeps its folder then; else removes the folder."""
    if state in _MAX_WAIT_S:
        marker.remove(os.path.join(folder, paths.INPUT))
        terminate.request_stop(folder, 0, os.path.basename(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_old() -> None:
    for item in os.scandir(tempfile.gettempdir()):
        if not item.name.startswith(_PREFIX):
            continue
        with contextlib.suppress(OSError):
            info = item.stat(follow_symlinks=False)
            is_ours = stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()
            if is_ours and time.time() - info.st_mtime > _OLD_S:
                shutil.rmtree(item.path)
