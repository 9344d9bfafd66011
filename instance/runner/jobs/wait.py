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
    """Over the process `held` (spawn.Held), that began at `start` (processes.Process), and all in its container.

    most, grace: seconds that it may last, and between TERM and KILL after that. follow: whether others of its session
    and group may go on after it. After `wait`:
    reason  why we ended it: `stop`, `max-duration`, or None
    by_us   whether we did
    """

    def __init__(self, folder, held, start, most, grace, follow=True):
        self.reason = None
        self._folder = folder
        self._stop_path = os.path.join(folder, paths.STOP)
        self._held, self._start = held, start
        self._grace, self._follow = grace, follow
        self._end_at = time.monotonic() + most
        self._kill_at = None
        self._stop_seen = None
        self._terms = []
        self._wake = self._wake_on(signal.SIGCHLD, signal.SIGTERM)

    @property
    def by_us(self):
        return self._kill_at is not None

    def wait(self, look):
        """Until the process and everybody in its session and group is gone; once it is being ended, until all is.

        look(): called at least once a second; returns the descriptors that call it sooner when there is more to read.
        """
        while True:
            self._held.reap()
            if self._held.end and self._is_over():
                return
            self._check_stop()
            self._check_time()
            self._sleep(look())

    def end_leftovers(self, say):
        """Ends what the job left behind in other sessions: it would hold memory and GPUs of the next run."""
        container = self._held.container
        grace = min(_LEFTOVER_GRACE, self._grace)
        began, terminated = time.monotonic(), False
        while not container.is_empty():
            self._held.reap()
            left = container.members()
            if left and not terminated:
                terminated = True
                numbers = ", ".join(str(process.pid) for process in left)
                say(f"the job has ended; ending the processes that it left: {numbers}")
                self._terminate(left)
            stop = marker.read(self._stop_path)
            if time.monotonic() - began >= min(grace, stop["grace"] if stop else grace):
                container.kill()
            time.sleep(_TICK_ENDING if terminated else 0.01)
        container.remove()

    def _is_over(self):
        if self.by_us:
            return self._held.container.is_empty()
        return not (self._follow and processes.group(self._held.pid, self._start))

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
        if self._kill_at is None:
            if now >= self._end_at:
                self._end("max-duration", self._grace)
        elif now >= self._kill_at:
            self._held.kill()

    def _end(self, reason, grace):
        """TERM to all, KILL after `grace` seconds. Asked again, it can only come sooner."""
        kill_at = time.monotonic() + grace
        if self._kill_at is not None:
            self._kill_at = min(self._kill_at, kill_at)
            return
        self._kill_at, self.reason = kill_at, reason
        self._terminate(self._held.container.members())

    def _terminate(self, members):
        terminate.send(signal.SIGTERM, members)
        terminate.send(signal.SIGCONT, members)  # one that was halted could not even take the TERM

    def _sleep(self, others):
        tick = _TICK_ENDING if self.by_us else _TICK_GROUP if self._held.end else _TICK
        due = self._end_at if self._kill_at is None else self._kill_at
        tick = max(0.01, min(tick, due - time.monotonic())) if due > time.monotonic() else tick
        ready = select.select([self._wake, *self._held.fds, *others], [], [], tick)[0]
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
