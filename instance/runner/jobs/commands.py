"""What a job runs: command, environment, folder, and how long it may."""

import collections
import json
import os
import sys

from common import accounts, environment, interpreter
from common.paths import program_path

#: A sync is capped (core/archive/caps.ts), and an install may build packages from source. What takes longer hangs.
_MOST_SECONDS = {"sync": 2 * 3_600, "install": 6 * 3_600}
_GRACE_SECONDS = 10

#: Runs $0 with sh, or with bash if its first line names bash. The user reads the file, not the supervisor.
_SHELL = """read -r line < "$0"; case $line in '#!'*bash*) exec bash "$0" "$@" ;; *) exec sh "$0" "$@" ;; esac"""

#: words: the command. stdin: bytes for it, or None for /dev/null. shown: what identity.json says of it.
Command = collections.namedtuple("Command", "words env cwd account stdin shown")


class CannotRun(Exception):
    """There is nothing to start. `name`: the error's name in the job's result."""

    def __init__(self, name, message):
        self.name = name
        super().__init__(message)


def of(work):
    """The Command of a job's input (input.json). Raises CannotRun."""
    job = work["job"]
    account = accounts.Account(**work["account"])
    own = work["work"].get("env")
    if job != "train":
        words = [sys.executable, "-I", "-B", program_path(), "child", job]
        env = environment.of_job(account, work["agent"], work["run"], work["project"], own=own)
        asked = {name: work[name] for name in ("run", "project", "root")}
        asked.update({"home": account.home, job: work["work"]})
        return Command(words, env, account.home, account, json.dumps(asked).encode("utf-8"), {"python": sys.executable})
    try:
        python = interpreter.find(work["work"]["python"], account.home, account.name)
    except interpreter.PythonNotFound as error:
        raise CannotRun("PythonNotFound", str(error)) from error
    words = _script_words(python.path, work["work"]["script"], work["work"]["args"])
    env = environment.of_job(account, work["agent"], work["run"], work["project"], python, own)
    folder = os.path.join(account.home, work["project"])
    return Command(words, env, folder, account, None, {"python": python.path, "reason": python.reason})


def _script_words(python: str, script: str, args: "list[str]") -> "list[str]":
    """The command that runs a script: of the shell for .sh, else of Python."""
    # Either would take a name that begins with - for an option.
    path = "./" + script if script.startswith("-") else script
    return ["/bin/sh", "-c", _SHELL, path, *args] if script.lower().endswith(".sh") else [python, path, *args]


def folders(work):
    """Where the job writes, besides its log."""
    home = work["account"]["home"]
    return [os.path.join(home, work["project"]), home, "/tmp"]  # noqa: S108 - only looked at


def most_seconds(work):
    """How long the job may last before it is ended."""
    return work["work"].get("maxDuration", _MOST_SECONDS.get(work["job"]))


def grace_seconds(work):
    """Between TERM and KILL."""
    return work["work"].get("stopGrace", _GRACE_SECONDS)
