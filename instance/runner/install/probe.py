"""The job `probe`: the interpreter, uv, GPU and disk that an install and a training of this user would find.

It changes nothing.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from common import disk, interpreter, subp
from install import environment, interpreter_facts
from install.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The timeout of each of the three programs; jobs/probe.py waits for all.
_TIMEOUT_S = 15
_NVIDIA = "0x10de"
#: PCI's class of display controllers; the sound device of a card has another.
_DISPLAY = "0x03"
_LATE = "not checked: an earlier check took too long"


def main() -> int:
    """Reads the job from stdin. Writes a result after each step: the last one counts."""
    job = json.load(sys.stdin)
    for facts in probe(job["probe"]["python"], job["home"]):
        os.write(int(os.environ["RUNCTL_PROGRESS_FD"]), json.dumps({"result": facts}).encode("ascii") + b"\n")
    return 0


def probe(
    spec_python: str | None, home: str, pci: str = "/sys/bus/pci/devices", opt: str = "/opt"
) -> Iterator[dict[str, Any]]:
    """Yields the facts known so far; the last has all. spec_python: the run spec's `python`. pci, opt: for tests."""
    facts = {
        "disk": disk.describe(home),
        "python": {"error": f"the interpreter does not answer within {_TIMEOUT_S} s"},
        "uv": {"path": None, "version": None, "error": _LATE},
        "gpu": {"devices": _devices(pci), "names": [], "error": _LATE},
    }
    yield facts
    facts["python"], env = _python(spec_python, home, opt)
    yield facts
    facts["uv"] = _uv(env, home)
    yield facts
    facts["gpu"] = _gpu(env, home, pci)
    yield facts


def _python(spec_python: str | None, home: str, opt: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The interpreter's part of the answer, and the environment of an install's tools."""
    try:
        found = interpreter.find(spec_python, home, opt=opt)
    except interpreter.PythonNotFound as error:
        return {"error": str(error)}, environment.tool_environment(home, {}, "/usr")
    env = environment.tool_environment(home, {}, found.prefix)
    try:
        details = interpreter_facts.probe(found.path, dict(env, **found.env), home, _TIMEOUT_S)
    except InstallError as error:
        return {"error": str(error)}, env
    answer = {"path": found.path, "reason": found.reason, "version": details["version"], "pip": details["pip"]}
    return dict(answer, error=None), env


def _uv(env: dict[str, str], cwd: str) -> dict[str, str | None] | None:
    path = shutil.which("uv", path=env["PATH"])
    if path is None:
        return None
    try:
        stdout, _ = subp.run([path, "--version"], env=env, cwd=cwd, timeout=_TIMEOUT_S)
    except subp.ProcessFailed as failed:
        return {"path": path, "version": None, "error": str(failed)}
    return {"path": path, "version": stdout.strip(), "error": None}


def _gpu(env: dict[str, str], cwd: str, pci: str) -> dict[str, Any]:
    """`devices`: NVIDIA's display controllers on the PCI bus; `names`: of the GPUs that the driver shows."""
    gpu = {"devices": _devices(pci), "names": [], "error": None}
    path = shutil.which("nvidia-smi", path=env["PATH"])
    if path is None:
        return dict(gpu, error="there is no nvidia-smi: the driver is not installed" if gpu["devices"] else None)
    query = [path, "--query-gpu=name", "--format=csv,noheader"]
    try:
        stdout, _ = subp.run(query, env=env, cwd=cwd, timeout=_TIMEOUT_S)
    except subp.ProcessFailed as failed:
        # Images with a driver run on instances without a GPU too: there it is not an error.
        return dict(gpu, error=str(failed) if gpu["devices"] else None)
    return dict(gpu, names=[line.strip() for line in stdout.splitlines() if line.strip()][:16])


def _devices(pci: str) -> int:
    folders = glob.glob(os.path.join(glob.escape(pci), "*"))
    return sum(_text(folder, "vendor") == _NVIDIA and _text(folder, "class").startswith(_DISPLAY) for folder in folders)


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
