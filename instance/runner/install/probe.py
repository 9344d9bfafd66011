"""The verb `probe`: what an install and a training would find on this instance. It changes nothing.

The installer answers it, since it is the one program that knows interpreters, pip and uv.
"""

import glob
import os
import shutil

from common import accounts, interpreter, protocol, subp
from install import environment, interpreter_facts
from install.errors import InstallError

_KEYS = {"root": (str,), "home": (str, type(None)), "user": (str, type(None)), "python": (str, type(None))}
#: For each of the three programs that are asked; the document has 60 s for all.
_SECONDS = 15
_NVIDIA = "0x10de"
#: PCI's class of display controllers: a card's sound device is none.
_DISPLAY = "0x03"


def answer(request, pci="/sys/bus/pci/devices", opt="/opt"):
    """Answers `probe`. pci, opt: for tests. Raises Refusal."""
    protocol.check(request, _KEYS, "")
    if not os.path.isabs(request["root"]):
        raise protocol.Refusal("BadRequest", "root is not an absolute path")
    account = accounts.find(request["user"], request["home"])
    disk = {"home": _disk(account.home), "root": _disk(request["root"])}
    secrets = _secrets(request.get("secrets", {}))
    if os.geteuid() == 0:
        accounts.drop_to(account)  # what lies in the user's home must not run as root
    python, env = _python(request["python"], account, opt)
    return {
        "user": account.name,
        "home": account.home,
        "disk": disk,
        "python": python,
        "uv": _uv(env, account.home),
        "gpu": _gpu(env, account.home, pci),
        "secrets": secrets,
    }


def _secrets(asked):
    """What is wrong with each of the secrets and what to do, by its variable's name; None: it can be read.

    Asked before becoming the user: a job need not reach the instance's role.
    """
    if not asked:
        return {}
    from common.secrets import read

    protocol.check_secrets(asked, {}, "")
    problems = read.read(asked, os.environ).problems
    shown = {name: {"error": problem.error, "next": problem.action} for name, problem in problems.items()}
    return {name: shown.get(name) for name in asked}


def _disk(folder):
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)  # the root comes to be with the first run
    found = os.statvfs(folder)
    return {"path": folder, "free": found.f_bavail * found.f_frsize, "bytes": found.f_blocks * found.f_frsize}


def _python(wanted, account, opt):
    """What the answer says of the interpreter, and the environment of an install's tools."""
    try:
        found = interpreter.find(wanted, account.home, account.name, opt)
    except interpreter.PythonNotFound as error:
        return {"error": str(error)}, environment.tool_environment(account.home, {}, "/usr")
    env = environment.tool_environment(account.home, {}, found.prefix)
    try:
        facts = interpreter_facts.probe(found.path, dict(env, **found.env), account.home, _SECONDS)
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
