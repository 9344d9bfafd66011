"""Starts a program in a container of the given kind, kills the container, and prints what was so before and after.

Arguments: the folder of the runner's modules, the kind, a file that the program makes when it is ready, the program.
"""

import ctypes
import json
import os
import sys
import time

sys.path.insert(0, sys.argv[1])

from common import processes
from jobs import containers, namespace

KIND, READY, PROGRAM = sys.argv[2], sys.argv[3], sys.argv[4:]
_SUBREAPER = 36


def main():
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    pid, container, job = start()
    setup = time.monotonic() - began
    try:
        while not os.path.exists(READY):
            time.sleep(0.01)
        members = container.members()
        before = {"empty": container.is_empty(), "members": len(members), "job": pid in [one.pid for one in members]}
        began = time.monotonic()
        container.kill()
        while not container.is_empty() and time.monotonic() < began + 10:
            time.sleep(0.002)
        took = time.monotonic() - began
        again = containers.of({"bootId": processes.boot_id(), "container": container.describe()})
        after = {"empty": again.is_empty(), "members": len(again.members())}
    finally:
        container.remove()
    killed = job.ended(5)[0] if job else os.waitpid(pid, 0)[1]
    print(json.dumps({"before": before, "after": after, "setup": setup, "took": took, "status": killed}))


def start():
    if KIND == "pid-namespace":
        job = namespace.fork(run)
        return job.pid, containers.PidNamespace(job.first, job.start), job
    container, why = containers.make_cgroup(f"runctl-test-{os.getpid()}", has_systemd=False)
    assert container, why
    go_in, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(go_in, 1)
        run()
    container.enter(pid)
    os.write(go, b"!")
    return pid, container, None


def run(announce=lambda: None):
    os.setsid()
    announce()
    os.execv(PROGRAM[0], PROGRAM)


main()
