"""Who runs the jobs, and how a process becomes that user."""

import collections
import grp
import os
import pwd
import stat

from common import libc, paths, subp
from common.protocol import Refusal

#: Ours, made on instances that had no runs before. It is in no group but its own.
OURS = "runctl"
#: What images call their administrator: the default of instances that had runs before there was a user of ours.
_OF_IMAGES = ("ubuntu", "ec2-user")
#: Below are root and the system's own users.
_LEAST_UID = 1000
#: Who is in one of these can become root.
_ADMINISTRATORS = ("root", "sudo", "wheel", "admin", "docker", "lxd")
_USERADD_SECONDS = 30

Account = collections.namedtuple("Account", "name uid gid home shell")


def find(request):
    """The account of the jobs of a request. Raises Refusal `NoUser`, `NoHome`, `UserNotAllowed`.

    The instance's tags decide who that may be: the request names a user, and carries those whom the tags allow. Only
    root can become somebody else: any other runner's jobs are the current user's, whatever the request says.
    """
    entry = _entry_of(request) if os.geteuid() == 0 else _current()
    home = request["home"] or entry.pw_dir
    if not os.path.isabs(home) or not os.path.isdir(home):
        raise Refusal("NoHome", f"the home folder {home} of user {entry.pw_name} does not exist on the instance")
    shell = entry.pw_shell if os.access(entry.pw_shell or "-", os.X_OK) else "/bin/sh"
    if os.path.basename(shell) in ("nologin", "false"):
        shell = "/bin/sh"
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, home, shell)


def administrator_groups(account):
    """Names of the groups that make the account an administrator, sorted. Such a user's jobs can become root."""
    found = set()
    for gid in os.getgrouplist(account.name, account.gid):
        try:
            found.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            continue
    return sorted(found.intersection(_ADMINISTRATORS))


def _entry_of(request):
    user, users = request["user"], request.get("users")
    if user and users is not None and user not in (OURS, *users):
        raise Refusal("UserNotAllowed", f"the instance's tags do not allow jobs of the user {user}")
    entry = _named(user) if user else _default(request)
    if user and entry is None:
        raise Refusal("NoUser", f"the instance has no user {user}")
    if entry.pw_uid < _LEAST_UID and not _may_be_root(request["root"]):
        raise Refusal(
            "UserNotAllowed",
            f"the user {entry.pw_name} has uid {entry.pw_uid}: jobs run as users with uid {_LEAST_UID} or above",
        )
    return entry


def _named(user):
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def _default(request):
    """Who runs the jobs when neither the run nor the instance's tags say: our user, made when it is needed."""
    ours = _named(OURS)
    if ours:
        return ours
    own = request["run"]["key"] if "run" in request else None
    if _had_runs(request["root"], own):
        for name in _OF_IMAGES:
            entry = _named(name)
            if entry:
                return entry
    if own is None:
        raise Refusal("NoUser", f"the user {OURS} does not exist yet: the first run creates it")
    return _create()


def _had_runs(root, own):
    """Whether runs other than `own` have left something on this instance."""
    try:
        return any(key != own for key in os.listdir(paths.runs_folder(root)))
    except FileNotFoundError:
        return False


def _create():
    command = ["useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--comment", "jobs of runctl", OURS]
    try:
        subp.run(command, timeout=_USERADD_SECONDS)
    except subp.ProcessFailed as failed:
        if _named(OURS) is None:  # else another request has created it at the same time
            raise Refusal(
                "NoUser", f"the user {OURS} could not be created ({failed}): set the instance's tag runctl:user"
            ) from None
    return _named(OURS)


def _may_be_root(root):
    """Whether the instance's root user has allowed root's jobs: for a local cloud on a machine that has only root."""
    try:
        info = os.lstat(os.path.join(root, paths.ALLOW_ROOT))
    except FileNotFoundError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_uid == 0


def _current():
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        raise Refusal("NoUser", f"uid {os.geteuid()} is not in the password database") from None


def drop_to(account):
    """Makes this process the user's, for good: no program that it starts, setuid or not, gets more.

    Raises OSError, also where that cannot be had, or PermissionError when privileges are still there.
    """
    libc.switch_on(libc.PR_SET_NO_NEW_PRIVS)
    os.initgroups(account.name, account.gid)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if account.uid != 0 and (os.getresuid() != (account.uid,) * 3 or os.getresgid() != (account.gid,) * 3):
        raise PermissionError("privileges were not dropped")
