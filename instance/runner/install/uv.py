"""Installs with uv, without the packages that the interpreter already has."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from common import subp
from common.packages import metadata_file, normalize
from install import environment, local_project, tool
from install.errors import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.packages import Package
    from install.progress import Progress
    from install.requirements import Requirements
    from install.target import Target

_CHANGE = re.compile(r"^ ([-+~]) ([A-Za-z0-9._-]+)(?:==(\S+)| @ )")
_SIZED = re.compile(r"^\s*Downloading (\S+) \((.+)\)$")
_STARTED = re.compile(r"^\s*(Downloading|Building|Updating) (\S+)")
_FINISHED = re.compile(r"^\s*(Downloaded|Built|Updated) (\S+)")
_COUNTED = re.compile(r"^(Resolved|Prepared|Installed|Would download|Would install) (\d+) packages?")
_NOISE = ("Would ", "Using ", "Creating virtual environment", "Activate with")
_METADATA = ("METADATA", "PKG-INFO", "WHEEL", "INSTALLER", "direct_url.json")


class Uv:
    """A uv that runs. name: with its version, as "uv 0.13.9". version: (major, minor)."""

    def __init__(self, path: str, env: dict[str, str], cwd: str) -> None:
        self.path = path
        try:
            stdout, _ = subp.run([path, "--version"], env=env, cwd=cwd, timeout=60)
        except subp.ProcessFailed as failed:
            raise ToolFailed(f"{path} does not run: {failed}") from failed
        self.version = environment.version_of(stdout)
        self.name = stdout.strip().split(" (")[0]
        self.env = environment.for_uv_version(env, self.version)


class UvInstall:
    """One install: the plan, then the packages. arguments: what is installed, as options of `uv pip install`.

    work: a folder for temporary files, on the target's filesystem.
    """

    def __init__(
        self,
        uv: Uv,
        target: Target,
        arguments: list[str],
        requirements: Requirements,
        project: str,
        work: str,
        progress: Progress,
    ) -> None:
        self._uv, self._target, self._project = uv, target, project
        self._arguments, self._local_folders = arguments, requirements.local_folders
        self._work, self._progress = work, progress
        self._python = target.interpreter.path
        self._active: list[str] = []
        self._archives = self._cached_archives()
        mode = environment.link_mode(uv.env["UV_CACHE_DIR"], target.prefix or target.facts["prefix"])
        self._env = dict(uv.env, UV_LINK_MODE=mode) if mode and "UV_LINK_MODE" not in uv.env else dict(uv.env)
        if "--require-hashes" in arguments:
            # uv refuses constraints that are not pinned then, and each version is pinned already.
            self._env.pop("UV_CONSTRAINT", None)

    def run(self) -> None:
        """Installs what is missing; raises ToolFailed."""
        self._target.prepare()
        self._progress.enter("resolving")
        before = self._target.visible()
        # uv keeps a local project that is installed, whatever changed in it but pyproject.toml, setup.py and setup.cfg.
        for name in local_project.installed_from(self._local_folders, before.values()):
            self._arguments += ["--reinstall-package", name]
        added, removed, downloads = self._plan(before)
        if not added:
            return
        self._progress.log(f"to install: {len(added)} ({downloads} to download)")
        self._progress.enter("downloading", downloads)
        self._progress.update(total=downloads or None)
        command = [self._uv.path, "pip", "install", "--python", self._python]
        if self._target.prefix:
            command += ["--prefix", self._target.prefix, *self._kept(before, {*added, *removed}), *self._pins(added)]
        self._install([*command, *self._arguments])
        self._check(added)

    def _plan(self, before: dict[str, Package]) -> tuple[dict[str, str | None], set[str], int]:
        """What uv would change among all packages of the interpreter: (added, removed, number of downloads).

        added: versions by name, None for a package from a URL or a path.
        """
        python = self._metadata_environment(before) if self._target.prefix else self._python
        command = [self._uv.path, "pip", "install", "--dry-run", "--python", python, *self._arguments]
        lines = self._tool(command)
        changes = [match.groups() for match in map(_CHANGE.match, lines) if match]
        added = {normalize(name): version for sign, name, version in changes if sign in "+~"}
        removed = {normalize(name) for sign, name, _ in changes if sign == "-"}
        counted = [match.groups() for match in map(_COUNTED.match, lines) if match]
        return added, removed, next((int(count) for word, count in counted if word == "Would download"), 0)

    def _metadata_environment(self, before: dict[str, Package]) -> str:
        """The interpreter of a virtual environment with the metadata of all installed packages, from every folder.

        uv reads one folder of an environment only: not the user's site, nor Debian's dist-packages, nor the environment
        behind an overlay. It would download torch again where an image has it.
        """
        folder = os.path.join(self._work, "metadata")
        shutil.rmtree(folder, ignore_errors=True)
        self._tool([self._uv.path, "venv", "--python", self._python, folder])
        lib = os.path.join(folder, "lib")
        site = next(os.path.join(lib, name, "site-packages") for name in os.listdir(lib) if name.startswith("python"))
        for package in before.values():
            copy = os.path.join(site, os.path.basename(package.info))
            if metadata_file(package.info) == package.info:
                os.symlink(package.info, copy)
                continue
            os.mkdir(copy)  # a real folder with links: uv ignores a folder that is a link itself
            for name in _METADATA:
                if os.path.exists(os.path.join(package.info, name)):
                    os.symlink(os.path.join(package.info, name), os.path.join(copy, name))
        return os.path.join(folder, "bin", "python")

    def _kept(self, before: dict[str, Package], changed: set[str]) -> list[str]:
        """Options that exclude the image's unchanged packages, named ones and dependencies."""
        kept = [name for name, package in before.items() if name not in changed and not self._target.is_own(package)]
        # A marker that is true on no platform. `--exclude` does the same, but only since uv 0.9.
        return self._listed("--override", "kept.txt", [f'{name} ; sys_platform == "none"' for name in sorted(kept)])

    def _pins(self, added: dict[str, str | None]) -> list[str]:
        """Without the excluded packages uv might choose versions that do not go together with them."""
        return self._listed(
            "--constraint", "pins.txt", [f"{name}=={version}" for name, version in sorted(added.items()) if version]
        )

    def _listed(self, option: str, name: str, lines: list[str]) -> list[str]:
        if not lines:
            return []
        path = os.path.join(self._work, name)
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return [option, path]

    def _install(self, command: list[str]) -> None:
        self._tool(command, self._count_archives)

    def _tool(self, command: list[str], after_tick: Callable[[], None] | None = None) -> list[str]:
        return tool.run(self._progress, command, self._env, self._project, self._on_line, after_tick)

    def _on_line(self, line: str) -> bool:
        """Updates the progress from a line of uv's output; returns whether the line belongs in the log."""
        progress = self._progress
        started, finished, counted = _STARTED.match(line), _FINISHED.match(line), _COUNTED.match(line)
        if started:
            self._active.append(started.group(2))
            phase = "building" if started.group(1) == "Building" else progress.phase
            progress.update(phase=phase, current=" ".join(line.split()[1:]))
        elif finished:
            self._active = [name for name in self._active if name != finished.group(2)]
            phase = "downloading" if progress.total and progress.phase == "building" else progress.phase
            progress.update(phase=phase, current=self._active[-1] if self._active else None)
        elif counted and counted.group(1) == "Prepared":
            progress.enter("installing")
        elif counted and counted.group(1) == "Installed":
            progress.update(done=int(counted.group(2)), total=int(counted.group(2)), current=None)
        return not line.startswith(_NOISE) and not (progress.phase == "resolving" and _CHANGE.match(line))

    def _count_archives(self) -> None:
        """uv announces large downloads only; each complete wheel becomes an entry of its cache."""
        if self._progress.phase == "downloading" and self._progress.total:
            done = min(len(self._cached_archives() - self._archives), self._progress.total)
            if done != self._progress.done:
                self._progress.update(done=done)

    def _cached_archives(self) -> set[str]:
        cache = self._uv.env["UV_CACHE_DIR"]
        try:
            folders = [os.path.join(cache, name) for name in os.listdir(cache) if name.startswith("archive-")]
        except OSError:
            return set()  # no cache yet
        return {name for folder in folders for name in os.listdir(folder)}

    def _check(self, added: dict[str, str | None]) -> None:
        """Raises ToolFailed when uv put a package into a folder that Python does not search."""
        visible = self._target.visible()
        missing = [
            name
            for name, version in added.items()
            if name not in visible or version not in (None, visible[name].version)
        ]
        if missing:
            raise ToolFailed(f"uv installed {', '.join(sorted(missing))} where {self._python} does not find it")
