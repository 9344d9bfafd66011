"""Installs with uv, leaving out what the interpreter already has."""

import os
import re
import shutil

from common import subp
from common.packages import metadata_file, normalize
from install import environment, tool
from install.errors import ToolFailed

_CHANGE = re.compile(r"^ ([-+~]) ([A-Za-z0-9._-]+)(?:==(\S+)| @ )")
_SIZED = re.compile(r"^\s*Downloading (\S+) \((.+)\)$")
_STARTED = re.compile(r"^\s*(Downloading|Building|Updating) (\S+)")
_FINISHED = re.compile(r"^\s*(Downloaded|Built|Updated) (\S+)")
_COUNTED = re.compile(r"^(Resolved|Prepared|Installed|Would download|Would install) (\d+) packages?")
_NOISE = ("Would ", "Using ", "Creating virtual environment", "Activate with")
_METADATA = ("METADATA", "PKG-INFO", "WHEEL", "INSTALLER", "direct_url.json")


class Uv:
    """A uv that runs. version: (major, minor)."""

    def __init__(self, path, env, cwd):
        self.path = path
        try:
            stdout, _ = subp.run([path, "--version"], env=env, cwd=cwd, timeout=60)
        except subp.ProcessFailed as failed:
            raise ToolFailed(f"{path} does not run: {failed}") from failed
        self.version = environment.version_of(stdout)
        self.words = stdout.strip().split(" (")[0]
        self.env = environment.for_uv_version(env, self.version)


class UvInstall:
    """One install: the plan, then the work. work: a folder for temporary files, on the target's filesystem."""

    def __init__(self, uv, target, requirements, project, work, progress):
        self._uv, self._target, self._file, self._project = uv, target, requirements, project
        self._work, self._progress = work, progress
        self._python = target.interpreter.path
        self._active = []
        self._archives = self._cached_archives()
        mode = environment.link_mode(uv.env["UV_CACHE_DIR"], target.prefix or target.facts["prefix"])
        self._env = dict(uv.env, UV_LINK_MODE=mode) if mode and "UV_LINK_MODE" not in uv.env else uv.env

    def run(self):
        """Installs what is missing; raises ToolFailed."""
        self._target.prepare()
        self._progress.enter("resolving")
        before = self._target.visible()
        added, removed, downloads = self._plan(before)
        if not added:
            return
        self._progress.say(f"to install: {len(added)} ({downloads} to download)")
        self._progress.enter("downloading", downloads)
        self._progress.update(total=downloads or None)
        command = [self._uv.path, "pip", "install", "--python", self._python]
        if self._target.prefix:
            command += ["--prefix", self._target.prefix, *self._kept(before, {*added, *removed}), *self._pins(added)]
        self._install([*command, "-r", self._file])
        self._check(added)

    def _plan(self, before):
        """What uv would change, seen from all that the interpreter has: (added, removed, number of downloads).

        added: versions by name, None for what comes from a URL or a path.
        """
        python = self._stand_in(before) if self._target.prefix else self._python
        command = [self._uv.path, "pip", "install", "--dry-run", "--python", python, "-r", self._file]
        lines = self._tool(command)
        changes = [match.groups() for match in map(_CHANGE.match, lines) if match]
        added = {normalize(name): version for sign, name, version in changes if sign in "+~"}
        removed = {normalize(name) for sign, name, _ in changes if sign == "-"}
        counted = [match.groups() for match in map(_COUNTED.match, lines) if match]
        return added, removed, next((int(count) for word, count in counted if word == "Would download"), 0)

    def _stand_in(self, before):
        """A virtual environment that has the metadata of all that the interpreter has, wherever that lies.

        uv looks at one folder of an environment only: not at the user's site, nor at Debian's dist-packages, nor behind
        an overlay. So it would fetch torch again where an image ships it.
        """
        folder = os.path.join(self._work, "seen")
        shutil.rmtree(folder, ignore_errors=True)
        self._tool([self._uv.path, "venv", "--python", self._python, folder])
        lib = os.path.join(folder, "lib")
        site = next(os.path.join(lib, name, "site-packages") for name in os.listdir(lib) if name.startswith("python"))
        for package in before.values():
            copy = os.path.join(site, os.path.basename(package.info))
            if metadata_file(package.info) == package.info:
                os.symlink(package.info, copy)
                continue
            os.mkdir(copy)  # a real folder with links: uv passes over a folder that is a link itself
            for name in _METADATA:
                if os.path.exists(os.path.join(package.info, name)):
                    os.symlink(os.path.join(package.info, name), os.path.join(copy, name))
        return os.path.join(folder, "bin", "python")

    def _kept(self, before, changed):
        """Options that leave out what the image has and keeps, by name and as somebody's dependency."""
        kept = [name for name, package in before.items() if name not in changed and not self._target.is_own(package)]
        # A requirement that holds nowhere. `--exclude` says the same, but only since uv 0.9.
        return self._listed("--override", "kept.txt", [f'{name} ; sys_platform == "none"' for name in sorted(kept)])

    def _pins(self, added):
        """Without what was left out, uv might choose other versions than those that go together with it."""
        return self._listed(
            "--constraint", "pins.txt", [f"{name}=={version}" for name, version in sorted(added.items()) if version]
        )

    def _listed(self, option, name, lines):
        if not lines:
            return []
        path = os.path.join(self._work, name)
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return [option, path]

    def _install(self, command):
        self._tool(command, self._count_archives)

    def _tool(self, command, after_tick=None):
        return tool.run(self._progress, command, self._env, self._project, self._understand, after_tick)

    def _understand(self, line):
        """Updates the progress from a line of uv's; says whether the log needs it."""
        progress = self._progress
        started, finished, counted = _STARTED.match(line), _FINISHED.match(line), _COUNTED.match(line)
        if started:
            self._active.append(started.group(2))
            phase = "building" if started.group(1) == "Building" else progress.phase
            progress.update(phase=phase, current=" ".join(line.split()[1:]))
        elif finished:
            self._active = [name for name in self._active if name != finished.group(2)]
            phase = "downloading" if progress.total and progress.phase == "building" else progress.phase
            progress.update(phase=phase, current=self._active[-1] if self._active else None)
        elif counted and counted.group(1) == "Prepared":
            progress.enter("installing")
        elif counted and counted.group(1) == "Installed":
            progress.update(done=int(counted.group(2)), total=int(counted.group(2)), current=None)
        return not line.startswith(_NOISE) and not (progress.phase == "resolving" and _CHANGE.match(line))

    def _count_archives(self):
        """uv announces large downloads only; each wheel that is complete becomes an entry of its cache."""
        if self._progress.phase == "downloading" and self._progress.total:
            done = min(len(self._cached_archives() - self._archives), self._progress.total)
            if done != self._progress.done:
                self._progress.update(done=done)

    def _cached_archives(self):
        cache = self._uv.env["UV_CACHE_DIR"]
        try:
            folders = [os.path.join(cache, name) for name in os.listdir(cache) if name.startswith("archive-")]
        except OSError:
            return set()  # no cache yet
        return {name for folder in folders for name in os.listdir(folder)}

    def _check(self, added):
        """uv's word is not enough: a package in a folder that Python does not look into is as good as none."""
        seen = self._target.visible()
        lost = [
            name for name, version in added.items() if name not in seen or version not in (None, seen[name].version)
        ]
        if lost:
            raise ToolFailed(f"uv installed {', '.join(sorted(lost))} where {self._python} does not find it")
