"""The job `probe`: what an install and a training of this user would find. It changes nothing."""

import glob
import json
import os
import shutil
import sys

from common import disk, interpreter, subp
from install import environment, interpreter_facts
from install.errors import InstallError

#: For each of the three programs that are asked; jobs/probe.py waits for all.
_SECONDS = 15
_NVIDIA = "0x10de"
#: PCI's class of display controllers: a card's sound device is none.
_DISPLAY = "0x03"
_LATE = "not checked: an earlier check took too long"


def main():
    """Reads the job from stdin. Says what it knows after each step: the last that was said is the result."""
    job = json.load(sys.stdin)
    for known in look(job["probe"]["python"], job["home"]):
        os.write(int(os.environ["RUNCTL_PROGRESS_FD"]), json.dumps({"result": known}).encode("ascii") + b"\n")
    return 0


def look(wanted, home, pci="/sys/bus/pci/devices", opt="/opt"):
    """Yields what is known so far, all in the end. wanted: the run spec's `python`. pci, opt: for tests."""
    known = {
        "disk": disk.describe(home),
        "python": {"error": f"the interpreter does not answer within {_SECONDS} s"},
        "uv": {"path": None, "version": None, "error": _LATE},
        "gpu": {"devices": _devices(pci), "names": [], "error": _LATE},
    }
    yield known
    known["python"], env = _python(wanted, home, opt)
    yield known
    known["uv"] = _uv(env, home)
    yield known
    known["gpu"] = _gpu(env, home, pci)
    yield known


def _python(wanted, home, opt):
    """What the answer says of the interpreter, and the environment of an install's tools."""
    try:
        found = interpreter.find(wanted, home, opt=opt)
    except interpreter.PythonNotFound as error:
        return {"error": str(error)}, environment.tool_environment(home, {}, "/usr")
    env = environment.tool_environment(home, {}, found.prefix)
    try:
        facts = interpreter_facts.probe(found.path, dict(env, **found.env), home, _SECONDS)
    except InstallError as error:
        return {"error": str(error)}, env
    kept = {"path": found.path, "reason": found.reason, "version": facts["version"], "pip": facts["pip"]}
    return dict(kept, error=None), env


def _uv(env, cwd):
    path = shutil.which("uv", path=env["PATH"])
    if path is None:
        return None
    try:
        stdout, _ = subp.run([path, "--version"], env=env, cwd=cwd, timeout=_SECONDS)
    except subp.ProcessFailed as failed:
        return {"path": path, "version": None, "error": str(failed)}
    return {"path": path, "version": stdout.strip(), "error": None}


def _gpu(env, cwd, pci):
    """`devices`: NVIDIA's display controllers on the PCI bus; `names`: of the GPUs that the driver shows."""
    found = {"devices": _devices(pci), "names": [], "error": None}
    path = shutil.which("nvidia-smi", path=env["PATH"])
    if path is None:
        return dict(found, error="there is no nvidia-smi: the driver is not installed" if found["devices"] else None)
    query = [path, "--query-gpu=name", "--format=csv,noheader"]
    try:
        stdout, _ = subp.run(query, env=env, cwd=cwd, timeout=_SECONDS)
    except subp.ProcessFailed as failed:
        # Images with a driver run on machines without a GPU too: there it is no fault.
        return dict(found, error=str(failed) if found["devices"] else None)
    return dict(found, names=[line.strip() for line in stdout.splitlines() if line.strip()][:16])


def _devices(pci):
    folders = glob.glob(os.path.join(glob.escape(pci), "*"))
    return sum(_text(folder, "vendor") == _NVIDIA and _text(folder, "class").startswith(_DISPLAY) for folder in folders)


def _text(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
