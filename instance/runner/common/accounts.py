"""The user that runs the jobs, and how a process becomes that user."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Any, NamedTuple

from common import libc, paths, subp
from common.protocol import Refusal

#: runctl's own user, created on instances that had no runs before. It is in no group but its own.
OURS = "runctl"
#: The administrators of common images: the default on instances that had runs before runctl had a user of its own.
_IMAGE_USERS = ("ubuntu", "ec2-user")
#: Below are root and the system's own users.
_MIN_UID = 1000
#: Members of these groups can become root.
_ADMINISTRATOR_GROUPS = ("root", "sudo", "wheel", "admin", "docker", "lxd")
_MAX_USERADD_S = 30


class Account(NamedTuple):
    name: str
    uid: int
    gid: int
    #: Absolute, and exists.
    home: str
    shell: str


def find(request: dict[str, Any]) -> Account:
    """The account of the jobs of a request. Raises Refusal `NoUser`, `NoHome`, `UserNotAllowed`.

    The instance's tags decide which users are allowed: the request names a user, and has the users of the tags. Only
    root can become another user: a runner that is not root runs jobs as the current user, whatever the request says.
    """
    entry = _entry_of(request) if os.geteuid() == 0 else _current()
    home = request["home"] or entry.pw_dir
    if not os.path.isabs(home) or not os.path.isdir(home):
        raise Refusal("NoHome", f"the home folder {home} of user {entry.pw_name} does not exist on the instance")
    shell = entry.pw_shell if os.access(entry.pw_shell or "-", os.X_OK) else "/bin/sh"
    if os.path.basename(shell) in ("nologin", "false"):
        shell = "/bin/sh"
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, home, shell)


def administrator_groups(account: Account) -> list[str]:
    """Names of the groups that make the account an administrator, sorted. Such a user's jobs can become root."""
    names = set()
    for gid in os.getgrouplist(account.name, account.gid):
        try:
            names.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            continue
    return sorted(names.intersection(_ADMINISTRATOR_GROUPS))


def _entry_of(request: dict[str, Any]) -> pwd.struct_passwd:
    user, users = request["user"], request.get("users")
    if user and users is not None and user not in (OURS, *users):
        raise Refusal("UserNotAllowed", f"the instance's tags do not allow jobs of the user {user}")
    entry = _named(user) if user else _default(request)
    if entry is None:
        raise Refusal("NoUser", f"the instance has no user {user}")
    if entry.pw_uid < _MIN_UID and not _may_be_root(request["root"]):
        raise Refusal(
            "UserNotAllowed",
            f"the user {entry.pw_name} has uid {entry.pw_uid}: jobs run as users with uid {_MIN_UID} or above",
        )
    return entry


def _named(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def _default(request: dict[str, Any]) -> pwd.struct_passwd:
    """The user when neither the run nor the instance's tags name one: our own, created when it is needed."""
    ours = _named(OURS)
    if ours:
        return ours
    own = request["run"]["key"] if "run" in request else None
    if _had_runs(request["root"], own):
        for name in _IMAGE_USERS:
            entry = _named(name)
            if entry:
                return entry
    if own is None:
        raise Refusal("NoUser", f"the user {OURS} does not exist yet: the first run creates it")
    return _create()


def _had_runs(root: str, own: str | None) -> bool:
    """Whether runs other than `own` have left something on this instance."""
    try:
        return any(key != own for key in os.listdir(paths.runs_folder(root)))
    except FileNotFoundError:
        return False


def _create() -> pwd.struct_passwd:
    command = ["useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--comment", "jobs of runctl", OURS]
    try:
        subp.run(command, timeout=_MAX_USERADD_S)
    except subp.ProcessFailed as failed:
        if _named(OURS) is None:  # else another request has created it at the same time
            raise Refusal(
                "NoUser", f"the user {OURS} could not be created ({failed}): set the instance's tag runctl:user"
            ) from None
    return pwd.getpwnam(OURS)


def _may_be_root(root: str) -> bool:
    """Whether the instance's root user allows jobs as root: for a local cloud on a machine that has only root."""
    try:
        info = os.lstat(os.path.join(root, paths.ALLOW_ROOT))
    except FileNotFoundError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_uid == 0


def _current() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        raise Refusal("NoUser", f"uid {os.geteuid()} is not in the password database") from None


def drop_to(account: Account) -> None:
    """Makes this process the user's, permanently: no program that it starts, setuid or not, gets more privileges.

    Raises OSError, also where that is not supported, or PermissionError when privileges are left.
    """
    libc.switch_on(libc.PR_SET_NO_NEW_PRIVS)
    os.initgroups(account.name, account.gid)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if account.uid != 0 and (os.getresuid() != (account.uid,) * 3 or os.getresgid() != (account.gid,) * 3):
        raise PermissionError("privileges were not dropped")
