"""The words of a training's command: of a script, of a module, or of a program that the run spec names."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from common.interpreter import Interpreter

#: Runs $0 with sh, or with bash if its first line names bash. The user reads the file, not the supervisor.
_SHELL = """read -r line < "$0"; case $line in '#!'*bash*) exec bash "$0" "$@" ;; *) exec sh "$0" "$@" ;; esac"""
#: Names of the run's interpreter, also where its environment has the other one alone.
_PYTHONS = ("python", "python3")


class ProgramNotFound(Exception):
    """The program of a command is not on the instance; the message says where it was searched."""


def build_words(train: dict[str, Any], python: Interpreter, env: dict[str, str], folder: str) -> list[str]:
    """The command of a training. Adds to `env` what a module needs. Raises ProgramNotFound.

    env: the job's environment. folder: of the project.
    """
    if train.get("command"):
        program, *words = train["command"]
        return [find_program(program, python, env, folder), *words, *train["args"]]
    if train.get("module"):
        paths = [folder, os.path.join(folder, "src"), env.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = ":".join(path for path in paths if path)
        return [python.path, "-m", train["module"], *train["args"]]
    return _script_words(python.path, train["script"], train["args"])


def _script_words(python: str, script: str, args: list[str]) -> list[str]:
    """The command that runs a script: of the shell for .sh, else of Python."""
    # Both would read a name that begins with - as an option.
    path = "./" + script if script.startswith("-") else script
    return ["/bin/sh", "-c", _SHELL, path, *args] if script.lower().endswith(".sh") else [python, path, *args]


def find_program(name: str, python: Interpreter, env: dict[str, str], folder: str) -> str:
    """Path of a program: the environment of the interpreter comes before PATH. Raises ProgramNotFound."""
    if "/" in name:
        return name if os.path.isabs(name) else os.path.join(folder, name)
    if name in _PYTHONS:
        return python.path
    # The packages of a system's interpreter have their programs in ~/.local/bin, which is first on PATH.
    first = [] if python.kind == "system" else python.bin.split(":")
    places = [*first, *env.get("PATH", "").split(":")]
    for place in places:
        path = os.path.join(folder, place, name)
        if place and _is_program(path):
            return path
    searched = ", ".join(dict.fromkeys(place for place in places if place))
    raise ProgramNotFound(f"the program {name} was not found in {searched}: install it, or name its path in command")


def _is_program(path: str) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mode & 0o111 != 0
