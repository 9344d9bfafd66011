"""Whether this instance may be scrubbed, and what of it: never a person's instance, never a person's machine."""

from __future__ import annotations

import os
import pwd
import stat
from typing import Any

from common import accounts, attempts, image, marker, paths
from jobs import dead_man, launch, stopping

#: A folder that stands for `/`, in tests and on a local cloud, whose instances are this machine.
SYSTEM = "RUNCTL_SYSTEM_ROOT"
#: In a local cloud or a test, where the machine is somebody's.
_LOCAL = (*dead_man.LOCAL, dead_man.COMMAND, "RUNCTL_BOOT_ID")
#: A builder is started for one image, and the longest install takes 6 hours.
_MAX_UPTIME_S = 86_400.0
#: What the firmware says of an instance of EC2: `Amazon EC2`, or on the older ones `4.11.amazon`.
_FIRMWARE = ("sys_vendor", "bios_version")
_MIN_UID, _NOBODY = 1000, 65_534


class NotABuilder(Exception):
    """The instance must not be scrubbed; the message says why."""


def find(request: dict[str, Any], is_again: bool) -> dict[str, Any]:
    """What is scrubbed: {root, system, isMachine, homes, projects}. system: the folder that stands for `/`, or None.

    is_again: a scrub has begun before, which may have removed the runs. Raises NotABuilder, Refusal.
    """
    root = request["root"]
    projects = _projects(root)
    if not projects.issubset({request["project"]}):
        raise NotABuilder("it has runs of other projects: " + ", ".join(sorted(projects - {request["project"]})[:5]))
    if not projects and not is_again:
        raise NotABuilder(f"no run of the project {request['project']} has used it")
    if image.is_started_from_image(root):
        raise NotABuilder("it was started from an image that was scrubbed")
    system, is_machine = _system()
    uptime = _uptime(system, is_machine)
    if uptime is not None and uptime > _MAX_UPTIME_S:
        raise NotABuilder(f"it was started {uptime / 3_600:.0f} hours ago, and a builder lasts less than 24")
    home = os.path.realpath(accounts.find(request).home)
    if is_machine:
        homes = sorted({home, *_homes_of_machine()})
    elif home in {os.path.realpath(entry.pw_dir) for entry in pwd.getpwall()}:
        raise NotABuilder(f"{home} is the home of a user of this machine")
    else:
        own = os.path.join(system, "root") if system else home
        homes = sorted({home, own} if os.path.isdir(own) else {home})
    return {"root": root, "system": system, "isMachine": is_machine, "homes": homes, "projects": [request["project"]]}


def _projects(root: str) -> set[str]:
    """Of the runs that have left something in the root, and of the environments that they have made."""
    found = set()
    for key in os.listdir(paths.runs_folder(root)):
        for one in attempts.folders(paths.run_folder(root, key)):
            request = marker.read(os.path.join(one.path, paths.REQUEST))
            if request is not None:
                found.add(str(request["project"]))
    kept = os.path.join(root, "environments")
    names = os.listdir(kept) if os.path.isdir(kept) else []
    return found | {name[: -len(".json")] for name in names if name.endswith(".json")}


def _system() -> tuple[str | None, bool]:
    """(the folder that stands for `/`, or None; whether it is the machine itself)."""
    named = os.environ.get(SYSTEM)
    if named is not None:
        real = os.path.realpath(named)
        if not os.path.isabs(named) or real == "/" or not os.path.isdir(real):
            raise NotABuilder(f"{SYSTEM} is not a folder of its own")
        return real, False
    if any(name in os.environ for name in _LOCAL):
        return None, False
    if not _is_on_ec2():
        raise NotABuilder("this machine is not an EC2 instance")
    if not launch.has_systemd():
        raise NotABuilder("only root can scrub it, and only where systemd runs")
    return "/", True


def _is_on_ec2() -> bool:
    for name in _FIRMWARE:
        try:
            with open(f"/sys/devices/virtual/dmi/id/{name}") as file:
                if "amazon" in file.read().lower():
                    return True
        except OSError:
            continue
    return False


def _uptime(system: str | None, is_machine: bool) -> float | None:
    """Seconds since boot; None where the machine is not the instance."""
    if is_machine:
        return stopping.uptime()
    path = os.path.join(system, "proc", "uptime") if system else ""
    if not os.path.isfile(path):
        return None
    with open(path) as file:
        return float(file.read().split()[0])


def _homes_of_machine() -> set[str]:
    """The homes of root and of people, not those of the system's own users."""
    found = set()
    for entry in pwd.getpwall():
        is_person = entry.pw_uid == 0 or (entry.pw_uid >= _MIN_UID and entry.pw_uid != _NOBODY)
        home = os.path.realpath(entry.pw_dir) if is_person and os.path.isabs(entry.pw_dir) else "/"
        if home != "/" and _is_folder(home):
            found.add(home)
    return found


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return False
