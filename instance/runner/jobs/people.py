"""Who else uses the instance: people who are logged in, and other work. What is not known counts as use."""

from __future__ import annotations

import json
import os
import re

from common import subp

#: A file of the root user of a local cloud, whose instances share one machine: {"people": [text], "load": number}.
FACTS = "RUNCTL_IDLE_FACTS"
#: The kernel's average of runnable processes over a minute: an idle instance has less than 0.1, one busy process 1.
MAX_LOAD = 0.5
#: Sessions that `who` does not list: of sshd without a terminal, and of Session Manager.
_SSH = re.compile(r"sshd(?:-session)?: \S+@")
_SESSION_MANAGER = "ssm-session-worker"
_MAX_TEXT = 200


def reasons() -> list[str]:
    """Why the instance must not be stopped, for people; empty: nobody uses it."""
    facts = os.environ.get(FACTS)
    try:
        people, load = _read_facts(facts) if facts else (_logged_in() + _sessions(), os.getloadavg()[0])
    except (OSError, ValueError, KeyError, TypeError, subp.ProcessFailed) as error:
        return [f"it is not known who is logged in: {error}"[:_MAX_TEXT]]
    busy = [f"other processes work: the load average is {load:.2f}"] if load >= MAX_LOAD else []
    return [text[:_MAX_TEXT] for text in people] + busy


def _read_facts(path: str) -> tuple[list[str], float]:
    with open(path) as file:
        facts = json.load(file)
    return [str(text) for text in facts["people"]], float(facts["load"])


def _logged_in() -> list[str]:
    """As `who` lists them: each line begins with the user and the terminal."""
    stdout, _ = subp.run(["who"], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, timeout=10)
    found = [line.split() for line in stdout.splitlines() if line.strip()]
    return ["{} is logged in ({})".format(words[0], words[1] if len(words) > 1 else "?") for words in found]


def _sessions() -> list[str]:
    found = []
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode("utf-8", "replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if _SSH.match(words[0]):
            found.append(f"an ssh session is open: {words[0].strip()}")
        elif os.path.basename(words[0]) == _SESSION_MANAGER:
            found.append("a session of Session Manager is open")
    return found
