"""What an interpreter is and what it has, found out by running it once, as the user."""

import collections
import json
import os
import re

from common import subp
from install.errors import InstallError

# Runs in the person's interpreter, of any version: plain old Python. sitecustomize may print: the last line counts.
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

#: One installed package: `info` its .dist-info or .egg-info, `root` the folder on sys.path that holds it.
Package = collections.namedtuple("Package", "name version info root")


def probe(path, env, cwd, timeout=60):
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


def normalize(name):
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(folders):
    """Everything that is installed in `folders`, by normalized name; the first folder wins, as it does on sys.path."""
    found = {}
    for root in folders:
        try:
            entries = sorted(os.listdir(root))
        except OSError:
            continue  # sys.path also names zips and folders that are not there
        for entry in entries:
            if not entry.endswith((".dist-info", ".egg-info")) or entry.startswith("~"):
                continue
            package = _package(root, entry)
            if package:
                found.setdefault(normalize(package.name), package)
    return found


def metadata_file(info):
    """The file with the package's name, version and requirements; some .egg-info are that file themselves."""
    for name in ("METADATA", "PKG-INFO"):
        if os.path.isfile(os.path.join(info, name)):
            return os.path.join(info, name)
    return info if os.path.isfile(info) else None


def requirements_of(package):
    """Normalized names that a package requires, without those of its extras, on whatever platform."""
    source = metadata_file(package.info)
    texts = [_value(line, "Requires-Dist") for line in _headers(source)] if source else []
    matches = [re.match(r"[A-Za-z0-9._-]+", text) for text in texts if text and not re.search(r"\bextra\s*==", text)]
    return {normalize(match.group()) for match in matches if match}


def _package(root, entry):
    info = os.path.join(root, entry)
    source = metadata_file(info)
    name, version = None, None
    for line in _headers(source) if source else ():
        name = name or _value(line, "Name")
        version = version or _value(line, "Version")
        if name and version:
            return Package(name, version, info, root)
    return None  # what an uninstall or half an install left; no tool counts it


def _headers(path):
    """The lines before the description."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.strip():
                    return
                yield line
    except OSError:
        return


def _value(line, header):
    key, colon, value = line.partition(":")
    return value.strip() if colon and key.strip().lower() == header.lower() else None
