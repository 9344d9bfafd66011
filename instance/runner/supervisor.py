"""Stands over one job: starts it, waits for it and all it starts, ends it when its time is over, writes its end."""

import fcntl
import os
import select
import signal
import sys
import time

import commands
import ending
import logwatch
import marker
import memory
import places
import procs
import progress
import spawn

#: Seconds between two looks: while all is well; while only the rest of the group lives; while it is being ended.
_TICK, _TICK_GROUP, _TICK_STOPPING = 1.0, 0.25, 0.1
#: What a job leaves behind in sessions of their own has so long between TERM and KILL.
_LEFTOVER_GRACE = 5.0


def main(folder):
    """The process `supervise`. Returns 0; also when another supervisor took the job."""
    os.umask(0o022)
    os.chdir("/")
    lock = os.open(os.path.join(folder, places.LOCK), os.O_RDWR | os.O_NOFOLLOW)
    fcntl.flock(lock, fcntl.LOCK_EX)
    work = _claim(os.path.join(folder, places.INPUT))
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
    path = os.path.join(folder, places.ERRORS)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(fd, 2)
    os.close(fd)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


class Supervisor:
    def __init__(self, folder, work):
        self.folder = folder
        self.work = work
        self.exit_path = os.path.join(folder, places.EXIT)
        self.wake = _wake_on(signal.SIGCHLD, signal.SIGTERM)
        self.log = logwatch.LogWatch(folder)
        self.pid = self.start = self.kill_at = self.reason = None
        self.ended = None  # (wait status, resource usage) of the job's own process
        self.stop_seen = None
        self.progress = None

    def run(self):
        """Everything, until exit.json is written."""
        oom_score = spawn.spare_from_oom()
        spawn.adopt_orphans()
        self.witnesses = memory.Witnesses()
        try:
            command = commands.of(self.work)
        except commands.CannotRun as error:
            self.log.say(str(error))
            return self._write_end(spawn.COULD_NOT_START, {"error": {"name": error.name, "message": str(error)}})
        self.progress = progress.Progress(self.folder) if command.stdin else None
        trouble = self._start(command, oom_score)
        if trouble:
            self.log.say(trouble)
        self._wait()
        self._end_leftovers()
        error = {"error": {"name": "StartFailed", "message": trouble}} if trouble else None
        return self._write_end(None, error)

    def _start(self, command, oom_score):
        """Starts the job's process and writes identity.json. Returns what hindered it, or None."""
        stdin = _pipe_of(command.stdin) if command.stdin else os.open(os.devnull, os.O_RDONLY)
        keep = ()
        if self.progress:
            keep = (self.progress.job_end,)
            command.env["RUNCTL_PROGRESS_FD"] = str(self.progress.job_end)
        account = None if command.account.uid == os.geteuid() else command.account
        held = spawn.Held(
            command.words, command.env, command.cwd, account, (stdin, self.log.fd), keep=keep, oom_score=oom_score
        )
        os.close(stdin)
        if self.progress:
            self.progress.started()
        me = procs.look(os.getpid())
        self.pid, self.start = held.pid, procs.look(held.pid).start
        identity = {
            "pid": self.pid,
            "startTime": self.start,
            "bootId": procs.boot_id(),
            "supervisor": {"pid": me.pid, "startTime": me.start},
            "startedAt": time.time(),
            "command": command.shown,
        }
        marker.write(os.path.join(self.folder, places.IDENTITY), identity)
        self.began = time.monotonic()
        return held.go()

    def _wait(self):
        """Until the process and everybody in its session and group is gone."""
        while True:
            self._reap()
            among = procs.everyone() if self.ended or self.kill_at is not None else None
            if self.ended and not self._living(among):
                return
            self._check_time()
            self._check_stop()
            self._kill_if_due()
            self._look_at_log()
            self._sleep(among)

    def _living(self, among):
        """The members of the group; once it is being ended, also those that made themselves a session of their own."""
        members = {p.pid: p for p in procs.group(self.pid, self.start, among)}
        if self.kill_at is not None:
            members.update((p.pid, p) for p in procs.descendants(os.getpid(), among))
        return list(members.values())

    def _sleep(self, among):
        tick = _TICK if among is None else _TICK_GROUP if self.kill_at is None else _TICK_STOPPING
        most = commands.most_seconds(self.work)
        if self.kill_at is None:
            tick = max(0.0, min(tick, self.began + most - time.monotonic()))
        fds = [self.wake] + ([self.progress.fd] if self.progress and self.progress.fd is not None else [])
        ready = select.select(fds, [], [], tick)[0]
        if self.wake in ready:
            os.read(self.wake, 4_096)
        if self.progress:
            self.progress.read()

    def _reap(self):
        """Asks every child that ended how: the job's process, and orphans that came to us."""
        while True:
            try:
                pid, how, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.ended = (how, usage)

    def _check_time(self):
        if self.kill_at is None and time.monotonic() - self.began >= commands.most_seconds(self.work):
            self._begin_end("max-duration", commands.grace_seconds(self.work))

    def _check_stop(self):
        """stop.json comes with a TERM to us; a TERM without it is the machine going down."""
        stop = marker.read(os.path.join(self.folder, places.STOP))
        if stop and stop != self.stop_seen:
            self.stop_seen = stop
            self._begin_end("stop", stop["grace"])
        elif _TERMS and self.kill_at is None:
            self._begin_end(None, commands.grace_seconds(self.work))

    def _begin_end(self, reason, grace):
        """TERM to all, KILL after `grace` seconds. Asked again, only the earlier KILL counts."""
        kill_at = time.monotonic() + grace
        if self.kill_at is not None:
            self.kill_at = min(self.kill_at, kill_at)
            self.reason = self.reason or reason
            return
        self.kill_at, self.reason = kill_at, reason
        living = self._living(procs.everyone())
        ending.send(signal.SIGTERM, living)
        ending.send(signal.SIGCONT, living)  # one that was halted could not even take the TERM

    def _kill_if_due(self):
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            ending.send(signal.SIGKILL, self._living(procs.everyone()))

    def _end_leftovers(self):
        """The job is over; what it left behind in other sessions would hold memory and GPUs of the next run."""
        kill_at = None
        while True:
            self._reap()
            left = procs.descendants(os.getpid(), procs.everyone())
            if not left:
                return
            if kill_at is None:
                kill_at = time.monotonic() + _LEFTOVER_GRACE
                numbers = ", ".join(str(process.pid) for process in left)
                self.log.say(f"the job has ended; ending what it left running: {numbers}")
                ending.send(signal.SIGTERM, left)
            elif time.monotonic() >= kill_at:
                ending.send(signal.SIGKILL, left)
            time.sleep(_TICK_STOPPING)

    def _look_at_log(self):
        try:
            self.log.look()
        except OSError as error:
            print(f"looking at the log: {error}", file=sys.stderr)  # A full disk, say. The job goes on.

    def _write_end(self, code, result):
        signal_name = max_rss = None
        out_of_memory = False
        if self.ended:
            how, usage = self.ended
            max_rss = usage.ru_maxrss * 1024
            killed_by = os.WTERMSIG(how) if os.WIFSIGNALED(how) else None
            code = None if killed_by else os.WEXITSTATUS(how)
            signal_name = _signal_name(killed_by)
            if self.kill_at is None:
                out_of_memory = self.witnesses.was_killed_for_memory(self.pid, code, killed_by)
        if self.progress:
            self.progress.read()
            result = result or self.progress.result
        self._look_at_log()
        end = ending.end_of(code, signal_name, max_rss, out_of_memory, self.reason, result)
        while True:
            try:
                return marker.write(self.exit_path, end)
            except OSError as error:
                print(f"writing the end: {error}", file=sys.stderr)
                time.sleep(_TICK)  # The disk is full. Nobody else can write how the job ended.


_TERMS = []


def _wake_on(*signals):
    """A descriptor that becomes readable when one of the signals comes."""
    out, into = os.pipe()
    os.set_blocking(out, False)
    os.set_blocking(into, False)
    signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, lambda number, _: _TERMS.append(number) if number == signal.SIGTERM else None)
    return out


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
