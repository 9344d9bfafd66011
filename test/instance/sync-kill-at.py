"""Runs the runner's sync and kills it with SIGKILL just before its Nth change to the file system.

Usage: sync-kill-at.py <N> <runner>. Python tells an audit hook of every such call before it makes it, so the runner itself
needs no hook for tests. Exit code 0: the sync came to its end before its Nth change.
"""

import os
import runpy
import signal
import sys

CHANGES = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.utime",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
}
left = int(sys.argv[1])


def watch(event, args):
    global left
    if event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(watch)
sys.argv = [sys.argv[2], "child", "sync"]
runpy.run_path(sys.argv[0], run_name="__main__")
