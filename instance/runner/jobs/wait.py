"""The wait of a supervisor: until its job and all that belongs to it is gone, by itself or by being ended."""

import os
import select
import signal
import time

from common import marker, paths, processes
from jobs import terminate

#: Seconds between two looks: while all is well; while only the rest of the group lives; while it is being ended.
_TICK, _TICK_GROUP, _TICK_ENDING = 1.0, 0.25, 0.1
#: What a job leaves behind in sessions of its own has so long between TERM and KILL.
_LEFTOVER_GRACE = 5.0


class JobProcess:
    """Over the process `pid`, a child of ours, that began at `start` (processes.Process).

    most, grace: seconds that it may last, and between TERM and KILL after that. After `wait`:
    ended   (wait status, resource usage) of the process
    reason  why we ended it: `stop`, `max-duration`, or None
    by_us   whether we did
    """

    def __init__(self, folder, pid, start, most, grace):
        self.ended = self.reason = None
        self._folder = folder
        self._stop_path = os.path.join(folder, paths.STOP)
        self._pid, self._start = pid, start
        self._grace = grace
        self._end_at = time.monotonic() + most
        self._kill_at = None
        self._stop_seen = None
        self._terms = []
        self._wake = self._wake_on(signal.SIGCHLD, signal.SIGTERM)

    @property
    def by_us(self):
        return self._kill_at is not None

    def wait(self, look):
        """Until the process and everybody in its session and group is gone.

        look(): called at least once a second; returns the descriptors that call it sooner when there is more to read.
        """
        while True:
            self._reap()
            if self.ended and not self._living():
                return
            self._check_stop()
            self._check_time()
            self._sleep(look())

    def end_leftovers(self, say):
        """Ends what the job left behind in other sessions: it would hold memory and GPUs of the next run."""
        kill_at = None
        while True:
            self._reap()
            left = processes.descendants(os.getpid(), processes.everyone())
            if not left:
                return
            if kill_at is None:
                kill_at = time.monotonic() + _LEFTOVER_GRACE
                numbers = ", ".join(str(process.pid) for process in left)
                say(f"the job has ended; ending what it left running: {numbers}")
                terminate.send(signal.SIGTERM, left)
            elif time.monotonic() >= kill_at:
                terminate.send(signal.SIGKILL, left)
            time.sleep(_TICK_ENDING)

    def _living(self):
        """The members of the group; once it is being ended, also those that made themselves a session of their own."""
        among = processes.everyone()
        members = {process.pid: process for process in processes.group(self._pid, self._start, among)}
        if self.by_us:
            members.update((process.pid, process) for process in processes.descendants(os.getpid(), among))
        return list(members.values())

    def _reap(self):
        """Asks every child that ended how: the job's process, and orphans that came to us."""
        while True:
            try:
                pid, how, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self.ended = (how, usage)

    def _check_stop(self):
        """stop.json comes with a TERM to us; a TERM without it is the machine going down.

        Without its folder nobody can reach the job any more, nor learn how it ends.
        """
        stop = marker.read(self._stop_path)
        if stop and stop != self._stop_seen:
            self._stop_seen = stop
            self._end("stop", stop["grace"])
        elif not self.by_us and (self._terms or not os.path.isdir(self._folder)):
            self._end(None, self._grace)

    def _check_time(self):
        now = time.monotonic()
        if self.by_us and now >= self._kill_at:
            terminate.send(signal.SIGKILL, self._living())
        elif not self.by_us and now >= self._end_at:
            self._end("max-duration", self._grace)

    def _end(self, reason, grace):
        """TERM to all, KILL after `grace` seconds. Asked again, it can only come sooner."""
        kill_at = time.monotonic() + grace
        if self.by_us:
            self._kill_at = min(self._kill_at, kill_at)
            return
        self._kill_at, self.reason = kill_at, reason
        living = self._living()
        terminate.send(signal.SIGTERM, living)
        terminate.send(signal.SIGCONT, living)  # one that was halted could not even take the TERM

    def _sleep(self, others):
        tick = _TICK_ENDING if self.by_us else _TICK_GROUP if self.ended else _TICK
        due = self._kill_at if self.by_us else self._end_at
        tick = max(0.01, min(tick, due - time.monotonic())) if due > time.monotonic() else tick
        ready = select.select([self._wake, *others], [], [], tick)[0]
        if self._wake in ready:
            os.read(self._wake, 4_096)

    def _wake_on(self, *signals):
        """A descriptor that becomes readable when one of the signals comes."""
        out, into = os.pipe()
        os.set_blocking(out, False)
        os.set_blocking(into, False)
        signal.set_wakeup_fd(into, warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, self._on_signal)
        return out

    def _on_signal(self, number, _frame):
        if number == signal.SIGTERM:
            self._terms.append(number)
