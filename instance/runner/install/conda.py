"""Installs an environment.yml with conda or mamba, where the interpreter is in an environment of theirs."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from common.packages import normalize
from install import local_project, tool
from install.errors import InstallError, ToolFailed
from install.text import read_text

if TYPE_CHECKING:
    from install.progress import Progress
    from install.requirements import Requirements
    from install.target import Target

_PROGRAMS = ("mamba", "conda", "micromamba")
#: `  - numpy=1.26`, `  - conda-forge::torch`; also the lines of `pip:`.
_DEPENDENCY = re.compile(r"\s*-\s+(?:[\w.-]+::)?([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:[<>=!~\[ ].*)?$")


def read(requirements: Requirements, file: str) -> None:
    """Adds the names of the packages of an environment.yml. Raises InstallError RequirementsMissing."""
    requirements.add_content([local_project.file_digest(file)])
    requirements.has_packages = True
    matches = map(_DEPENDENCY.match, read_text(file).splitlines())
    requirements.names.update(normalize(match.group(1)) for match in matches if match)


def install(target: Target, file: str, env: dict[str, str], project: str, progress: Progress) -> str:
    """Updates the interpreter's environment; returns the program's name. Raises InstallError."""
    name = os.path.basename(file)
    interpreter = target.interpreter
    program = _find(interpreter.prefix, env)
    if program is None:
        raise InstallError(
            "NoInstaller",
            f"{name} needs conda or mamba, and the instance has neither. "
            "Install Miniforge in the user's home folder, or list the packages in a requirements.txt",
        )
    if interpreter.kind != "conda":
        raise InstallError(
            "NoInstaller",
            f"{name} needs an environment of conda that the user can write, and {interpreter.path} is not in one. "
            "Name such an interpreter with the key python, or list the packages in a requirements.txt",
        )
    program_name = os.path.basename(program)
    progress.log(f"using {program_name} ({program})")
    action = ["install", "--yes"] if program_name == "micromamba" else ["env", "update"]
    command = [program, *action, "--prefix", interpreter.prefix, "--file", file]
    try:
        tool.run(progress, command, env, project, lambda line: True)
    except ToolFailed as failed:
        last = "\n".join(f"{program_name}> {line}" for line in failed.lines[-8:])
        raise InstallError("InstallFailed", f"{program_name}: {failed}\n{last}".rstrip()) from failed
    return program_name


def _find(prefix: str, env: dict[str, str]) -> str | None:
    """mamba or conda: of the environment, of the installation that it belongs to, else on PATH."""
    base = os.path.dirname(os.path.dirname(prefix))  # an environment is <installation>/envs/<name>
    folders = [os.path.join(root, sub) for root in (prefix, base) for sub in ("bin", "condabin")]
    path = ":".join([*folders, env["PATH"]])
    return next(filter(None, (shutil.which(name, path=path) for name in _PROGRAMS)), None)
