"""Finds uv on the instance, or brings it: by pip, by ensurepip's pip, by its wheel."""

import os
import shutil

from common import subp
from install import environment, wheel
from install.errors import ToolFailed
from install.uv import Uv

#: What a person types where nothing of this works.
PACKAGE_MANAGER = "`sudo apt-get install python3-pip` (Debian, Ubuntu) or `sudo dnf install python3-pip` (Amazon Linux)"


def find_uv(env, home, cwd, progress):
    """The instance's uv, or None."""
    path = shutil.which("uv", path=env["PATH"])
    if not path:
        return None
    try:
        return Uv(path, env, cwd)
    except ToolFailed as failed:
        progress.say(str(failed))
        return None


def bring_uv(env, home, cwd, progress, target):
    """Puts uv into ~/.local/bin and returns it, or None; each attempt's reason is in the log."""
    progress.say("this instance has no uv")
    program = os.path.join(home, ".local", "bin", "uv")
    # Not an environment's pip: uv is a program of the person's, not a package of the image's environment.
    python = (
        target.interpreter.path if target.interpreter.kind == "system" else shutil.which("python3", path=env["PATH"])
    )
    attempts = [
        ("pip3 install --user uv", lambda: _by_pip(python, env, home)),
        ("ensurepip, then pip3 install --user uv", lambda: _by_ensurepip(python, env, home)),
        ("uv's wheel", lambda: _by_wheel(program, env, home, target)),
    ]
    for words, attempt in attempts:
        progress.update(current=words)
        try:
            attempt()
            uv = Uv(program, env, cwd)
        except (subp.ProcessFailed, ToolFailed) as failed:
            progress.say(f"{words}: {failed}")
            continue
        progress.say(f"installed {uv.words} with {words}")
        return uv
    return None


def _by_pip(python, env, home):
    if not python:
        raise ToolFailed("there is no python3 outside the image's environment")
    subp.run([python, "-m", "pip", "install", "--user", "--quiet", "uv"], env=env, cwd=home, timeout=600)


def _by_ensurepip(python, env, home):
    if not python:
        raise ToolFailed("there is no python3 outside the image's environment")
    # With a pip that works it was the index that failed; the same pip will fail in the same way.
    found, _ = subp.run([python, "-m", "pip", "--version"], env=env, cwd=home, timeout=60, allowed=None)
    if found:
        raise ToolFailed("pip is already installed")
    subp.run([python, "-m", "ensurepip", "--user"], env=env, cwd=home, timeout=300)
    _by_pip(python, env, home)


def _by_wheel(program, env, home, target):
    wheel.fetch_uv(program, environment.pip_settings(env, home, target.facts["prefix"]))
