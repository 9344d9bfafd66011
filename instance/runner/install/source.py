"""The file that the run spec's `requirements` names: its kind, what it requires, and the arguments for an installer."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from install import pyproject, requirements_txt
from install.requirements import Requirements

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTRAS = re.compile(r"(.+)\[([^\]]*)\]")
_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")


class Source(NamedTuple):
    """name: as the run spec has it; kind: "text", "pyproject", "uv.lock" or "pylock"; file: absolute; extras: names."""

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
    elif source.kind in ("uv.lock", "pylock"):
        pyproject.read_lock(requirements, source.file, source.extras)
    else:
        requirements_txt.read(requirements, source.file, env)
    return requirements


def arguments(source: Source, installer: str) -> list[str]:
    """The arguments of `pip install` for the source. installer: "uv" or "pip"."""
    return ["-r", source.file, *(f"--extra={extra}" for extra in source.extras)]


def _kind(name: str) -> str:
    if name == "pyproject.toml":
        return "pyproject"
    if name == "uv.lock":
        return "uv.lock"
    return "pylock" if _PYLOCK.fullmatch(name) else "text"
