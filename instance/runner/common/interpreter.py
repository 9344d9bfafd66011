"""Which Python runs the person's code: the same for install and train.

`start train` calls this as root, so nothing is executed here, and nothing is imported from the folders that are
checked: files, modes and names decide. The install job finds out, as the user, whether the interpreter runs.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import stat
from typing import NamedTuple

#: The PATH of an SSM agent's commands; the caller's PATH must not change the answer between install and train.
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: The folders of images' own environments, below `opt` and below the home folder, best first.
_IN_OPT = ("pytorch", "tensorflow", "conda/envs/pytorch", "conda")
_IN_HOME = ("miniconda3", "anaconda3", "miniforge3", "mambaforge")


class Interpreter(NamedTuple):
    #: Absolute, links not followed (a link is what makes a virtual environment).
    path: str
    #: One sentence for the log.
    reason: str
    #: "system": packages go to the user's site; "venv", "conda": into the environment; "overlay": the user cannot write
    #: to that environment, so packages go to a folder of runctl's own in front of it. "project": the project's own
    #: environment, with the image's packages behind it.
    kind: str
    #: For PATH: one folder, or for an overlay and a project two joined by ":".
    bin: str
    #: Variables beside PATH that a process needs to use the packages that install put there.
    env: dict[str, str]
    #: The environment's folder; of an overlay: the image's environment.
    prefix: str
    #: Folder of the overlay, or None.
    overlay: str | None


#: In a project's environment once it is complete: the interpreter that it was made for.
MADE_FOR = "runctl.json"


class PythonNotFound(Exception):
    """The interpreter was not found; the message says what to do."""


def find(
    python: str | None, home: str, user: str | None = None, opt: str = "/opt", path: str = STANDARD_PATH
) -> Interpreter:
    """Chooses the interpreter: the run spec's `python`, else an image's environment, else python3 on PATH.

    python: absolute path, `~/…`, a program's name, or None. home: the user's home, absolute. user: the name of the
    user that will run it (None: the current user). opt, path: for tests. Raises PythonNotFound.
    """
    folders = [os.path.join(home, ".local", "bin"), *path.split(":")]
    if python:
        return _describe(_named(python, home, folders), f"the run spec's python is {python}", home, user)
    images = [os.path.join(opt, name) for name in _IN_OPT] + [os.path.join(home, name) for name in _IN_HOME]
    for prefix in images:
        candidate = os.path.join(prefix, "bin", "python3")
        if _is_program(candidate):
            return _describe(candidate, f"this image keeps its environment in {prefix}", home, user)
    found = _on_path("python3", folders)
    if not found:
        raise PythonNotFound(
            "no python3 on PATH ({}): install it with the system's package manager (apt-get install python3, "
            "dnf install python3), or set `python` in the run spec".format(":".join(folders))
        )
    return _describe(found, f"no image environment in {opt} or the home folder, python3 on PATH is {found}", home, user)


def choose(python: str | None, home: str, user: str | None, project: str | None) -> Interpreter:
    """The interpreter of the project's own environment where it exists, else as `find`. project: None for `find` alone.

    Raises PythonNotFound.
    """
    base = find(python, home, user)
    return (in_project(base, home, project) if project else None) or base


def in_project(base: Interpreter, home: str, project: str) -> Interpreter | None:
    """The interpreter of the project's own environment, with the programs of the image's after its own; or None."""
    folder = project_environment(home, project)
    path = os.path.join(folder, "bin", "python3")
    if not os.path.isfile(os.path.join(folder, MADE_FOR)) or not _is_program(path):
        return None
    reason = f"the project's environment {folder}, with the packages of {base.path}"
    programs = os.path.join(folder, "bin") + ":" + os.path.dirname(base.path)
    return Interpreter(path, reason, "project", programs, {"VIRTUAL_ENV": folder}, folder, None)


def project_environment(home: str, project: str) -> str:
    """The folder of a project's own environment."""
    return os.path.join(home, ".runctl", project, "environment")


def _named(python: str, home: str, folders: list[str]) -> str:
    """The run spec's interpreter as an absolute path."""
    if python.startswith("~/"):
        python = os.path.join(home, python[2:])
    if os.path.isabs(python):
        if not _is_program(python):
            problem = "is not a program that can be run" if os.path.exists(python) else "does not exist on the instance"
            raise PythonNotFound(f"the run spec's python {python} {problem}")
        return os.path.normpath(python)
    if "/" in python:
        raise PythonNotFound(
            f"the run spec's python {python} is relative: give an absolute path, ~/… or a name on PATH"
        )
    found = _on_path(python, folders)
    if not found:
        raise PythonNotFound("the run spec's python {} is not on PATH ({})".format(python, ":".join(folders)))
    return found


def _describe(path: str, reason: str, home: str, user: str | None) -> Interpreter:
    folder = os.path.dirname(path)
    prefix = os.path.dirname(folder)
    if os.path.isfile(os.path.join(prefix, "pyvenv.cfg")):
        kind, word, env = "venv", "a virtual environment", {"VIRTUAL_ENV": prefix}
    elif os.path.isdir(os.path.join(prefix, "conda-meta")):
        kind, word, env = "conda", "a conda environment", {"CONDA_PREFIX": prefix}
    else:
        return Interpreter(path, reason, "system", folder, {}, prefix, None)
    site = site_packages(prefix)
    overlay = overlay_folder(prefix, home)
    # An overlay that exists is used, whatever the modes are now: train must find what install put there.
    if site and not os.path.isdir(overlay) and writable(site, user):
        return Interpreter(path, f"{reason} ({word})", kind, folder, env, prefix, None)
    packages = os.path.join(overlay, os.path.relpath(site, prefix)) if site else overlay
    env = dict(env, PYTHONPATH=packages)
    reason = f"{reason} ({word} that {user or 'this user'} cannot write: packages go to {overlay}, in front of it)"
    return Interpreter(path, reason, "overlay", os.path.join(overlay, "bin") + ":" + folder, env, prefix, overlay)


def overlay_folder(prefix: str, home: str) -> str:
    """The folder for packages that cannot be installed into the environment `prefix`."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", prefix).strip("-")
    digest = hashlib.sha256(prefix.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return os.path.join(home, ".runctl", "overlays", f"{name[-40:]}-{digest}")


def site_packages(prefix: str) -> str | None:
    """`<prefix>/lib/python3.N/site-packages`, or None. conda also has a link `python3.1`: the highest N is the one."""
    lib = os.path.join(prefix, "lib")
    try:
        names = [name for name in os.listdir(lib) if re.fullmatch(r"python3\.\d+", name)]
    except OSError:
        return None
    names.sort(key=lambda name: int(name.split(".")[1]))
    found = [os.path.join(lib, name, "site-packages") for name in reversed(names)]
    return next((folder for folder in found if os.path.isdir(folder)), None)


def writable(folder: str, user: str | None = None) -> bool:
    """Whether that user can write to the folder, by owner, group and mode: the caller, root, can write anywhere."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return False
    account = pwd.getpwnam(user) if user else None
    if account is None or account.pw_uid == os.geteuid():
        return os.access(folder, os.W_OK | os.X_OK)
    if account.pw_uid == 0:
        return True
    info = os.stat(folder)
    if info.st_uid == account.pw_uid:
        return info.st_mode & 0o300 == 0o300
    groups = {account.pw_gid, *(group.gr_gid for group in grp.getgrall() if account.pw_name in group.gr_mem)}
    return info.st_mode & (0o030 if info.st_gid in groups else 0o003) in (0o030, 0o003)


def _on_path(name: str, folders: list[str]) -> str | None:
    return next((found for found in (os.path.join(folder, name) for folder in folders) if _is_program(found)), None)


def _is_program(path: str) -> bool:
    try:
        info = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_mode & 0o111 != 0
