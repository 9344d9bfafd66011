"""The job `install`: installs the requirements into the interpreter of the training.

With uv, or with pip where uv fails. Installed packages that satisfy the requirements stay, and an install that
succeeded is not repeated.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Any

from common import interpreter
from install import bring, conda, environment, environment_key, interpreter_facts, pip, records, source
from install.errors import InstallError, ToolFailed, disk_full, disk_is_full
from install.progress import Progress
from install.project_target import ProjectTarget
from install.redact import Redactor
from install.target import Target
from install.uv import UvInstall

if TYPE_CHECKING:
    from common.interpreter import Interpreter
    from common.packages import Package
    from install.requirements import Requirements


def main(opt: str = "/opt") -> int:
    """Reads the job from stdin; returns 0 when it succeeded, else 1. opt: where images keep their environments."""
    job = json.load(sys.stdin)
    request, home = job["install"], job["home"]
    request.setdefault("environment", "shared")
    request.setdefault("reuse", False)
    request.setdefault("environments", None)
    secrets = {name: os.environ[name] for name in request["secrets"]}
    redact = Redactor(dict(os.environ, **request["env"]), values=secrets.values())
    descriptor = os.environ.get("RUNCTL_PROGRESS_FD")
    progress = Progress(redact, int(descriptor) if descriptor else None)
    try:
        project = os.path.join(home, job["project"])
        result = Install(request, home, project, redact, progress, opt).run()
    except InstallError as error:
        return _failed(progress, redact, error.name, str(error))
    except OSError as error:
        if disk_is_full([str(error)]):
            return _failed(progress, redact, "DiskFull", str(disk_full(home)))
        return _failed(progress, redact, "InstallFailed", f"{type(error).__name__}: {error}")
    except Exception as error:
        progress.log(traceback.format_exc().rstrip())
        return _failed(progress, redact, "InstallFailed", f"internal error of runctl: {type(error).__name__}: {error}")
    progress.result(result)
    return 0


def _failed(progress: Progress, redact: Redactor, name: str, message: str) -> int:
    # The log has the tools' output already; the result carries the last lines to whoever has no log at hand.
    progress.log(f"{name}: {message.splitlines()[0]}")
    progress.result({"error": {"name": name, "message": redact(message)}})
    return 1


class Install:
    """One run of the job. request: the job's `install`."""

    def __init__(
        self, request: dict[str, Any], home: str, project: str, redact: Redactor, progress: Progress, opt: str
    ) -> None:
        self._request, self._home, self._project = request, home, project
        self._redact, self._progress, self._opt = redact, progress, opt
        self._name = os.path.basename(project)
        self._damaged: list[Package] = []
        self._warnings: list[str] = []
        self._records = records.Records(os.path.join(home, ".runctl", "installs"))
        self._own: ProjectTarget | None = None

    def run(self) -> dict[str, Any]:
        """The job's result; raises InstallError."""
        log = self._progress.log
        python = self._interpreter()
        log(f"python: {python.path}: {python.reason}")
        env = environment.tool_environment(self._home, self._request["env"], python.prefix)
        file = source.find(self._request["requirements"], self._project)
        requirements = source.read(file, self._home, self._project, env)
        self._redact.learn(requirements.lines)
        facts = interpreter_facts.probe(python.path, dict(env, **python.env), self._home)
        target = Target(python, facts)
        image = target
        if requirements.has_packages and file.kind != "conda" and self._request["environment"] == "project":
            target = self._project_target(target, env, file, requirements)
        if not requirements.has_packages:
            log(f"{file.name} lists no packages: nothing to install")
            return self._result("none", False, target, 0)
        key = (
            None
            if requirements.remote
            else records.key_of(
                requirements,
                target,
                self._request["installer"],
                dict(self._request["env"], **self._request["secrets"]),
                self._home,
            )
        )
        cached = self._restored(key, requirements, image, target) or self._cached(key, requirements, target)
        if cached:
            return cached
        log(f"installing {file.name} into {target.describe()} (Python {facts['version']})")
        before = target.visible()
        installer = self._work(target, file, requirements, env)
        after = target.visible()
        packages = records.needed(requirements, before, after)
        changed = sum(before.get(name) != package for name, package in after.items())
        if self._request["environment"] == "shared":
            self._warnings = self._records.conflicts(self._name, target, before, after)
            for warning in self._warnings:
                log(f"warning: {warning}")
        if key:
            record = {"installer": installer, "packages": records.describe(packages, target)}
            self._records.keep(key, record, self._name, target)
            if self._own:
                self._own.note_install()
        log(f"installed by {installer}: {len(packages)} packages in place, {self._progress.elapsed:.1f} s")
        return self._result(installer, False, target, len(packages), changed)

    def _interpreter(self) -> Interpreter:
        try:
            return interpreter.find(self._request["python"], self._home, opt=self._opt)
        except interpreter.PythonNotFound as error:
            raise InstallError("PythonNotFound", str(error)) from error

    def _project_target(
        self, base: Target, env: dict[str, str], file: source.Source, requirements: Requirements
    ) -> Target:
        """The target in the project's own environment."""
        stored_as = None
        if self._request["reuse"]:
            settings = environment.pip_variables(env, self._home, base.facts["prefix"])
            settings.update(self._request["env"], **self._request["secrets"])
            stored_as = environment_key.key_of(
                self._name, file, requirements, base, self._request["installer"], settings
            )
        self._own = ProjectTarget(self._home, self._name, base, stored_as, self._progress)
        try:
            return self._own.make(env, self._request["environments"], self._request["installer"])
        except ToolFailed as failed:
            self._stop_if_disk_full(failed)
            raise InstallError("InstallFailed", str(failed)) from failed

    def _restored(
        self, key: str | None, requirements: Requirements, image: Target, target: Target
    ) -> dict[str, Any] | None:
        """The result when the project's environment came from S3, else None. image: the target behind it."""
        installer = self._own.installer if self._own else None
        if installer is None or key is None:
            return None
        packages = records.needed(requirements, image.visible(), target.visible())
        record = {"installer": installer, "packages": records.describe(packages, target)}
        self._records.keep(key, record, self._name, target)
        return self._result(installer, True, target, len(packages))

    def _cached(self, key: str | None, requirements: Requirements, target: Target) -> dict[str, Any] | None:
        """The result when the packages of an earlier install are still in place, else None."""
        if key is None:
            self._progress.log(f"{requirements.remote[0]} may have changed: installing again")
            return None
        record = self._records.find(key)
        if not record:
            return None
        reason, self._damaged = records.compare(record, target)
        if reason:
            self._progress.log(f"requirements have not changed, but {reason}")
            return None
        self._records.keep(key, record, self._name, target)
        count = len(record["packages"])
        self._progress.log(
            f"requirements have not changed and all {count} packages are still installed: nothing to install"
        )
        return self._result(record["installer"], True, target, count)

    def _work(self, target: Target, file: source.Source, requirements: Requirements, env: dict[str, str]) -> str:
        """Installs, with a marker by which a later install sees that this one was killed."""
        killed = self._records.begin(target)
        if killed is not None:
            self._progress.log("an earlier install did not complete: checking for incomplete packages")
            self._damaged += records.half_installed(target, killed)
        records.remove_metadata({package.info: package for package in self._damaged}.values(), self._progress.log)
        base = os.path.join(self._home, ".runctl", "tmp")
        shutil.rmtree(base, ignore_errors=True)  # only a killed install leaves files; the lease allows one at a time
        os.makedirs(base)
        work = tempfile.mkdtemp(dir=base)
        try:
            # Not /tmp: Amazon Linux keeps it in memory, half as large as the machine's.
            installer = self._with_best(target, file, requirements, dict(env, TMPDIR=work), work)
        finally:
            shutil.rmtree(base, ignore_errors=True)
        self._records.end(target)
        return installer

    def _with_best(
        self, target: Target, file: source.Source, requirements: Requirements, env: dict[str, str], work: str
    ) -> str:
        """Installs with uv, else with pip. Returns the name of the installer that succeeded."""
        if file.kind == "conda":
            return conda.install(target, file.file, env, self._project, self._progress)
        choice, log = self._request["installer"], self._progress.log
        failed = None
        if choice != "pip":
            failed = self._try_uv(target, file, requirements, env, work)
            if failed is None:
                return "uv"
            if choice == "uv":
                raise InstallError("InstallFailed", _both(("uv", failed)))
        name = pip.name_of(target)
        log(f"using {name}: the run spec says so" if failed is None else f"using {name} because uv failed: {failed}")
        if not pip.bring(target, env, self._home, self._progress):
            why = f"uv: {failed}. " if failed else ""
            missing = f"{why}{target.interpreter.path} has no pip; install it with {bring.PACKAGE_MANAGER}"
            raise InstallError("InstallFailed" if failed and failed.lines else "NoInstaller", missing)
        try:
            arguments = source.pip_arguments(file, work)
            pip.PipInstall(target, arguments, self._project, env, self._progress).run()
        except ToolFailed as error:
            self._stop_if_disk_full(error)
            attempts = [("uv", failed)] if failed else []
            raise InstallError("InstallFailed", _both(*attempts, (name, error))) from error
        return name

    def _try_uv(
        self, target: Target, file: source.Source, requirements: Requirements, env: dict[str, str], work: str
    ) -> ToolFailed | None:
        """None when uv succeeded, else the reason."""
        uv = bring.find_uv(env, self._project, self._progress)
        uv = uv or bring.bring_uv(env, self._home, self._project, self._progress, target)
        if uv is None:
            return ToolFailed("there is no uv, and it could not be installed")
        self._progress.log(f"using {uv.name} ({uv.path})")
        try:
            arguments = source.uv_arguments(file, requirements, uv, target, work)
            UvInstall(uv, target, arguments, requirements, self._project, work, self._progress).run()
        except ToolFailed as failed:
            self._stop_if_disk_full(failed)
            return failed
        return None

    def _stop_if_disk_full(self, failed: ToolFailed) -> None:
        """Raises DiskFull when the disk is full: another installer would fill it again."""
        if disk_is_full([*failed.lines, str(failed)]):
            raise disk_full(self._home) from failed

    def _result(self, installer: str, cached: bool, target: Target, packages: int, changed: int = 0) -> dict[str, Any]:
        """packages: that the install needs. changed: of all, those that it installed or replaced."""
        result = {
            "installer": installer,
            "cached": cached,
            "python": target.interpreter.path,
            "packages": packages,
            "changed": changed,
            "seconds": round(self._progress.elapsed, 1),
            "warnings": self._warnings,
        }
        described = self._own.describe() if self._own else None
        return dict(result, environment=described) if described else result


def _both(*attempts: tuple[str, ToolFailed]) -> str:
    """One message from the failures of all installers: the reasons on the first line, then the last lines of each."""
    reasons = "; ".join(f"{name}: {failed}" for name, failed in attempts)
    last = [f"{name}> {line}" for name, failed in attempts for line in failed.lines[-8:]]
    return "\n".join([reasons, *last])
