"""What a job runs: command, environment, folder, and how long it may."""

import collections
import json
import os
import sys

from common import accounts, environment, interpreter
from common.paths import program_path
from jobs import entry

#: A sync is capped (core/archive/caps.ts), and an install may build packages from source. What takes longer hangs.
_MOST_SECONDS = {"sync": 2 * 3_600, "install": 6 * 3_600}
_GRACE_SECONDS = 10
_LINGER_SECONDS = 60

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
    env = environment.of_job(account, work["agent"], work["run"], work["project"], python, own)
    folder = os.path.join(account.home, work["project"])
    try:
        words = entry.build_words(work["work"], python, env, folder)
    except entry.ProgramNotFound as error:
        raise CannotRun("StartFailed", str(error)) from error
    return Command(words, env, folder, account, None, {"python": python.path, "reason": python.reason})


def folders(work):
    """Where the job writes, besides its log."""
    home = work["account"]["home"]
    return [os.path.join(home, work["project"]), home, "/tmp"]  # noqa: S108 - only looked at


def most_seconds(work):
    """How long the job may last before it is ended."""
    return work["work"].get("maxDuration", _MOST_SECONDS.get(work["job"]))


def linger_seconds(work):
    """How long what a job left in its group may be idle before it is ended."""
    return work["work"].get("lingerGrace", _LINGER_SECONDS)


def grace_seconds(work):
    """Between TERM and KILL."""
    return work["work"].get("stopGrace", _GRACE_SECONDS)
