"""Starts a process of the runner's own that outlives the command which asked for it.

The agent kills a command's process group at its time-out, waits for every copy of its output streams to be closed, and
ends everything in its cgroup when the kernel kills one of them for memory. So: a session of its own, no stream shared,
and where systemd runs, a unit of its own.
"""

import os
import subprocess
import sys

from common import environment, subp
from common.paths import program_path
from jobs import limits

_SYSTEMD_SECONDS = 10.0

#: collect: a unit that failed leaves no trace behind. OOMPolicy: the kernel's kill of a training's worker is the
#: training's affair. Delegate: the job gets a cgroup of its own below the unit's. KillMode: when the supervisor dies,
#: the training is left alone (poll still sees it).
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


def detached(words, unit, grace):
    """Runs this program with the arguments `words`, detached.

    unit: name of its systemd unit. grace: seconds that it may take to end when the machine goes down.
    Returns why systemd did not take it, or None. Raises OSError.
    """
    command = [sys.executable, "-I", "-B", program_path(), *words]
    kept = environment.of_runner()
    why = None
    if has_systemd():
        try:
            subp.run(systemd_command(command, unit, grace, kept), timeout=_SYSTEMD_SECONDS)
            return None
        except subp.ProcessFailed as failed:
            why = str(failed)  # An old systemd that knows not all of this, say. A session of its own is nearly as good.
    env = dict(kept, PATH=environment.STANDARD_PATH)
    # start_new_session: setsid. Our end makes it init's child.
    subprocess.Popen(
        command,
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return why


def systemd_command(command, unit, grace, env):
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


def has_systemd():
    """Whether systemd runs here and takes units of ours."""
    return os.geteuid() == 0 and os.path.isdir("/run/systemd/system")
