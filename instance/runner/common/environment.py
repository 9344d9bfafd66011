"""The environment that a job sees. The agent's own has no HOME, no USER and a short PATH."""

from __future__ import annotations

import os
from typing import Any, Mapping

from common.accounts import Account
from common.interpreter import Interpreter

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Kept from the agent's environment; the instance's id also marks our processes as this instance's.
_KEPT = ("AWS_SSM_INSTANCE_ID", "AWS_SSM_REGION_NAME", "LANG")


#: Kept for the runner's own processes only: the addresses of the services that have a run's secrets, set by a local
#: cloud. Never from a request or for a job: who chooses these addresses chooses the values.
_KEPT_BY_RUNNER = (
    *_KEPT,
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "RUNCTL_BOOT_ID",
    "RUNCTL_IDLE_FACTS",
    "RUNCTL_SHUTDOWN",
    "RUNCTL_SYSTEM_ROOT",
)


def of_agent() -> dict[str, str]:
    """The variables of the agent's environment that a job gets."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def of_runner() -> dict[str, str]:
    """The variables of the agent's environment that another process of the runner gets."""
    return {name: os.environ[name] for name in _KEPT_BY_RUNNER if name in os.environ}


def of_job(
    account: Account,
    agent: Mapping[str, str],
    run: Mapping[str, Any],
    project: str,
    python: Interpreter | None = None,
    own: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of a job's process.

    python: the Interpreter whose programs and packages it uses, or None. own: the run spec's `env`, taken literally;
    it wins over everything here.
    """
    bins = [os.path.join(account.home, ".local", "bin")] + ([python.bin] if python else [])
    env = {
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        "LANG": "C.UTF-8",
        "PATH": ":".join([*bins, STANDARD_PATH]),
        "PYTHONUNBUFFERED": "1",
        "RUNCTL_RUN_ID": run["id"],
        "RUNCTL_PROJECT": project,
    }
    env.update(agent)
    env.update(python.env if python else {})
    env.update(own or {})
    if python and own and "PYTHONPATH" in python.env and "PYTHONPATH" in own:
        # Python finds an overlay's packages by it: the run's own folders come before them, not in their place.
        env["PYTHONPATH"] = "{}:{}".format(own["PYTHONPATH"], python.env["PYTHONPATH"])
    return env
