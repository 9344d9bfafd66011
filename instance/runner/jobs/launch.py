"""Starts a process of the runner's own that continues after the command that started it has ended.

The agent kills a command's process group at its time-out, waits until every copy of its output streams is closed, and
ends everything in its cgroup when the kernel kills one process of it for memory. So the process gets a session of its
own, shares no stream, and where systemd runs, has a unit of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys

from common import environment, marker, subp
from common.paths import program_path
from jobs import limits

_MAX_SYSTEMD_S = 10.0

#: OOMPolicy: systemd does not end the unit when the kernel kills a worker of the training. Delegate: the job gets a
#: cgroup of its own below the unit's. KillMode: when the supervisor dies, the training goes on (poll still sees it).
#: TasksMax: the default of 15% is too little for many data loaders. MemoryMax: the kernel ends the job, not the agent.
_PROPERTIES = (
    "Delegate=yes",
    "OOMPolicy=continue",
    "KillMode=process",
    "NoNewPrivileges=yes",
    "StandardInput=null",
    "StandardOutput=null",
    "StandardError=journal",
)


def detached(words: list[str], unit: str, grace: float) -> str | None:
    """Runs this program with the arguments `words`, detached.

    unit: name of its systemd unit. grace: seconds that it may take to end when the machine goes down.
    Returns reason systemd did not start it, or None. Raises OSError.
    """
    command = [sys.executable, "-I", "-B", program_path(), *words]
    env = environment.of_runner()
    reason = None
    if has_systemd():
        try:
            subp.run(systemd_command(command, unit, grace, env), timeout=_MAX_SYSTEMD_S)
            return None
        except subp.ProcessFailed as failed:
            reason = str(failed)  # For example an old systemd without one of the properties. Goes on without systemd.
    # When this process ends, init adopts the new one.
    subprocess.Popen(
        command,
        env=dict(env, PATH=environment.STANDARD_PATH),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return reason


def at_most(count: int, starts: str, words: list[str], unit: str, grace: float) -> bool:
    """As `detached`, but no more than `count` times. Returns whether it was started.

    starts: the file that keeps how often that was. unit: completed by the number of the start.
    """
    number = (marker.read(starts) or {"count": 0})["count"] + 1
    if number > count:
        return False
    marker.write(starts, {"count": number}, durable=False)
    detached(words, f"{unit}-{number}", grace)
    return True


def systemd_command(command: list[str], unit: str, grace: float, env: dict[str, str]) -> list[str]:
    """The systemd-run call for `command`."""
    bounds = [f"TasksMax={limits.tasks()}", f"MemoryMax={limits.memory()}"]
    properties = [*_PROPERTIES, *bounds, f"TimeoutStopSec={int(grace) + 15}"]
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        "--no-ask-password",
        f"--unit={unit}",
        *(f"--setenv={name}={value}" for name, value in sorted(env.items())),
        *(f"--property={value}" for value in properties),
        "--",
        *command,
    ]


def has_systemd() -> bool:
    """Whether systemd runs here and starts units for this process."""
    return os.geteuid() == 0 and os.path.isdir("/run/systemd/system")
