"""Who runs the jobs, and how a process becomes that user."""

import collections
import os
import pwd

from common import libc
from common.protocol import Refusal

#: What images call their user, in the order of preference when the request names none.
_USUAL = ("ubuntu", "ec2-user")

Account = collections.namedtuple("Account", "name uid gid home shell")


def find(user, home):
    """The account of a request's `user` and `home` (both may be None). Raises Refusal `NoUser`, `NoHome`.

    Only root can become somebody else: any other runner's jobs are the current user's, whatever the request says.
    """
    entry = _entry_of(user) if os.geteuid() == 0 else _current()
    home = home or entry.pw_dir
    if not os.path.isabs(home) or not os.path.isdir(home):
        raise Refusal("NoHome", f"the home folder {home} of user {entry.pw_name} does not exist on the instance")
    shell = entry.pw_shell if os.access(entry.pw_shell or "-", os.X_OK) else "/bin/sh"
    if os.path.basename(shell) in ("nologin", "false"):
        shell = "/bin/sh"
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, home, shell)


def _entry_of(user):
    for name in [user] if user else _USUAL:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    if user:
        raise Refusal("NoUser", f"the instance has no user {user}: set `user`, or the instance's tag runctl:user")
    raise Refusal("NoUser", "the instance has neither the user {} nor {}: set `user`".format(*_USUAL))


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
