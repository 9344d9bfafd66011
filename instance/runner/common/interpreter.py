"""Which Python runs the person's code: one answer for install and train alike.

`start train` asks as root, so nothing is executed here and nothing is imported from the places looked at: files,
modes and names decide. Whether the interpreter really runs is found out by the install job, as the user.
"""

import collections
import grp
import hashlib
import os
import pwd
import re
import stat

#: What an SSM agent's commands see; the PATH of whoever calls must not change the answer between install and train.
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Where images keep the environment that they want used, below `opt` and below the home folder, best first.
_IN_OPT = ("pytorch", "tensorflow", "conda/envs/pytorch", "conda")
_IN_HOME = ("miniconda3", "anaconda3", "miniforge3", "mambaforge")

#: path    the interpreter, absolute, links not followed (a link is what makes a virtual environment)
#: reason  one sentence for the log
#: kind    "system": packages go to the user's site; "venv", "conda": into the environment; "overlay": that environment
#:         cannot be written by the user, packages go to a folder of runctl's own in front of it
#: bin     what belongs on PATH for it: one folder, or for an overlay two joined by ":"
#: env     variables beside PATH that a process needs to use the packages that install put there
#: prefix  the environment's folder; of an overlay: still the image's
#: overlay folder of the overlay, or None
Interpreter = collections.namedtuple("Interpreter", "path reason kind bin env prefix overlay")


class PythonNotFound(Exception):
    """There is no such interpreter; the message says what to do."""


def find(python, home, user=None, opt="/opt", path=STANDARD_PATH):
    """Chooses the interpreter: the run spec's `python`, else an image's environment, else python3 on PATH.

    python: absolute path, `~/…`, a program's name, or None. home: the user's home, absolute. user: the name of
    who will run it (None: the current user). opt, path: for tests. Raises PythonNotFound.
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


def _named(python, home, folders):
    """The run spec's interpreter as an absolute path."""
    if python.startswith("~/"):
        python = os.path.join(home, python[2:])
    if os.path.isabs(python):
        if not _is_program(python):
            why = "is not a program that can be run" if os.path.exists(python) else "does not exist on the instance"
            raise PythonNotFound(f"the run spec's python {python} {why}")
        return os.path.normpath(python)
    if "/" in python:
        raise PythonNotFound(
            f"the run spec's python {python} is relative: give an absolute path, ~/… or a name on PATH"
        )
    found = _on_path(python, folders)
    if not found:
        raise PythonNotFound("the run spec's python {} is not on PATH ({})".format(python, ":".join(folders)))
    return found


def _describe(path, reason, home, user):
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
    # Once an overlay was made it is used, whatever the modes say now: what install put there must be there for train.
    if site and not os.path.isdir(overlay) and writable(site, user):
        return Interpreter(path, f"{reason} ({word})", kind, folder, env, prefix, None)
    where = os.path.join(overlay, os.path.relpath(site, prefix)) if site else overlay
    env = dict(env, PYTHONPATH=where)
    reason = f"{reason} ({word} that {user or 'this user'} cannot write: packages go to {overlay}, in front of it)"
    return Interpreter(path, reason, "overlay", os.path.join(overlay, "bin") + ":" + folder, env, prefix, overlay)


def overlay_folder(prefix, home):
    """Where the packages go that cannot be put into the environment `prefix`."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", prefix).strip("-")
    digest = hashlib.sha256(prefix.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return os.path.join(home, ".runctl", "overlays", f"{name[-40:]}-{digest}")


def site_packages(prefix):
    """`<prefix>/lib/python3.N/site-packages`, or None. conda also has a link `python3.1`: the highest N is the one."""
    lib = os.path.join(prefix, "lib")
    try:
        names = [name for name in os.listdir(lib) if re.fullmatch(r"python3\.\d+", name)]
    except OSError:
        return None
    names.sort(key=lambda name: int(name.split(".")[1]))
    found = [os.path.join(lib, name, "site-packages") for name in reversed(names)]
    return next((folder for folder in found if os.path.isdir(folder)), None)


def writable(folder, user=None):
    """Whether that user could write into the folder, by owner, group and mode: root asks, who may write anywhere."""
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


def _on_path(name, folders):
    return next((found for found in (os.path.join(folder, name) for folder in folders) if _is_program(found)), None)


def _is_program(path):
    try:
        info = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_mode & 0o111 != 0
