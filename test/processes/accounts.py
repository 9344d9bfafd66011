"""Asks accounts.find about requests, in a password database that is played. Reads cases from stdin, a JSON list."""

import collections
import json
import os
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
from common import accounts, subp  # noqa: E402  the path comes first
from common.protocol import Refusal  # noqa: E402

Entry = collections.namedtuple("Entry", "pw_name pw_uid pw_gid pw_dir pw_shell")


def ask(case):
    """What find answers: [name, uid, created], or the name of the refusal."""
    with tempfile.TemporaryDirectory() as folder:
        return find(case, os.path.join(folder, "home"), os.path.join(folder, "root"))


def find(case, home, root):
    for place in (home, root):
        os.mkdir(place)
    users = {name: Entry(name, uid, uid, home, "/bin/sh") for name, uid in case["users"].items()}
    created = []

    def useradd(command, timeout):
        created.append(command[-1])
        if not case["canCreate"]:
            raise subp.ProcessFailed(command, 1, "", "no", "exit code 1")
        users[command[-1]] = Entry(command[-1], 1_500, 1_500, home, "/bin/bash")

    subp.run = useradd
    accounts.pwd.getpwnam = users.__getitem__
    os.geteuid = lambda: 0
    for key in case["runs"]:
        os.makedirs(os.path.join(root, "runs", key))
    if case["allowRoot"]:
        open(os.path.join(root, "allow-root"), "w").close()
    request = {"root": root, "home": None, "user": case["user"], "users": case["allowed"], "run": {"key": "own"}}
    try:
        account = accounts.find(request)
    except Refusal as refusal:
        return refusal.name
    return [account.name, account.uid, created]


print(json.dumps([ask(case) for case in json.load(sys.stdin)]))
