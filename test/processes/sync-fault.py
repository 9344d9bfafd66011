"""Runs the runner's sync, or a restore, and at its Nth change to the file system kills it, or fills the disk.

Usage: sync-fault.py kill|kill-job|full-once|full <N> <runner> [restore]. Python tells an audit hook of every such call before it
makes it, so the runner itself needs no hook for tests. `kill`: SIGKILL to all processes just before the change,
`kill-job`: to the group of the first one, as a person would. `full-once`: that change fails with ENOSPC; `full`: and
all later ones that need room. Exit code 0: the sync came to its end before its Nth change.
"""

import errno
import mmap
import os
import runpy
import signal
import sys

GROWS = {"os.rename", "os.mkdir", "os.link", "os.symlink"}
CHANGES = GROWS | {"os.remove", "os.rmdir", "os.utime", "os.truncate", "os.chmod"}
fault, runner = sys.argv[1], sys.argv[3]
counted = GROWS if fault.startswith("full") else CHANGES
job = os.getpid()
if os.getpgid(0) != job:
    os.setpgid(0, 0)
left = memoryview(mmap.mmap(-1, 8)).cast("q")  # shared with the processes that it forks
left[0] = int(sys.argv[2])


def watch(event, args):
    if event in counted or (event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT):
        left[0] -= 1
        if left[0] == 0 and fault.startswith("kill"):
            os.killpg(job, signal.SIGKILL)
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        if left[0] == 0 if fault == "full-once" else fault == "full" and left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


sys.addaudithook(watch)
sys.argv = [runner, "child", *(sys.argv[4:] or ["sync"])]
runpy.run_path(runner, run_name="__main__")
