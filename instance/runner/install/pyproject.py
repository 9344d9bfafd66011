"""Reads what pyproject.toml, uv.lock and pylock.toml require."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from common.packages import normalize
from install import local_project, requirements_txt, toml
from install.errors import InstallError
from install.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from install.requirements import Requirements

_SELF = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*\[([^\]]*)\]\s*(?:;.*)?$")


def load(file: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises InstallError."""
    try:
        return toml.loads(read_text(file))
    except OSError as error:
        raise InstallError("RequirementsMissing", f"{file} cannot be read: {error.strerror}") from error
    except toml.TomlError as error:
        raise InstallError("InstallFailed", f"{file} is not TOML: {error}") from error


def read_pyproject(requirements: Requirements, file: str, extras: Iterable[str], env: Mapping[str, str]) -> None:
    """Adds what a pyproject.toml requires. Raises InstallError for an extra that it does not have."""
    document, folder = load(file), os.path.dirname(file)
    requirements.add_content([local_project.file_digest(file), *extras])
    for text in dependencies(document, extras, file):
        requirements.lines.append(text)
        requirements.add(text, folder)
    for source in _table(document, "tool", "uv", "sources").values():
        if isinstance(source, dict) and isinstance(source.get("path"), str):
            requirements.add_local(source["path"], folder)
    if not is_dynamic(document):
        return
    # The build backend finds the dependencies: any file of the project may list them.
    requirements.has_packages = True
    requirements.names.update(map(normalize, _table(document, "tool", "poetry", "dependencies")))
    requirements.add_content(local_project.digests(folder, requirements.project, requirements.home))
    listed = _table(document, "tool", "setuptools", "dynamic").get("dependencies")
    names = listed.get("file", []) if isinstance(listed, dict) else []
    for name in [names] if isinstance(names, str) else names:
        if os.path.isfile(os.path.join(folder, name)):
            requirements_txt.read(requirements, os.path.join(folder, name), env)


def is_dynamic(document: dict[str, Any]) -> bool:
    """Whether only the build backend knows the dependencies."""
    if "project" not in document:
        return "build-system" in document
    return "dependencies" in _table(document, "project").get("dynamic", [])


def dependencies(document: dict[str, Any], extras: Iterable[str], file: str) -> list[str]:
    """The dependencies of a project and of its extras, in PEP 508's form. Raises InstallError for an unknown extra."""
    project = _table(document, "project")
    own_name = normalize(str(project.get("name", "")))
    optional = {normalize(name): texts for name, texts in _table(document, "project", "optional-dependencies").items()}
    texts, queue, visited = list(project.get("dependencies", [])), [normalize(extra) for extra in extras], set()
    while queue:
        extra = queue.pop(0)
        if extra in visited:
            continue
        visited.add(extra)
        if extra not in optional:
            known = ", ".join(sorted(optional)) or "none"
            raise InstallError("InstallFailed", f"{file} has no extra {extra}; its extras: {known}")
        for text in optional[extra]:
            own = _SELF.match(text)
            if own and normalize(own.group(1)) == own_name:
                queue += [normalize(name) for name in own.group(2).split(",")]
            else:
                texts.append(text)
    return texts


def read_lock(requirements: Requirements, file: str, extras: Iterable[str]) -> None:
    """Adds the packages of a uv.lock or a pylock.toml."""
    document, folder = load(file), os.path.dirname(file)
    requirements.add_content([local_project.file_digest(file), *extras])
    if os.path.basename(file) == "uv.lock":
        _check_lock(document, os.path.join(folder, "pyproject.toml"), extras)
    for package in [*document.get("package", []), *document.get("packages", [])]:
        source = package.get("source") or package
        path = source.get("editable") or source.get("virtual") or source.get("directory")
        path = path.get("path") if isinstance(path, dict) else path
        if path == "." and "source" in package:
            continue  # the project itself, which uv export leaves out
        requirements.has_packages = True
        requirements.names.add(normalize(package["name"]))
        if path:
            requirements.add_local(path, folder)


def _check_lock(lock: dict[str, Any], file: str, extras: Iterable[str]) -> None:
    """Raises InstallError when the project in a uv.lock lacks a dependency of its pyproject.toml."""
    packages = lock.get("package", [])
    own = next((package for package in packages if "." in package.get("source", {}).values()), {})
    parts = [own.get("dependencies", []), *own.get("optional-dependencies", {}).values()]
    locked = {normalize(dependency["name"]) for part in parts for dependency in part}
    for text in dependencies(load(file), extras, file):
        name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", text)
        if name and normalize(name.group(1)) not in locked:
            message = f"uv.lock does not have {name.group(1)}, which pyproject.toml requires: run `uv lock`"
            raise InstallError("InstallFailed", message)


def _table(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A table by its keys; empty when there is none."""
    for key in keys:
        document = document.get(key, {})
        if not isinstance(document, dict):
            return {}
    return document
