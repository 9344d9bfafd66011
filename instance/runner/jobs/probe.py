"""`probe`: what a training would find on this instance. It is a short job: supervised, as the user, in a container."""

import contextlib
import os
import shutil
import stat
import tempfile
import time

from common import accounts, disk, environment, marker, paths
from common.protocol import Refusal
from jobs import launch, status, terminate

_PREFIX = "runctl-probe-"
#: Three programs for 15 s each; the document has 60 s for all.
_MOST_SECONDS, _GRACE_SECONDS = 48, 1
#: In these states it is waited for, until so many seconds after its start.
_MOST_WAIT = {"absent": 15.0, "running": 55.0}
#: A folder of a probe whose command was killed.
_OLD_SECONDS = 3_600
_LOOK_AGAIN = 0.02


def answer(request):
    """Answers `probe`. Raises Refusal."""
    account = accounts.find(request)
    root = disk.describe(request["root"])
    secrets = _secrets(request["secrets"])
    folder = _begin(request, account)
    state = "absent"
    try:
        began = time.monotonic()
        while time.monotonic() - began < _MOST_WAIT.get(state, 0):
            time.sleep(_LOOK_AGAIN)
            state, _, end = status.find_state(folder)
        found = end["result"] if end else None
    finally:
        _leave(folder, state)
    if not found or not isinstance(found.get("disk"), dict):
        why = found["error"].get("message") if found and isinstance(found.get("error"), dict) else f"it is {state}"
        raise Refusal("RunnerBroken", f"the probe failed: {why}")
    kept = {name: found.get(name) for name in ("python", "uv", "gpu")}
    kept["administratorGroups"] = accounts.administrator_groups(account) if os.geteuid() == 0 and account.uid else []
    return dict(kept, user=account.name, home=account.home, disk={"home": found["disk"], "root": root}, secrets=secrets)


def _secrets(references):
    """What is wrong with each secret and what to do, by its variable's name; None: the instance can read it.

    Read here and not in the job: a job need not reach the instance's role.
    """
    if not references:
        return {}
    from common.secrets import read

    problems = read.read(references, os.environ).problems
    shown = {name: {"error": problem.error, "next": problem.action} for name, problem in problems.items()}
    return {name: shown.get(name) for name in references}


def _begin(request, account):
    """Starts the job, in a folder that is no run's: a probe needs no lease, and nothing from an earlier run."""
    _remove_old()
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    name = os.path.basename(folder)
    os.close(os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    work = {"python": request["python"], "maxDuration": _MOST_SECONDS, "stopGrace": _GRACE_SECONDS}
    whole = {"job": "probe", "run": {"id": name, "key": name}, "project": "", "root": request["root"], "work": work}
    whole.update(account=account._asdict(), agent=environment.of_agent())
    marker.write(os.path.join(folder, paths.INPUT), whole, mode=0o600)
    launch.detached(["supervise", folder], name, _GRACE_SECONDS)
    return folder


def _leave(folder, state):
    """Whoever still works is ended, and its folder is left for it."""
    if state in _MOST_WAIT:
        marker.remove(os.path.join(folder, paths.INPUT))
        terminate.ask(folder, 0, os.path.basename(folder))
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_old():
    for entry in os.scandir(tempfile.gettempdir()):
        if not entry.name.startswith(_PREFIX):
            continue
        with contextlib.suppress(OSError):
            info = entry.stat(follow_symlinks=False)
            is_ours = stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()
            if is_ours and time.time() - info.st_mtime > _OLD_SECONDS:
                shutil.rmtree(entry.path)
