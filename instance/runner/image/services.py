"""The machine's own services that write while it is scrubbed: told to be quiet, and the SSM agent stopped."""

from __future__ import annotations

import contextlib
import os

from common import environment, subp

_MAX_S = 60.0
#: The agent as a package, and as a snap.
_AGENTS = ("amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service")
_AGENT_PROCESSES = ("amazon-ssm-agen", "ssm-agent-worke")  # the kernel keeps 15 bytes
#: journald goes on in memory. The seed is written when its service stops: now, and not while the machine goes down.
_QUIET = (
    ("journalctl", "--relinquish-var"),
    ("systemctl", "stop", "rsyslog.service", "syslog.socket"),
    ("systemctl", "stop", "systemd-random-seed.service"),
)


class AgentRuns(Exception):
    """The agent could not be stopped."""


def quiet() -> None:
    """Not every machine has all of them: what is written in spite of it is found by the check."""
    for command in _QUIET:
        with contextlib.suppress(subp.ProcessFailed):
            subp.run(command, env=_env(), timeout=_MAX_S)


def stop_agent(stopped: list[str]) -> None:
    """stopped: gets the units that do not run any more. Raises AgentRuns."""
    with open("/proc/self/cgroup") as file:
        if "amazon-ssm-agent" in file.read():
            raise AgentRuns("the SSM agent was not stopped: systemd has started this process in its unit")
    for unit in filter(_is_active, _AGENTS):
        stopped.append(unit)
        try:
            subp.run(["systemctl", "stop", unit], env=_env(), timeout=_MAX_S)
        except subp.ProcessFailed as failed:
            raise AgentRuns(f"the SSM agent could not be stopped: {failed}") from failed
    if _agent_runs():
        raise AgentRuns("the SSM agent could not be stopped: it is not one of the units " + ", ".join(_AGENTS))


def start(units: list[str]) -> None:
    """After a scrub that failed, so that the instance can be reached."""
    for unit in units:
        with contextlib.suppress(subp.ProcessFailed):
            subp.run(["systemctl", "start", unit], env=_env(), timeout=_MAX_S)


def _is_active(unit: str) -> bool:
    try:
        subp.run(["systemctl", "--quiet", "is-active", unit], env=_env(), timeout=_MAX_S)
    except subp.ProcessFailed:
        return False
    return True


def _agent_runs() -> bool:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            if file.read().strip() in _AGENT_PROCESSES:
                return True
    return False


def _env() -> dict[str, str]:
    return {"PATH": environment.STANDARD_PATH, "LC_ALL": "C"}
