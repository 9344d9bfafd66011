"""Which interpreter the training ran with, and what is installed there: for the manifest."""

import json
import os
import subprocess

from common import accounts, environment, interpreter

_SECONDS = 30
#: importlib.metadata is there from 3.8 on; an older interpreter of the person's has its packages unlisted.
_LOOK = """
import json, platform
try:
    from importlib.metadata import distributions
except ImportError:
    distributions = list
found = {}
for one in distributions():
    name = one.metadata["Name"]
    if name:
        found.setdefault(name, one.version)
print(json.dumps({"version": platform.python_version(), "packages": found}))
"""


def look(python, asked, account):
    """({path, version}, {name: version}). Raises what hinders it."""
    chosen = interpreter.find(python, account.home, account.name)
    env = environment.of_job(account, asked["agent"], asked["run"], asked["project"], chosen)
    become = None if account.uid == os.geteuid() else lambda: accounts.drop_to(account)
    output = subprocess.run(
        [chosen.path, "-c", _LOOK],
        env=env,
        cwd=account.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS,
        check=True,
        preexec_fn=become,
    ).stdout
    found = json.loads(output)
    packages = {str(name): str(version) for name, version in sorted(found["packages"].items())}
    return {"path": chosen.path, "version": str(found["version"])}, packages
