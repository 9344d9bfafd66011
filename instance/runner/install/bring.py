"""Finds uv on the instance, or installs it: with pip, with ensurepip's pip, from its wheel."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from common import subp
from install import environment, uv_release, wheel
from install.errors import ToolFailed
from install.uv import Uv

if TYPE_CHECKING:
    from install.progress import Progress
    from install.target import Target

#: What a person types where every attempt failed.
PACKAGE_MANAGER = "`sudo apt-get install python3-pip` (Debian, Ubuntu) or `sudo dnf install python3-pip` (Amazon Linux)"


def find_uv(env: dict[str, str], cwd: str, progress: Progress) -> Uv | None:
    """The instance's uv, or None."""
    path = shutil.which("uv", path=env["PATH"])
    if not path:
        return None
    try:
        return Uv(path, env, cwd)
    except ToolFailed as failed:
        progress.log(str(failed))
        return None


def bring_uv(env: dict[str, str], home: str, cwd: str, progress: Progress, target: Target) -> Uv | None:
    """Installs uv into ~/.local/bin and returns it, or None; the log has the reason of each attempt that failed."""
    progress.log("this instance has no uv")
    program = os.path.join(home, ".local", "bin", "uv")
    # Not an environment's pip: uv is the user's program, not a package of the image's environment.
    python = (
        target.interpreter.path if target.interpreter.kind == "system" else shutil.which("python3", path=env["PATH"])
    )
    attempts = [
        ("pip3 install --user uv", lambda: _by_pip(python, env, home)),
        ("ensurepip, then pip3 install --user uv", lambda: _by_ensurepip(python, env, home)),
        ("uv's wheel", lambda: _by_wheel(program, env, home, target)),
    ]
    for method, attempt in attempts:
        progress.update(current=method)
        try:
            attempt()
            uv = Uv(program, env, cwd)
        except (subp.ProcessFailed, ToolFailed) as failed:
            progress.log(f"{method}: {failed}")
            continue
        progress.log(f"installed {uv.name} with {method}")
        return uv
    return None


def _by_pip(python: str | None, env: dict[str, str], home: str) -> None:
    if not python:
        raise ToolFailed("there is no python3 outside the image's environment")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=env.get("TMPDIR")) as file:
        file.write(uv_release.requirement() + "\n")
        file.flush()
        command = [
            python,
            "-m",
            "pip",
            "install",
            "--user",
            "--quiet",
            "--require-hashes",
            "--no-deps",
            "-r",
            file.name,
        ]
        subp.run(command, env=env, cwd=home, timeout=600)


def _by_ensurepip(python: str | None, env: dict[str, str], home: str) -> None:
    if not python:
        raise ToolFailed("there is no python3 outside the image's environment")
    # Where pip works, the index failed; the same pip would fail in the same way.
    version, _ = subp.run([python, "-m", "pip", "--version"], env=env, cwd=home, timeout=60, allowed=None)
    if version:
        raise ToolFailed("pip is already installed")
    subp.run([python, "-m", "ensurepip", "--user"], env=env, cwd=home, timeout=300)
    _by_pip(python, env, home)


def _by_wheel(program: str, env: dict[str, str], home: str, target: Target) -> None:
    wheel.fetch_uv(program, environment.pip_settings(env, home, target.facts["prefix"]))
