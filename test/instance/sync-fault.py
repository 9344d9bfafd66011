"""Runs the runner's sync, and at its Nth change to the file system kills it, or fills the disk.

Usage: sync-fault.py kill|full-once|full <N> <runner>. Python tells an audit hook of every such call before it makes it,
so the runner itself needs no hook for tests. `kill`: SIGKILL just before the change. `full-once`: that change fails with
ENOSPC; `full`: and all later ones that need room. Exit code 0: the sync came to its end before its Nth change.
"""

import errno
import os
import runpy
import signal
import sys

GROWS = {"os.rename", "os.mkdir", "os.link", "os.symlink"}
CHANGES = GROWS | {"os.remove", "os.rmdir", "os.utime", "os.truncate", "os.chmod"}
fault, left, runner = sys.argv[1], int(sys.argv[2]), sys.argv[3]
counted = CHANGES if fault == "kill" else GROWS


def watch(event, args):
    global left
    if event in counted or (event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT):
        left -= 1
        if left == 0 and fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if left == 0 or (left < 0 and fault == "full"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


sys.addaudithook(watch)
sys.argv = [runner, "child", "sync"]
runpy.run_path(runner, run_name="__main__")
