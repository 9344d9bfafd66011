"""Supervises one job: starts it, waits for it and all it starts, ends it when its time is over, writes how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from typing import Any

from common import accounts, disk, listing, marker, paths, processes
from common.secrets.redact import Redactor
from jobs import commands, containers, linger, log_read, log_watch, oom, progress, spawn, terminate, usage, wait

_RETRY_INTERVAL_S = 1.0
#: Renames take milliseconds. A filesystem that hangs must not keep the end of a job from being reported.
_MAX_COMPLETION_S = 30.0


def main(folder: str) -> int:
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


def _claim(path: str) -> dict[str, Any] | None:
    """Takes the input, so that no other supervisor can. It has secrets, so it is removed from the disk at once."""
    work = marker.read(path)
    return work if work is not None and marker.remove(path) else None


def _redirect_errors(folder: str) -> None:
    """Sends the supervisor's own errors to a file: its streams go nowhere."""
    path = os.path.join(folder, paths.ERRORS)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(fd, 2)
    os.close(fd)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


class Supervisor:
    def __init__(self, folder: str, work: dict[str, Any]) -> None:
        self.folder = folder
        self.work = work
        self.room = os.path.join(folder, paths.ROOM)
        disk.reserve(self.room)
        self.log = log_watch.LogWatch(folder, is_others=work["account"]["uid"] != os.geteuid())
        self.oom = oom.OomEvidence()
        self.progress: progress.Progress | None = None
        self.linger: linger.Linger | None = None
        self.usage = usage.Guard()
        self.identity: dict[str, Any] = {}
        #: Removes the values of secrets from what answers show; None: the job has no secrets.
        self.redact: Redactor | None = None

    def run(self) -> None:
        """Runs the job, until exit.json is written."""
        oom_score = spawn.spare_from_oom()
        spawn.adopt_orphans()
        try:
            command = commands.of(self.work)
            self._add_secrets(command.env)
        except commands.CannotRun as error:
            self.log.say(str(error))
            result = _error(error.name, str(error))
            return self._write_end(terminate.end_of(code=spawn.COULD_NOT_START, result=result))
        if command.stdin is not None:
            self.progress = progress.Progress(self.folder, self.redact)
        held, process = self._start(command, oom_score)
        failure = held.go()
        if failure:
            self.log.say(failure)
        elif self.work["job"] == "train":
            self.usage.begin(self.folder, held.container)
        process.wait(self._check)
        self.usage.end()
        self._record_lingering()
        process.end_leftovers(self.log.say)
        if process.reason == "interrupted":
            self.log.say("EC2 takes this instance away: the job was ended")
        self._check()
        result = _error("StartFailed", failure) if failure else self.progress.result if self.progress else None
        end = self._describe_end(held, process, result)
        if end["signal"] and self.work["job"] == "sync":
            try:
                self._complete_sync(command)
            except OSError as error:
                disk.complain(f"completing a killed sync: {error}")  # then the next sync does it
        return self._write_end(end)

    def _add_secrets(self, env: dict[str, str]) -> None:
        """Reads the job's secrets into its environment, and nowhere else. Raises CannotRun."""
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

    def _start(self, command: commands.Command, oom_score: str | None) -> tuple[spawn.Held, wait.JobProcess]:
        """Starts the job's process, which waits, and writes identity.json."""
        stdin = os.open(os.devnull, os.O_RDONLY) if command.stdin is None else _pipe_of(command.stdin)
        keep: tuple[int, ...] = ()
        if self.progress:
            keep = (self.progress.job_end,)
            command.env["RUNCTL_PROGRESS_FD"] = str(self.progress.job_end)
        account = None if command.account.uid == os.geteuid() else command.account
        if self.work["job"] == "train":
            self._list_files(command.cwd, account)
            self._add_metrics_file(command.env, account)
        streams = (stdin, self.log.fd)
        name = self._container_name()
        held = spawn.Held(command.words, command.env, command.cwd, account, streams, keep, oom_score, name)
        os.close(stdin)
        if self.progress:
            self.progress.started()
        start = processes.existing(held.pid).start
        self.identity = {
            "pid": held.pid,
            "startTime": start,
            "bootId": processes.boot_id(),
            "supervisor": {"pid": os.getpid(), "startTime": processes.existing(os.getpid()).start},
            "startedAt": time.time(),
            "command": command.description,
            "container": held.container.describe(),
        }
        if os.geteuid() == 0 and not held.container.is_complete:
            self.log.say(f"no container for this job ({held.container.why}): its processes are ended one at a time")
        self._warn_of_rights(command.account, self._block_metadata(held.container))
        max_s, grace_s = commands.max_seconds(self.work), commands.grace_seconds(self.work)
        if self.work["job"] != "probe":
            self.linger = linger.Linger(commands.linger_seconds(self.work), self.log.say, self.log.size)
        process = wait.JobProcess(self.folder, held, start, max_s, grace_s, self.linger)
        marker.write(os.path.join(self.folder, paths.IDENTITY), self.identity)
        return held, process

    def _list_files(self, project: str, account: accounts.Account | None) -> None:
        """Lists the project as it is before the training, so that its outputs can be told from older files."""
        try:
            listing.take(self.folder, project, account)
        except (OSError, RuntimeError) as error:
            disk.complain(f"listing the project's files: {error}")  # then the times of the files decide

    def _add_metrics_file(self, env: dict[str, str], account: accounts.Account | None) -> None:
        """Creates the file to which the training can append its metrics. The folder is root's: it stays a file.

        It is the run's: a later attempt appends to it.
        """
        path = paths.metrics_file(self.work["root"], self.work["run"]["key"])
        try:
            marker.folder(os.path.dirname(path), mode=0o711)
            is_first = self.work.get("attempt", 1) == 1
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if is_first else 0)
            fd = os.open(path, flags, 0o600)
            if account is not None:
                os.fchown(fd, account.uid, account.gid)
            os.close(fd)
            env["RUNCTL_METRICS_FILE"] = path
        except (OSError, marker.Untrusted) as error:
            disk.complain(f"creating the file for metrics: {error}")

    def _block_metadata(self, container: containers.Container) -> str | None:
        """Keeps the job from the instance's role unless the instance's tags allow it. Returns why that is not possible.

        A local cloud has no such service: it names the address of its own, which jobs do not know.
        """
        if self.work.get("imds") or os.geteuid() != 0:
            return None
        reason = "jobs have no cgroup of their own on this instance"
        if isinstance(container, containers.Cgroup):
            try:
                from jobs import metadata

                metadata.block(container.path)
                return None
            except (ImportError, OSError) as error:
                reason = f"the kernel cannot block it for a cgroup ({getattr(error, 'strerror', None) or error})"
        return None if "AWS_EC2_METADATA_SERVICE_ENDPOINT" in os.environ else reason

    def _warn_of_rights(self, account: accounts.Account, metadata_problem: str | None) -> None:
        """Logs what the run's code can do beyond its user's rights. A marker keeps it for the manifest."""
        if metadata_problem is not None:
            marker.write(os.path.join(self.folder, paths.METADATA_OPEN), {"reason": metadata_problem})
        if self.work["job"] not in ("install", "train"):
            return
        if metadata_problem is not None:
            self.log.say(
                "this job can reach the instance metadata service, and so the credentials of the instance's role:"
                f" {metadata_problem}"
            )
        groups = accounts.administrator_groups(account) if os.geteuid() == 0 and account.uid != 0 else []
        if groups:
            self.log.say(
                f"the user {account.name} is in the administrators' groups {', '.join(groups)}:"
                " code of this run can become root"
            )

    def _record_lingering(self) -> None:
        """Writes a marker for the run's warnings when processes were ended because they were idle."""
        if self.linger is None or self.linger.ended is None:
            return
        try:
            marker.write(os.path.join(self.folder, paths.LINGERED), {"processes": self.linger.ended})
        except OSError as error:
            disk.complain(f"writing what was still running: {error}")  # the log has it as well

    def _container_name(self) -> str:
        return "runctl-{}-{}".format(
            self.work["run"]["key"], paths.job_name(self.work["job"], self.work.get("attempt", 1))
        )

    def _complete_sync(self, command: commands.Command) -> None:
        """Completes a sync whose processes were killed, which may have left old and new code mixed."""
        self.log.say("the sync was killed; completing the changes that it had begun")
        stdin = _pipe_of(json.dumps(dict(json.loads(command.stdin or b"{}"), sync=None)).encode("utf-8"))
        env = {name: value for name, value in command.env.items() if name != "RUNCTL_PROGRESS_FD"}
        account = None if command.account.uid == os.geteuid() else command.account
        streams = (stdin, self.log.fd)
        held = spawn.Held(command.words, env, command.cwd, account, streams, name=self._container_name())
        os.close(stdin)
        identity = dict(self.identity, container=held.container.describe())
        marker.write(os.path.join(self.folder, paths.IDENTITY), identity)
        self._block_metadata(held.container)
        held.go()
        deadline = time.monotonic() + _MAX_COMPLETION_S
        while not (held.end and held.container.is_empty()):
            if held.end or time.monotonic() > deadline:
                held.kill()
            time.sleep(0.02)
            held.reap()
        held.container.remove()

    def _check(self) -> list[int]:
        """Reads the job's progress and checks its log. A full disk, for example, must not end the supervisor."""
        if self.progress:
            self.progress.read()
        try:
            self.log.check()
        except OSError as error:
            disk.complain(f"checking the log: {error}")
        self.usage.tick()
        return self.progress.fds if self.progress else []

    def _describe_end(
        self, held: spawn.Held, process: wait.JobProcess, result: dict[str, Any] | None
    ) -> dict[str, Any]:
        if held.end is None:
            raise RuntimeError("the job has not ended")
        status, max_rss = held.end
        killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if killed_by is None else None
        return terminate.end_of(
            code=code,
            signal_name=_signal_name(killed_by),
            max_rss=max_rss,
            out_of_memory=not process.by_us and self.oom.killed_for_memory(held.pid, code, killed_by),
            reason=process.reason,
            result=result,
        )

    def _write_end(self, end: dict[str, Any]) -> None:
        try:
            self.log.close()
        except OSError as error:
            disk.complain(f"closing the log: {error}")
        if end["code"] != 0 and end["result"] is None:
            end["result"] = self._disk_error()
        end["endedAt"] = time.time()
        if self.work["job"] == "install":
            from jobs import store

            store.remember(self.work, end["result"])
        if self.work["work"].get("secrets"):
            self._write_tail()
        while not self._try_to_write(end) and os.path.isdir(self.folder):
            time.sleep(_RETRY_INTERVAL_S)  # The disk is full, and only this process knows how the job ended.

    def _write_tail(self) -> None:
        """Keeps the log's last lines: only this process knows the values of the secrets, which it removes."""
        try:
            marker.write(os.path.join(self.folder, paths.TAIL), {"lines": log_read.tail(self.log.fd, self.redact)})
        except OSError as error:
            disk.complain(f"writing the last lines: {error}")  # a poll shows none then

    def _try_to_write(self, end: dict[str, Any]) -> bool:
        try:
            marker.write(os.path.join(self.folder, paths.EXIT), end)
        except OSError as error:
            disk.complain(f"writing how the job ended: {error}")
            return disk.free(self.room) and self._try_to_write(end)
        return True

    def _disk_error(self) -> dict[str, Any] | None:
        """A result that names a full disk, the likely cause of the failure: the log may have no room for it."""
        full = [path for path in (self.folder, *commands.folders(self.work)) if disk.is_full(path)]
        return _error("DiskFull", f"the filesystem of {full[0]} is full") if full else None


def _error(name: str, message: str) -> dict[str, Any]:
    return {"error": {"name": name, "message": message}}


def _pipe_of(data: bytes) -> int:
    """A descriptor to read `data` from. A request is at most 16 KB, a pipe holds 64."""
    readable, writable = os.pipe()
    os.write(writable, data)
    os.close(writable)
    return readable


def _signal_name(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
