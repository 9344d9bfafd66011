"""Creates a project's own virtual environment, which has the packages of the image's interpreter behind its own."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from common import interpreter, marker, subp
from install.errors import ToolFailed

if TYPE_CHECKING:
    from install.progress import Progress
    from install.target import Target
    from install.uv import Uv

#: Read by site of every Python that runs in the environment; the image's own .pth files are read too.
_LINK = "runctl-image.pth"


def is_current(folder: str, base: Target) -> bool:
    """Whether the environment exists and was made for this interpreter of the image."""
    try:
        with open(os.path.join(folder, interpreter.MADE_FOR), encoding="utf-8") as file:
            return json.load(file) == _made_for(base)
    except (OSError, ValueError):
        return False


def create(folder: str, base: Target, uv: Uv | None, env: dict[str, str], progress: Progress) -> None:
    """Creates the environment anew, with uv, else with Python's venv. Raises ToolFailed."""
    begin(folder, base, uv, env)
    complete(folder, base)
    progress.log(f"created the project's environment {folder}, with the packages of {base.interpreter.path}")


def begin(folder: str, base: Target, uv: Uv | None, env: dict[str, str]) -> None:
    """Makes an environment that is not used before it is complete. Raises ToolFailed."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    python = base.interpreter.path
    command = [uv.path, "venv", "--python", python, folder] if uv else [python, "-m", "venv", "--without-pip", folder]
    try:
        subp.run(command, env=uv.env if uv else env, cwd=os.path.dirname(folder), timeout=120)
    except subp.ProcessFailed as failed:
        raise ToolFailed(f"the project's environment {folder} cannot be created: {failed}") from failed
    site = interpreter.site_packages(folder)
    if site is None:
        raise ToolFailed(f"the project's environment {folder} has no folder for packages")
    lines = [f"import site; site.addsitedir({entry!r})" for entry in image_folders(base)]
    marker.replace(os.path.join(site, _LINK), ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))


def complete(folder: str, base: Target) -> None:
    """Comes last: without the file that it writes, the environment is not used."""
    marker.write(os.path.join(folder, interpreter.MADE_FOR), _made_for(base))


def _made_for(base: Target) -> dict[str, Any]:
    path = base.interpreter.path
    return {
        "python": [path, os.path.realpath(path), base.facts["version"]],
        "folders": image_folders(base),
    }


def image_folders(base: Target) -> list[str]:
    """The image's folders of packages: not the user's site nor an overlay, where other projects install theirs."""
    shared = {base.facts["userSite"], *(base.own if base.interpreter.kind == "overlay" else [])}
    return [entry for entry in base.facts["path"] if entry.endswith("-packages") and entry not in shared]
