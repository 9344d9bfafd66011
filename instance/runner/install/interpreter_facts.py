"""Facts about an interpreter, found by running it once, as the user."""

from __future__ import annotations

import json
from typing import Any

from common import subp
from install.errors import InstallError

# Runs in the training's interpreter, of any version. sitecustomize may print: only the last line is read.
_SCRIPT = """
import sys
if sys.path and sys.path[0] == "":
    del sys.path[0]
import json, os, platform, site, sysconfig
from importlib.util import find_spec
paths = sysconfig.get_paths()
print("\\n" + json.dumps({
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "platform": sysconfig.get_platform(),
    "abi": sysconfig.get_config_var("SOABI") or sysconfig.get_config_var("EXT_SUFFIX"),
    "libc": "-".join(platform.libc_ver()),
    "prefix": sys.prefix,
    "path": [os.path.abspath(entry) for entry in sys.path if entry],
    "purelib": paths["purelib"],
    "platlibdir": getattr(sys, "platlibdir", "lib"),
    "userBase": site.getuserbase(),
    "userSite": site.getusersitepackages(),
    "pip": find_spec("pip") is not None,
    "managed": os.path.exists(os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")),
}))
"""


def probe(path: str, env: dict[str, str], cwd: str, timeout: float = 60) -> dict[str, Any]:
    """The interpreter's facts (see _SCRIPT). timeout: seconds.

    Raises InstallError PythonNotFound when it does not run.
    """
    try:
        stdout, _ = subp.run([path, "-c", _SCRIPT], env=env, cwd=cwd, timeout=timeout)
        return json.loads(stdout.strip().splitlines()[-1])
    except subp.ProcessFailed as failed:
        last = " ".join(failed.stderr.strip().splitlines()[-1:])
        raise InstallError("PythonNotFound", f"{path} does not run ({failed.reason}): {last}") from failed
    except (ValueError, IndexError) as error:
        raise InstallError("PythonNotFound", f"{path} is not a Python interpreter: {error}") from error
