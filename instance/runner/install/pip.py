"""Installs with pip: into the user's site, or into the environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from common import subp
from install import environment, tool
from install.errors import ToolFailed

if TYPE_CHECKING:
    from install.progress import Progress
    from install.target import Target

_COLLECTING = re.compile(r"^\s*(?:Collecting|Obtaining) (\S+)")
_DOWNLOADING = re.compile(r"^\s*Downloading (?:\S*/)?(\S+)(?: \((.+)\))?$")
_CACHED = re.compile(r"^\s*Using cached (\S+)")
_BUILDING = re.compile(
    r"^\s*(?:Building wheels? for|Preparing metadata|Getting requirements to build|Running setup.py)"
)
_INSTALLING = re.compile(r"^Installing collected packages: (.+)$")
_RAW = re.compile(r"^Progress (\d+) of (\d+)$")
_CANNOT_REMOVE = re.compile(r"Errno (13|30)\b")
_NOISE = re.compile(r"^\s*(Requirement already satisfied|Looking in indexes|Looking in links|━)")


def name_of(target: Target) -> str:
    """The installer's name in the log and the result."""
    return "pip3 --user" if target.interpreter.kind == "system" else "pip3"


def bring(target: Target, env: dict[str, str], home: str, progress: Progress) -> bool:
    """Whether the interpreter has pip, if need be after ensurepip."""
    if target.facts["pip"]:
        return True
    command = [target.interpreter.path, "-m", "ensurepip"]
    command += ["--user"] if target.interpreter.kind == "system" else []
    try:
        subp.run(command, env=env, cwd=home, timeout=300)
    except subp.ProcessFailed as failed:
        progress.log(f"{target.interpreter.path} has no pip, and ensurepip cannot install it: {failed}")
        return False
    progress.log(f"{target.interpreter.path} had no pip: installed it with ensurepip")
    return True


class PipInstall:
    """One install. arguments: what is installed. env, project, progress: as for uv."""

    def __init__(
        self, target: Target, arguments: list[str], project: str, env: dict[str, str], progress: Progress
    ) -> None:
        self._target, self._arguments, self._project, self._progress = target, arguments, project, progress
        self._env = dict(env, **(target.interpreter.env if target.interpreter.kind == "overlay" else {}))
        self._python = target.interpreter.path
        self._fetched = 0

    def run(self) -> None:
        """Installs what is missing; raises ToolFailed."""
        if self._target.interpreter.kind == "overlay":
            self._target.prepare()
        try:
            stdout, _ = subp.run([self._python, "-m", "pip", "--version"], self._env, self._project, timeout=60)
        except subp.ProcessFailed as failed:
            raise ToolFailed(str(failed)) from failed
        # pip knows "raw" since 24.1 and refuses it before; the bar of an older pip is of no use without a terminal.
        bar = "raw" if environment.version_of(stdout) >= (24, 1) else "off"
        command = [self._python, "-m", "pip", "install", "--progress-bar", bar]
        if self._target.interpreter.kind == "system":
            command.append("--user")
        elif self._target.interpreter.kind == "overlay":
            command += ["--prefix", self._target.prefix or ""]
        try:
            self._install(command)
        except ToolFailed as failed:
            if self._target.interpreter.kind != "overlay" or not any(map(_CANNOT_REMOVE.search, failed.lines)):
                raise
            self._progress.log(
                "the image's version cannot be removed: installing a complete copy that takes precedence"
            )
            self._install([*command, "--ignore-installed"])

    def _install(self, command: list[str]) -> None:
        self._progress.enter("resolving")
        tool.run(self._progress, [*command, *self._arguments], self._env, self._project, self._on_line)

    def _on_line(self, line: str) -> bool:
        """Updates the progress from a line of pip's output; returns whether the line belongs in the log."""
        progress = self._progress
        collecting, installing, raw = _COLLECTING.match(line), _INSTALLING.match(line), _RAW.match(line)
        fetched = _DOWNLOADING.match(line) or _CACHED.match(line)
        if raw:
            progress.update()
            return False
        if collecting:
            progress.update(phase="downloading" if self._fetched else "resolving", current=collecting.group(1))
        elif fetched and not fetched.group(1).endswith(".metadata"):
            progress.update(phase="downloading", done=self._fetched, current=fetched.group(1))
            self._fetched += 1
        elif _BUILDING.match(line):
            progress.update(phase="building")
        elif installing:
            progress.enter("installing", len(installing.group(1).split(", ")))
        return not _NOISE.match(line)
