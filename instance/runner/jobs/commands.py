"""What a job runs: command, environment, folder and time limit."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NamedTuple

from common import accounts, environment, interpreter
from common.paths import program_path

#: A sync is capped (core/archive/caps.ts), and an install may build packages from source. What takes longer hangs.
_MAX_S = {"sync": 2 * 3_600, "install": 6 * 3_600}
_GRACE_S = 10
_LINGER_S = 60

#: Runs $0 with sh, or with bash if its first line names bash. The user reads the file, not the supervisor.
_SHELL = """read -r line < "$0"; case $line in '#!'*bash*) exec bash "$0" "$@" ;; *) exec sh "$0" "$@" ;; esac"""


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
    words = _script_words(python.path, work["work"]["script"], work["work"]["args"])
    env = environment.of_job(account, work["agent"], work["run"], work["project"], python, own)
    folder = os.path.join(account.home, work["project"])
    return Command(words, env, folder, account, None, {"python": python.path, "reason": python.reason})


def _script_words(python: str, script: str, args: list[str]) -> list[str]:
    """The command that runs a script: of the shell for .sh, else of Python."""
    # Both would read a name that begins with - as an option.
    path = "./" + script if script.startswith("-") else script
    return ["/bin/sh", "-c", _SHELL, path, *args] if script.lower().endswith(".sh") else [python, path, *args]


def folders(work: dict[str, Any]) -> list[str]:
    """Where the job writes, besides its log."""
    home = work["account"]["home"]
    return [os.path.join(home, work["project"]), home, "/tmp"]  # noqa: S108 - only its free space is read


def max_seconds(work: dict[str, Any]) -> float:
    """How long the job may last before it is ended."""
    limit = work["work"].get("maxDuration")
    return _MAX_S[work["job"]] if limit is None else limit


def linger_seconds(work: dict[str, Any]) -> float:
    """How long processes that a job left in its group may be idle before they are ended."""
    return work["work"].get("lingerGrace", _LINGER_S)


def grace_seconds(work: dict[str, Any]) -> float:
    """Between TERM and KILL."""
    return work["work"].get("stopGrace", _GRACE_S)
