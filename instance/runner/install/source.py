"""The file that the run spec's `requirements` names: its kind, what it requires, and the arguments for an installer."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from install import conda, lock, pyproject, requirements_txt
from install.errors import ToolFailed
from install.requirements import Requirements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from install.target import Target
    from install.uv import Uv

_EXTRAS = re.compile(r"(.+)\[([^\]]*)\]")
_CONDA = re.compile(r"environment(\.[^.]+)?\.ya?ml")
_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")


class Source(NamedTuple):
    """name: as the run spec has it; file: absolute; extras: names.

    kind: "text", "pyproject", "uv.lock", "pylock" or "conda".
    """

    name: str
    kind: str
    file: str
    extras: tuple[str, ...]


def find(name: str, project: str) -> Source:
    """The source that `name` names, relative to the project's folder, such as `pyproject.toml[train]`."""
    match = _EXTRAS.fullmatch(name)
    path = match.group(1) if match else name
    extras = tuple(extra.strip() for extra in match.group(2).split(",") if extra.strip()) if match else ()
    return Source(name, _kind(os.path.basename(path)), os.path.join(project, path), extras)


def read(source: Source, home: str, project: str, env: Mapping[str, str]) -> Requirements:
    """What the source requires. Raises InstallError."""
    requirements = Requirements(home, project)
    if source.kind == "pyproject":
        pyproject.read_pyproject(requirements, source.file, source.extras, env)
    elif source.kind == "conda":
        conda.read(requirements, source.file)
    elif source.kind in ("uv.lock", "pylock"):
        pyproject.read_lock(requirements, source.file, source.extras)
    else:
        requirements_txt.read(requirements, source.file, env)
    return requirements


def uv_arguments(source: Source, requirements: Requirements, uv: Uv, target: Target, work: str) -> list[str]:
    """The arguments of `uv pip install`. work: a folder for temporary files. Raises ToolFailed."""
    if source.kind in ("uv.lock", "pylock"):
        is_pylock = source.kind == "pylock"
        document = (
            lock.load(source.file)
            if is_pylock
            else lock.export(source.file, source.extras, uv, target.interpreter.path)
        )
        return lock.write_requirements(document, os.path.dirname(source.file), "uv", _written(work))
    # As pip does: one hash means that every package needs one. uv would accept the others without.
    has_hashes = source.kind == "text" and any(
        " --hash" in line or line.startswith("--require-hashes") for line in requirements.lines
    )
    options = ["--require-hashes"] if has_hashes else []
    return [*options, "-r", source.file, *(f"--extra={extra}" for extra in source.extras)]


def pip_arguments(source: Source, work: str) -> list[str]:
    """The arguments of `pip install`. work: a folder for temporary files. Raises ToolFailed."""
    folder = os.path.dirname(source.file)
    if source.kind == "uv.lock":
        raise ToolFailed("only uv reads uv.lock; for pip, write a requirements.txt with `uv export`")
    if source.kind == "pylock":
        return lock.write_requirements(lock.load(source.file), folder, "pip", _written(work))
    if source.kind != "pyproject":
        return ["-r", source.file]
    document = pyproject.load(source.file)
    if pyproject.is_dynamic(document):
        raise ToolFailed(
            "the build backend lists the dependencies of this pyproject.toml, and only uv asks it for them"
        )
    with open(_written(work), "w", encoding="utf-8") as file:
        file.write("\n".join(pyproject.dependencies(document, source.extras, source.file)) + "\n")
    return ["-r", _written(work)]


def _written(work: str) -> str:
    return os.path.join(work, "requirements.txt")


def _kind(name: str) -> str:
    if name == "pyproject.toml":
        return "pyproject"
    if name == "uv.lock":
        return "uv.lock"
    if _CONDA.fullmatch(name):
        return "conda"
    return "pylock" if _PYLOCK.fullmatch(name) else "text"
