"""What the NVIDIA GPUs do, from nvidia-smi: one process of it for a whole training, which prints every few seconds.

It is the driver's program, and nothing here waits for it. The supervisor may be root, so it runs only a program that
nobody else can replace: neither the jobs' user nor what that user put on a PATH.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
from typing import Any

from common import environment, libc, processes

_PROGRAM = "nvidia-smi"
_COLUMNS = "index,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu"
_PRINT_INTERVAL_S = 10
_MIB = 1 << 20
#: (key, factor, least, most of the printed number): of another number, and of `[N/A]`, the value is null.
_VALUES = (
    ("utilizationPercent", 1, 0, 100),
    ("memoryUsedBytes", _MIB, 0, 1 << 24),
    ("memoryTotalBytes", _MIB, 0, 1 << 24),
    ("powerWatts", 1, 0, 10_000),
    ("temperatureCelsius", 1, -100, 300),
)
_MAX_GPUS = 16
_MAX_READ_BYTES = 65_536
#: Values that are older do not count.
_MAX_AGE_S = 25.0
#: A process that prints nothing for so long is killed.
_MAX_SILENCE_S = 30.0
#: Until the next attempt, after one that printed nothing of use. Doubled with each one.
_RETRY_S, _MAX_RETRY_S = 60.0, 3_600.0


def find(path: str | None = None) -> str | None:
    """The file of nvidia-smi, or None. path: folders to search; the supervisor's PATH by default."""
    folders = (os.environ.get("PATH", environment.STANDARD_PATH) if path is None else path).split(":")
    for folder in folders:
        if not os.path.isabs(folder):
            continue
        file = os.path.realpath(os.path.join(folder, _PROGRAM))
        if os.path.isfile(file) and os.access(file, os.X_OK) and _is_trusted(file):
            return file
    return None


def _is_trusted(file: str) -> bool:
    """Whether only root, or the supervisor's own user, can write to a file and to the folders above it.

    file: without links in its path. The document checks the runner itself in the same way (instance/document/run.py).
    """
    writers = 0o002 if os.geteuid() else 0o022
    path = file
    while True:
        info = os.lstat(path)
        is_sticky = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX
        if info.st_uid not in (0, os.geteuid()) or (info.st_mode & writers and not is_sticky):
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


class Gpus:
    """file: of nvidia-smi. helpers: gets the session of its process, which is not the job's (containers.py)."""

    def __init__(self, file: str, helpers: set[int]) -> None:
        self._file, self._helpers = file, helpers
        self._process: subprocess.Popen[bytes] | None = None
        self._start = 0
        self._ended: list[tuple[int, int]] = []
        self._rest = b""
        self._latest: dict[int, tuple[float, dict[str, Any]]] = {}
        self._heard_at = self._next_at = 0.0
        self._has_printed = False
        self._retry_s = _RETRY_S

    def read(self, now: float) -> list[dict[str, Any]]:
        """The latest values of each GPU, by index. now: of the monotonic clock. Returns at once."""
        if self._process is None and now >= self._next_at:
            self._begin(now)
        elif self._process is not None and self._process.stdout is not None:
            self._read_lines(self._process.stdout.fileno(), now)
        fresh = [(index, gpu) for index, (at, gpu) in self._latest.items() if now - at <= _MAX_AGE_S]
        return [gpu for _, gpu in sorted(fresh)]

    def close(self) -> None:
        """Ends the process, and does not wait for it: a process that hangs in the driver cannot be killed."""
        process, self._process = self._process, None
        if process is None:
            return
        # The supervisor may have collected its status, and its PID may be another's.
        if processes.alive(process.pid, self._start):
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()
        process.returncode = process.returncode or 0  # collected by the supervisor (spawn.Held.reap)
        self._ended.append((process.pid, self._start))  # it may take a while to end

    def _begin(self, now: float) -> None:
        words = [self._file, f"--query-gpu={_COLUMNS}", "--format=csv,noheader,nounits", "-l", str(_PRINT_INTERVAL_S)]
        self._heard_at, self._has_printed, self._rest = now, False, b""
        try:
            self._process = subprocess.Popen(
                words,
                env={"PATH": environment.STANDARD_PATH, "LANG": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
            self._start = processes.existing(self._process.pid).start
        except (OSError, subprocess.SubprocessError):
            self.close()
            return self._wait(now)
        self._helpers.add(self._process.pid)
        for pid, start in [ended for ended in self._ended if not processes.alive(*ended)]:
            self._ended.remove((pid, start))
            self._helpers.difference_update({pid} - {self._process.pid})
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)

    def _read_lines(self, fd: int, now: float) -> None:
        try:
            data = os.read(fd, _MAX_READ_BYTES)
        except BlockingIOError:
            if now - self._heard_at > _MAX_SILENCE_S:
                self.close()
                self._wait(now)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_MAX_READ_BYTES:]
        for line in lines:
            self._take(line, now)
        if data:
            return
        self.close()  # It has ended: one that knows no `-l` prints once.
        if self._has_printed:
            self._begin(now)
        else:
            self._wait(now)

    def _take(self, line: bytes, now: float) -> None:
        fields = line.decode("ascii", "replace").split(",")
        if len(fields) != len(_VALUES) + 1:
            return
        index = _number(fields[0], 0, 999)
        if index is None or index != int(index) or (len(self._latest) >= _MAX_GPUS and index not in self._latest):
            return
        gpu: dict[str, Any] = {"index": int(index)}
        for text, (key, factor, least, most) in zip(fields[1:], _VALUES):
            value = _number(text, least, most)
            gpu[key] = None if value is None else value * factor if factor == 1 else int(value * factor)
        self._latest[int(index)] = (now, gpu)
        self._heard_at, self._has_printed, self._retry_s = now, True, _RETRY_S

    def _wait(self, now: float) -> None:
        self._next_at = now + self._retry_s
        self._retry_s = min(2 * self._retry_s, _MAX_RETRY_S)


def _number(text: str, least: float, most: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if least <= value <= most else None


def _end_with_parent() -> None:
    """The process ends with the supervisor, also when that is killed."""
    with contextlib.suppress(OSError):
        libc.call("prctl", libc.PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
