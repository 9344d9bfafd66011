"""What a scrub does on a machine of its own, which tests have none of: its services are replaced, never called."""

import json
import os
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
from common import marker, paths, subp
from image import main, services
from jobs import builder, launch

found = {}


def system_of(name, on_ec2, systemd, **variables):
    for one in (builder.SYSTEM, *builder._LOCAL):
        os.environ.pop(one, None)
    os.environ.update(variables)
    builder._is_on_ec2 = lambda: on_ec2
    launch.has_systemd = lambda: systemd
    try:
        found[name] = builder._system()
    except builder.NotABuilder as error:
        found[name] = str(error)


system_of("a machine of somebody", False, True)
system_of("an instance without systemd", True, False)
system_of("an instance", True, True)
system_of("a local cloud", True, True, AWS_ENDPOINT_URL="http://127.0.0.1:1")
system_of("a test that shuts nothing down", True, True, RUNCTL_SHUTDOWN='["true"]')
system_of("a folder that is the machine", True, True, RUNCTL_SYSTEM_ROOT="/tmp/..")
system_of("a folder that is relative", True, True, RUNCTL_SYSTEM_ROOT="tmp")

calls = []


def fake_run(active, fails):
    def run(command, **_):
        calls.append(" ".join(command))
        is_query = "is-active" in command
        if (is_query and command[-1] not in active) or (not is_query and "stop" in command and fails):
            raise subp.ProcessFailed(command, 1, "", "", "exit code 1")
        return "", ""

    subp.run = run


def scrub(name, active, fails=False, left=False):
    """Scrubs a folder as if it were the machine."""
    with tempfile.TemporaryDirectory() as base:
        root, system, home = (os.path.join(base, one) for one in ("root", "system", "home"))
        registration = os.path.join(system, "var/lib/amazon/ssm/Vault/Store/EC2RegistrationKey")
        for folder in (root, home, os.path.dirname(registration)):
            os.makedirs(folder)
        with open(registration, "w") as file:
            file.write("of this machine")
        about = {"key": "k", "base": "b", "project": "p", "run": "r"}
        work = {"root": root, "system": system, "isMachine": True, "homes": [home], "projects": ["p"]}
        marker.write(paths.scrub_work(root), dict(work, about=about, delay=0, shutdown=["no-such-shutdown"]))
        calls.clear()
        fake_run(active, fails)
        services._agent_runs = lambda: left
        main.main(root)
        state = marker.read_existing(paths.image(root))
        found[name] = [state["state"], state["reason"], os.path.exists(registration), list(calls)]


SNAP = "snap.amazon-ssm-agent.amazon-ssm-agent.service"
scrub("the agent is a snap", [SNAP])
scrub("the agent does not stop", ["amazon-ssm-agent.service"], fails=True)
scrub("the agent is not a unit", [], left=True)
print(json.dumps(found))
