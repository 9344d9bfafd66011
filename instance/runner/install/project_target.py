"""A project's own environment as the target of an install: the one that is there, one from S3, or a new one."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from common import disk, interpreter
from install import (
    bring,
    environment_files,
    interpreter_facts,
    project_environment,
    stored_environment,
)
from install.environment_files import NotStorable
from install.errors import InstallError, ToolFailed
from install.stored_environment import NotRestored
from install.target import Target

if TYPE_CHECKING:
    from install.progress import Progress


class ProjectTarget:
    """key: of the environment in S3; None: it is neither restored nor stored.

    installer: of a restored environment: the one that made it; else None.
    """

    def __init__(self, home: str, name: str, base: Target, key: str | None, progress: Progress) -> None:
        self._home, self._name, self._base, self._key, self._progress = home, name, base, key, progress
        self._folder = interpreter.project_environment(home, name)
        self.installer: str | None = None
        self._is_new = False
        self._sha256: str | None = None
        self._listing: str | None = None

    def make(self, env: dict[str, str], environments: dict[str, Any] | None, installer: str) -> Target:
        """The target. Its environment is restored or created when it is missing or of another Python.

        environments: the list of those that are stored. Raises InstallError, ToolFailed.
        """
        if project_environment.is_current(self._folder, self._base):
            return self._target(env)
        uv = bring.find_uv(env, self._home, self._progress)
        if self._key:
            try:
                restored = self._restore(env, environments, self._key)
                if restored:
                    return restored
            except (NotRestored, ToolFailed, InstallError, OSError) as error:
                shutil.rmtree(self._folder, ignore_errors=True)
                why = disk.reason(error)
                self._progress.log(f"the stored environment was not restored, installing instead: {why}")
        if uv is None and installer != "pip":
            uv = bring.bring_uv(env, self._home, self._home, self._progress, self._base)
        project_environment.create(self._folder, self._base, uv, env, self._progress)
        self._is_new = True
        return self._target(env)

    def _restore(self, env: dict[str, str], environments: dict[str, Any] | None, key: str) -> Target | None:
        """Raises NotRestored, ToolFailed, InstallError, OSError."""
        stored = stored_environment.find(environments, key)
        if stored is None:
            return None
        began = time.monotonic()
        # Python's venv: it needs no uv, which an instance may lack.
        project_environment.begin(self._folder, self._base, None, env)
        described = stored_environment.unpack(stored, self._folder, self._progress)
        project_environment.complete(self._folder, self._base)
        target = self._target(env)
        visible = target.visible()
        found = {name: package.version for name, package in visible.items() if target.is_own(package)}
        if found != described["packages"]:
            raise NotRestored("its packages are not those of its description")
        self.installer, self._sha256 = described["installer"], stored.sha256
        self._list()
        count = len(found)
        seconds = time.monotonic() - began
        self._progress.log(f"restored {count} packages ({stored.bytes / 1e6:.0f} MB) from S3 in {seconds:.1f} s")
        return target

    def _target(self, env: dict[str, str]) -> Target:
        python = interpreter.in_project(self._base.interpreter, self._home, self._name)
        if python is None:
            raise InstallError("InstallFailed", f"the project's environment {self._folder} has no interpreter")
        return Target(python, interpreter_facts.probe(python.path, dict(env, **python.env), self._home))

    def note_install(self) -> None:
        """Notes the files of an install that has succeeded, when the environment has no others."""
        if self._key and self._is_new:
            self._list()

    def _list(self) -> None:
        try:
            self._listing = environment_files.digest_of(environment_files.find(self._folder))
        except (NotStorable, OSError) as error:
            self._progress.log(f"the environment is not stored in S3: {error}")

    def describe(self) -> dict[str, Any] | None:
        """For the job's result; None: the environment has no key.

        listing: a digest of the files, when they may be stored.
        """
        if self._key is None:
            return None
        return {
            "key": self._key,
            "restored": self.installer is not None,
            "sha256": self._sha256,
            "listing": self._listing,
        }
