"""Turns a lock file into requirements that uv and pip install exactly."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from common import subp
from install import pyproject, toml, wheel
from install.errors import ToolFailed

if TYPE_CHECKING:
    from install.uv import Uv

#: `uv export` writes pylock.toml since then.
_EXPORTS_PYLOCK = (0, 7)


def export(file: str, extras: tuple[str, ...], uv: Uv, python: str) -> dict[str, Any]:
    """The packages of a uv.lock as a pylock.toml, without the project itself and its groups for development."""
    if uv.version < _EXPORTS_PYLOCK:
        raise ToolFailed(f"{uv.name} is too old to read uv.lock: it needs uv 0.7 or newer")
    command = [uv.path, "export", "--frozen", "--format", "pylock.toml", "--no-header", "--no-dev", "--no-emit-project"]
    command += [f"--extra={extra}" for extra in extras]
    folder = os.path.dirname(file)
    try:
        stdout, _ = subp.run([*command, "--python", python], env=uv.env, cwd=folder, timeout=120)
        return toml.loads(stdout)
    except subp.ProcessFailed as failed:
        raise ToolFailed(str(failed), failed.stderr.splitlines()[-8:]) from failed
    except toml.TomlError as error:
        raise ToolFailed(f"{uv.name} exported something that is not TOML: {error}") from error


def write_requirements(document: dict[str, Any], folder: str, installer: str, path: str) -> list[str]:
    """Writes a pylock.toml's packages as a requirements file to `path`. Returns the options that install exactly these.

    folder: of the lock file. The lock has the dependencies of all packages: nothing is resolved again.
    """
    packages = document.get("packages", [])
    hashes = [_hashes(package) for package in packages]
    is_complete = all(hashes)
    # pip refuses hashes when a package has none, such as a local project; uv verifies those that there are.
    has_hashes = is_complete or installer == "uv"
    indexes = {package.get("index", wheel.DEFAULT_INDEX).rstrip("/") for package in packages} - {wheel.DEFAULT_INDEX}
    lines = [f"--extra-index-url {index}" for index in sorted(indexes)]
    for package, digests in zip(packages, hashes):
        options = [f"--hash={digest}" for digest in digests] if has_hashes else []
        marker = f"; {package['marker']}" if package.get("marker") else ""
        lines.append(" ".join(filter(None, [_requirement(package, folder), marker, *options])))
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return ["--no-deps", *(["--require-hashes"] if is_complete and packages else []), "-r", path]


def load(file: str) -> dict[str, Any]:
    """The tables of a pylock.toml. Raises ToolFailed for a version of the format that is not known."""
    document = pyproject.load(file)
    version = str(document.get("lock-version", ""))
    if version.split(".")[0] != "1":
        raise ToolFailed(f"{file} has the lock-version {version or 'none'}, and 1.0 is the only one that is known")
    return document


def _requirement(package: dict[str, Any], folder: str) -> str:
    name = package["name"]
    if "vcs" in package:
        vcs = package["vcs"]
        subdirectory = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        return f"{name} @ {vcs['type']}+{vcs.get('url') or _url(vcs['path'], folder)}@{vcs['commit-id']}{subdirectory}"
    if "directory" in package:
        path = os.path.normpath(os.path.join(folder, package["directory"]["path"]))
        return f"-e {path}" if package["directory"].get("editable") else f"{name} @ file://{path}"
    if "archive" in package:
        archive = package["archive"]
        return f"{name} @ {archive.get('url') or _url(archive['path'], folder)}"
    return f"{name}=={package['version']}"


def _url(path: str, folder: str) -> str:
    return "file://" + os.path.normpath(os.path.join(folder, path))


def _hashes(package: dict[str, Any]) -> list[str]:
    files = [package.get("archive"), package.get("sdist"), *package.get("wheels", [])]
    found = [f"{name}:{value}" for file in files if file for name, value in file.get("hashes", {}).items()]
    return sorted(set(found))
