"""Reads a requirements.txt with the files that it includes.

Not a complete parser: uv and pip judge the lines. It finds names, local files, and whether any package is required.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from install import local_project
from install.errors import InstallError
from install.redact import without_credentials
from install.text import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from install.requirements import Requirements

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(\S.*)$")
_CONSTRAINT = ("-c", "--constraint")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(\S.*)$")


def read(requirements: Requirements, file: str, env: Mapping[str, str]) -> None:
    """Adds what `file` (absolute) requires.

    Raises InstallError RequirementsMissing for the file and for any that it includes.
    """
    _Reader(requirements, env).read(file, None, False)


class _Reader:
    def __init__(self, requirements: Requirements, env: Mapping[str, str]) -> None:
        self._requirements, self._env = requirements, env
        self._visited: set[tuple[str, bool]] = set()

    def read(self, file: str, included_by: str | None, is_constraint: bool) -> None:
        if (file, is_constraint) in self._visited:
            return
        self._visited.add((file, is_constraint))
        try:
            text = read_text(file)
        except OSError as error:
            by = f", which {included_by} includes," if included_by else ""
            message = f"the requirements file {file}{by} cannot be read: {error.strerror}"
            raise InstallError("RequirementsMissing", message) from error
        for line in _logical_lines(text):
            self._line(
                _VARIABLE.sub(lambda match: self._env.get(match.group(1), match.group()), line), file, is_constraint
            )

    def _line(self, line: str, file: str, is_constraint: bool) -> None:
        requirements = self._requirements
        requirements.lines.append(line)
        include, editable = _INCLUDE.match(line), _EDITABLE.match(line)
        if include:
            self._include(local_project.path_of(include.group(1)), line, file, is_constraint)
        elif editable:
            requirements.add_local(editable.group(1), os.path.dirname(file))
        elif not line.startswith("-") and not is_constraint:
            requirements.add(line, os.path.dirname(file))

    def _include(self, target: str, line: str, file: str, is_constraint: bool) -> None:
        requirements = self._requirements
        if "://" in target:
            requirements.remote.append(without_credentials(target))
            requirements.has_packages = requirements.has_packages or not line.startswith(_CONSTRAINT)
            return
        target = os.path.normpath(os.path.join(os.path.dirname(file), target))
        self.read(target, file, is_constraint or line.startswith(_CONSTRAINT))


def _logical_lines(text: str) -> list[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]
