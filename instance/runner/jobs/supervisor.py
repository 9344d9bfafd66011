"""Stands over one job: starts it, waits for it and all it starts, ends it when its time is over, writes its end."""

import fcntl
import json
import os
import signal
import sys
import time

from common import disk, listing, marker, paths, processes
from jobs import commands, linger, log_read, log_watch, oom, progress, spawn, terminate, wait

_WRITE_AGAIN = 1.0
#: Renames take milliseconds. A filesystem that hangs must not keep the end of a job from being told.
_MEND_SECONDS = 30.0


def main(folder):
    """The process `supervise`. Returns 0; also when another supervisor took the job."""
    os.umask(0o022)
    os.chdir("/")
    lock = os.open(os.path.join(folder, paths.LOCK), os.O_RDWR | os.O_NOFOLLOW)
    fcntl.flock(lock, fcntl.LOCK_EX)
    work = _claim(os.path.join(folder, paths.INPUT))
    if work is not None:
        _redirect_errors(folder)
        Supervisor(folder, work).run()
    return 0


def _claim(path):
    """Takes the input, which nobody else then can; it holds secrets, so it is gone from the disk at once."""
    work = marker.read(path)
    return work if work is not None and marker.remove(path) else None


def _redirect_errors(folder):
    """A fault of the supervisor's own must not vanish with its streams."""
    path = os.path.join(folder, paths.ERRORS)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(fd, 2)
    os.close(fd)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


class Supervisor:
    def __init__(self, folder, work):
        self.folder = folder
        self.work = work
        self.room = os.path.join(folder, paths.ROOM)
        disk.reserve(self.room)
        self.log = log_watch.LogWatch(folder, is_others=work["account"]["uid"] != os.geteuid())
        self.oom = oom.OomEvidence()
        self.progress = self.process = self.held = self.linger = None
        self.identity = {}
        #: Takes the values of secrets out of what is shown; None: there are none.
        self.redact = None

    def run(self):
        """Everything, until exit.json is written."""
        oom_score = spawn.spare_from_oom()
        spawn.adopt_orphans()
        try:
            command = commands.of(self.work)
            self._add_secrets(command.env)
        except commands.CannotRun as error:
            self.log.say(str(error))
            return self._write_end(_error(error.name, str(error)), code=spawn.COULD_NOT_START)
        if command.stdin is not None:
            self.progress = progress.Progress(self.folder, self.redact)
        trouble = self._start(command, oom_score)
        if trouble:
            self.log.say(trouble)
        self.process.wait(self._look)
        self._note_lingering()
        self.process.end_leftovers(self.log.say)
        self._look()
        result = self.progress.result if self.progress else None
        how = self._how_it_ended()
        if how["signal_name"] and self.work["job"] == "sync":
            try:
                self._mend(command)
            except OSError as error:
                disk.complain(f"completing a killed sync: {error}")  # then the next sync does it
        return self._write_end(_error("StartFailed", trouble) if trouble else result, **how)

    def _add_secrets(self, env):
        """Reads the job's secrets into its environment, the only place they go to. Raises CannotRun."""
        secrets = self.work["work"].get("secrets")
        if not secrets:
            return
        from common.secrets import read, redact

        try:
            values = read.read_or_raise(secrets, os.environ)
        except read.SecretUnavailable as error:
            raise commands.CannotRun("SecretUnavailable", str(error)) from None
        env.update(values)
        self.redact = redact.Redactor(values.values())

    def _start(self, command, oom_score):
        """Starts the job's process and writes identity.json. Returns what hindered it, or None."""
        stdin = os.open(os.devnull, os.O_RDONLY) if command.stdin is None else _pipe_of(command.stdin)
        keep = ()
        if self.progress:
            keep = (self.progress.job_end,)
            command.env["RUNCTL_PROGRESS_FD"] = str(self.progress.job_end)
        account = None if command.account.uid == os.geteuid() else command.account
        if self.work["job"] == "train":
            self._list_files(command.cwd, account)
        streams = (stdin, self.log.fd)
        name = self._container_name()
        self.held = held = spawn.Held(command.words, command.env, command.cwd, account, streams, keep, oom_score, name)
        os.close(stdin)
        if self.progress:
            self.progress.started()
        me = processes.look(os.getpid())
        self.identity = {
            "pid": held.pid,
            "startTime": processes.look(held.pid).start,
            "bootId": processes.boot_id(),
            "supervisor": {"pid": me.pid, "startTime": me.start},
            "startedAt": time.time(),
            "command": command.shown,
            "container": held.container.describe(),
        }
        if os.geteuid() == 0 and not held.container.is_kernels:
            self.log.say(f"no container for this job ({held.container.why}): its processes are ended one at a time")
        most, grace = commands.most_seconds(self.work), commands.grace_seconds(self.work)
        if self.work["job"] != "probe":
            self.linger = linger.Linger(commands.linger_seconds(self.work), self.log.say, self.log.size)
        self.process = wait.JobProcess(self.folder, held, self.identity["startTime"], most, grace, self.linger)
        marker.write(os.path.join(self.folder, paths.IDENTITY), self.identity)
        return held.go()

    def _list_files(self, project, account):
        """Lists the project as it is before the training, so that its outputs can be told from older files."""
        try:
            listing.take(self.folder, project, account)
        except (OSError, RuntimeError) as error:
            disk.complain(f"listing the project's files: {error}")  # then the times of the files decide

    def _note_lingering(self):
        """Leaves a marker for the run's warnings when processes of an ended job were idle."""
        if self.linger is None or self.linger.ended is None:
            return
        try:
            marker.write(os.path.join(self.folder, paths.LINGERED), {"processes": self.linger.ended})
        except OSError as error:
            disk.complain(f"writing what was still running: {error}")  # then the log alone says it

    def _container_name(self):
        return "runctl-{}-{}".format(self.work["run"]["key"], self.work["job"])

    def _mend(self, command):
        """A KILL of all of a sync's processes may have left old and new code mixed: a sync of nothing completes it."""
        self.log.say("the sync was killed; completing the changes that it had begun")
        stdin = _pipe_of(json.dumps(dict(json.loads(command.stdin), sync=None)).encode("utf-8"))
        env = {name: value for name, value in command.env.items() if name != "RUNCTL_PROGRESS_FD"}
        account = None if command.account.uid == os.geteuid() else command.account
        if self.work["job"] == "train":
            self._list_files(command.cwd, account)
        streams = (stdin, self.log.fd)
        held = spawn.Held(command.words, env, command.cwd, account, streams, name=self._container_name())
        os.close(stdin)
        identity = dict(self.identity, container=held.container.describe())
        marker.write(os.path.join(self.folder, paths.IDENTITY), identity)
        held.go()
        deadline = time.monotonic() + _MEND_SECONDS
        while not (held.end and held.container.is_empty()):
            if held.end or time.monotonic() > deadline:
                held.kill()
            time.sleep(0.02)
            held.reap()
        held.container.remove()

    def _look(self):
        """At what the job says of itself. A full disk, say, must not take the supervisor from its job."""
        if self.progress:
            self.progress.read()
        try:
            self.log.look()
        except OSError as error:
            disk.complain(f"checking the log: {error}")
        return self.progress.fds if self.progress else []

    def _how_it_ended(self):
        how, max_rss = self.held.end  # pyright: ignore[reportGeneralTypeIssues]
        killed_by = os.WTERMSIG(how) if os.WIFSIGNALED(how) else None
        code = os.WEXITSTATUS(how) if killed_by is None else None
        return {
            "code": code,
            "signal_name": _signal_name(killed_by),
            "max_rss": max_rss,
            "out_of_memory": not self.process.by_us and self.oom.killed_for_memory(self.held.pid, code, killed_by),
            "reason": self.process.reason,
        }

    def _write_end(self, result, code=None, **how):
        try:
            self.log.close()
        except OSError as error:
            disk.complain(f"closing the log: {error}")
        if code != 0 and result is None:
            result = self._disk_trouble()
        end = terminate.end_of(code=code, result=result, **how)
        if self.work["work"].get("secrets"):
            self._write_tail()
        while not self._try_to_write(end) and os.path.isdir(self.folder):
            time.sleep(_WRITE_AGAIN)  # The disk is full. Nobody else can write how the job ended.

    def _write_tail(self):
        """Keeps the log's last lines: nobody else knows the values of the secrets once this process has ended."""
        try:
            marker.write(os.path.join(self.folder, paths.TAIL), {"lines": log_read.tail(self.log.fd, self.redact)})
        except OSError as error:
            disk.complain(f"writing the last lines: {error}")  # then a poll shows none

    def _try_to_write(self, end):
        try:
            marker.write(os.path.join(self.folder, paths.EXIT), end)
        except OSError as error:
            disk.complain(f"writing how the job ended: {error}")
            return disk.free(self.room) and self._try_to_write(end)
        return True

    def _disk_trouble(self):
        """A result that names the likely cause of a bad end; the job's log may have no room left to say so."""
        full = [path for path in (self.folder, *commands.folders(self.work)) if disk.is_full(path)]
        return _error("DiskFull", f"the filesystem of {full[0]} is full") if full else None


def _error(name, message):
    return {"error": {"name": name, "message": message}}


def _pipe_of(data):
    """A descriptor to read `data` from. A request is at most 16 KB, a pipe holds 64."""
    out, into = os.pipe()
    os.write(into, data)
    os.close(into)
    return out


def _signal_name(number):
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
