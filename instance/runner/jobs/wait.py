"""Waits for a job and all its processes, and ends them on a stop request or at the time limit."""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType
from typing import Any, Callable, Iterable

from common import marker, paths, processes
from jobs import spawn, terminate
from jobs.linger import Linger

#: Seconds between two checks: while the process runs; while only the rest of its group does; while it is being ended.
_TICK, _TICK_GROUP, _TICK_ENDING = 1.0, 0.25, 0.1
#: Between TERM and KILL for what a job leaves behind in sessions of its own.
_LEFTOVER_GRACE_S = 5.0
#: The KILL comes so long before EC2 takes the instance away, for what is to be sent after it.
_BEFORE_NOTICE_S = 10.0
#: Where the instance's clock is wrong, a training has this time nevertheless.
_MIN_GRACE_S = 5.0


class JobProcess:
    """The process `held`, which began at `start` (processes.Process), and everything in its container.

    max_s, grace_s: how long it may last, and the time between TERM and KILL after that. linger: decides how long the
    rest of its session and group may go on after it has exited with code 0; None: not at all. After `wait`:
    reason  why the supervisor ended it: `stop`, `max-duration`, `interrupted`, or None
    by_us   whether the supervisor ended it
    """

    def __init__(
        self, folder: str, held: spawn.Held, start: int, max_s: float, grace_s: float, linger: Linger | None = None
    ) -> None:
        self.reason: str | None = None
        self._folder = folder
        self._stop_path = os.path.join(folder, paths.STOP)
        self._spot_path = os.path.join(folder, paths.SPOT)
        self._notice: dict[str, Any] | None = None
        self._held, self._start = held, start
        self._grace_s, self._linger = grace_s, linger
        self._end_at = time.monotonic() + max_s
        self._kill_at: float | None = None
        self._last_stop: dict[str, Any] | None = None
        self._terms: list[int] = []
        self._wake = self._wake_on(signal.SIGCHLD, signal.SIGTERM)

    @property
    def by_us(self) -> bool:
        return self._kill_at is not None

    def wait(self, check: Callable[[], Iterable[int]]) -> None:
        """Waits until the process has failed, or until it and its session and group have ended or are idle.

        Once it is being ended: until its container is empty.

        check(): called at least once a second, and when one of the descriptors that it returned becomes readable.
        """
        while True:
            self._held.reap()
            if self._held.end and self._is_over():
                return
            self._check_stop()
            self._check_time()
            self._sleep(check())

    def end_leftovers(self, say: Callable[[str], None]) -> None:
        """Ends what the job left behind in other sessions: it would hold memory and GPUs of the next run."""
        container = self._held.container
        grace_s = min(_LEFTOVER_GRACE_S, self._grace_s)
        begun_at, terminated = time.monotonic(), False
        while not container.is_empty():
            self._held.reap()
            left = container.members()
            if left and not terminated:
                terminated = True
                numbers = ", ".join(str(process.pid) for process in left)
                say(f"the job has ended; ending the processes that it left: {numbers}")
                self._terminate(left)
            stop = marker.read(self._stop_path)
            if time.monotonic() - begun_at >= min(grace_s, stop["grace"] if stop else grace_s):
                container.kill()
            time.sleep(_TICK_ENDING if terminated else 0.01)
        container.remove()

    def _is_over(self) -> bool:
        if self.by_us:
            return self._held.container.is_empty()
        end = self._held.end
        if end is None:
            return False
        status, _ = end
        # Workers of a main process that crashed would run until maxDuration, and hide how it ended.
        if status != 0 or self._linger is None:
            return True
        rest = processes.group(self._held.pid, self._start)
        return not rest or self._linger.is_over(self._held.pid, rest)

    def _check_stop(self) -> None:
        """Ends the job when stop.json asks for it, when the machine shuts down, or when the job's folder is gone.

        stop.json comes with a TERM to this process; a TERM without it is the machine's shutdown. Without its folder
        nothing can reach the job any more or learn how it ended.
        """
        stop = marker.read(self._stop_path)
        if stop and stop != self._last_stop:
            self._last_stop = stop
            self._end("stop", stop["grace"])
        elif not self.by_us and (self._terms or not os.path.isdir(self._folder)):
            self._end(None, self._grace_s)
        self._check_notice()

    def _check_notice(self) -> None:
        """Ends the job when its keeper has seen that EC2 takes the instance away, some seconds before it does."""
        if self._notice is None:
            self._notice = marker.read(self._spot_path)
            if self._notice is not None:
                left = self._notice["time"] - time.time() - _BEFORE_NOTICE_S
                self._end("interrupted", max(min(self._grace_s, left), _MIN_GRACE_S))

    def _check_time(self) -> None:
        now = time.monotonic()
        if self._kill_at is None:
            if now >= self._end_at:
                self._end("max-duration", self._grace_s)
        elif now >= self._kill_at:
            self._held.kill()

    def _end(self, reason: str | None, grace_s: float) -> None:
        """Sends TERM to all, and KILL after `grace_s` seconds. Another call can only bring the KILL forward."""
        kill_at = time.monotonic() + grace_s
        if self._kill_at is not None:
            self._kill_at = min(self._kill_at, kill_at)
            return
        self._kill_at, self.reason = kill_at, reason
        self._terminate(self._held.container.members())

    def _terminate(self, members: list[processes.Process]) -> None:
        terminate.send(signal.SIGTERM, members)
        terminate.send(signal.SIGCONT, members)  # a process that was stopped does not receive the TERM

    def _sleep(self, more_fds: Iterable[int]) -> None:
        tick = _TICK_ENDING if self.by_us else _TICK_GROUP if self._held.end else _TICK
        due = self._end_at if self._kill_at is None else self._kill_at
        tick = max(0.01, min(tick, due - time.monotonic())) if due > time.monotonic() else tick
        ready = select.select([self._wake, *self._held.fds, *more_fds], [], [], tick)[0]
        if self._wake in ready:
            os.read(self._wake, 4_096)

    def _wake_on(self, *signals: int) -> int:
        """A descriptor that becomes readable when one of the signals arrives."""
        readable, writable = os.pipe()
        os.set_blocking(readable, False)
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, self._on_signal)
        return readable

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._terms.append(number)
