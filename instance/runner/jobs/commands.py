"""What a job runs: command, environment, folder and time limit."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NamedTuple

from common import accounts, environment, interpreter, keeper_files
from common.paths import program_path
from jobs import entry

#: A sync is capped (core/archive/caps.ts), and an install may build packages from source. What takes longer hangs.
_MAX_S = {"sync": 2 * 3_600, "install": 6 * 3_600, "restore": 12 * 3_600}
_GRACE_S = 10
_LINGER_S = 60
_CHECKPOINT_VARIABLES = ("RUNCTL_CHECKPOINT_DIR", "SM_CHECKPOINT_DIR", "AIP_CHECKPOINT_DIR")
#: A checkpoint is a file or a folder; TensorFlow's prefix, and shards with an index, are named without an ending.
_ENDS_OF_UNITS = ("", ".index", ".index.json")


class Command(NamedTuple):
    words: list[str]
    env: dict[str, str]
    cwd: str
    account: accounts.Account
    #: None: /dev/null.
    stdin: bytes | None
    #: What identity.json says about it.
    description: dict[str, str]


class CannotRun(Exception):
    """The job cannot be started. `name`: the error's name in the job's result."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


def of(work: dict[str, Any]) -> Command:
    """The Command of a job's input (input.json). Raises CannotRun."""
    job = work["job"]
    account = accounts.Account(**work["account"])
    own = work["work"].get("env")
    if job != "train":
        words = [sys.executable, "-I", "-B", program_path(), "child", job]
        env = environment.of_job(account, work["agent"], work["run"], work["project"], own=own)
        request = {name: work[name] for name in ("run", "project", "root")}
        request.update({"home": account.home, job: work["work"]})
        return Command(
            words, env, account.home, account, json.dumps(request).encode("utf-8"), {"python": sys.executable}
        )
    try:
        project = work["project"] if work["work"].get("environment") == "project" else None
        python = interpreter.choose(work["work"]["python"], account.home, account.name, project)
    except interpreter.PythonNotFound as error:
        raise CannotRun("PythonNotFound", str(error)) from error
    env = environment.of_job(account, work["agent"], work["run"], work["project"], python, own)
    folder = os.path.join(account.home, work["project"])
    _add_checkpoint_folder(env, work["work"], folder)
    _add_attempt(env, work, folder)
    try:
        words = entry.build_words(work["work"], python, env, folder)
    except entry.ProgramNotFound as error:
        raise CannotRun("StartFailed", str(error)) from error
    return Command(words, env, folder, account, None, {"python": python.path, "reason": python.reason})


def _add_checkpoint_folder(env: dict[str, str], train: dict[str, Any], project: str) -> None:
    """Names the folder of checkpoints, also as SageMaker and Vertex AI do. The run's own variables win."""
    checkpoints = train.get("checkpoints") or {}
    path = os.path.join(project, checkpoints.get("folder") or keeper_files.CHECKPOINTS)
    for name in _CHECKPOINT_VARIABLES:
        env.setdefault(name, path)


def _add_attempt(env: dict[str, str], work: dict[str, Any], project: str) -> None:
    """The attempt, and the checkpoint from which it goes on. Raises CannotRun."""
    env.setdefault("RUNCTL_ATTEMPT", str(work.get("attempt", 1)))
    name = work["work"].get("resumeFrom")
    if name is None:
        return
    path = os.path.join(project, name)
    if not any(os.path.lexists(path + end) for end in _ENDS_OF_UNITS):
        raise CannotRun("RestoreFailed", f"the checkpoint {name}, from which the training resumes, is not there")
    env.setdefault("RUNCTL_RESUME_FROM", path)


def folders(work: dict[str, Any]) -> list[str]:
    """Where the job writes, besides its log."""
    home = work["account"]["home"]
    return [os.path.join(home, work["project"]), home, "/tmp"]  # noqa: S108 - only its free space is read


def max_seconds(work: dict[str, Any]) -> float:
    """How long the job may last before it is ended."""
    limits = (work["work"].get("maxDuration"), _MAX_S.get(work["job"]))
    return min(limit for limit in limits if limit is not None)


def linger_seconds(work: dict[str, Any]) -> float:
    """How long processes that a job left in its group may be idle before they are ended."""
    return work["work"].get("lingerGrace", _LINGER_S)


def grace_seconds(work: dict[str, Any]) -> float:
    """Between TERM and KILL."""
    return work["work"].get("stopGrace", _GRACE_S)
