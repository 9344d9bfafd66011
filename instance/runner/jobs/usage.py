"""Samples what the instance, a training and the GPUs do, and keeps the latest sample and the whole series.

The columns are in docs/reference/usage.md. A sample takes about a millisecond of the supervisor's time.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Iterable

from common import disk, marker, paths
from jobs import containers, counters, gpu

#: Between two samples: short trainings have some too.
_FIRST_INTERVAL_S, _INTERVAL_S = 1.0, 10.0
#: Lines of the series. When there are more, each two become one: after 22 hours, two days, four days …
_MAX_LINES = 8_192
#: A GPU that is used less than this for so long is reported, once.
_IDLE_PERCENT, _IDLE_S = 10.0, 600.0
#: Keys of a sample whose values are averaged when samples become one; of all others the largest counts.
_MEANS = ("Percent", "PerS", "Watts")


class Sampler:
    """Writes usage.json and usage.jsonl into `folder`, the job's. container: of the job."""

    def __init__(self, folder: str, container: containers.Container) -> None:
        self._path = os.path.join(folder, paths.USAGE)
        self._instance = counters.Instance(folder)
        helpers = container.helpers if isinstance(container, containers.ProcessGroup) else set()
        file = gpu.find()
        self._gpus = gpu.Gpus(file, helpers) if file else None
        self._idle = IdleGpus(_IDLE_PERCENT, _IDLE_S)
        self._series = Series(os.path.join(folder, paths.USAGE_SERIES), _MAX_LINES)
        self._interval = _FIRST_INTERVAL_S
        now = time.monotonic()
        if self._gpus:
            self._gpus.read(now)
        self._job = counters.Job(container, now)
        self._earlier = (now, self._instance.counters())
        self._next_at = now + self._interval

    def tick(self) -> None:
        """Takes a sample when it is time. Raises OSError."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._interval = min(2 * self._interval, _INTERVAL_S)
        self._next_at = now + self._interval
        sample = self._sample(now)
        marker.write(self._path, dict(sample, warning=self._idle.warning), mode=0o600, durable=False)
        self._series.add(sample)

    def close(self) -> None:
        """Ends what it has started, and keeps the samples that are not in the series yet. Raises OSError."""
        if self._gpus:
            self._gpus.close()
        self._series.close()

    def _sample(self, now: float) -> dict[str, Any]:
        then, before = self._earlier
        seconds = now - then
        after = self._instance.counters()
        self._earlier = (now, after)
        cores = os.cpu_count() or 1
        gpus = self._gpus.read(now) if self._gpus else []
        self._idle.see(gpus, now)
        return {
            "time": round(time.time(), 3),
            "seconds": round(seconds, 3),
            "cores": cores,
            "cpuPercent": counters.percent(after.busy_s - before.busy_s, after.total_s - before.total_s),
            **self._instance.levels(),
            "diskReadBytesPerS": _rate(before.read_bytes, after.read_bytes, seconds),
            "diskWriteBytesPerS": _rate(before.written_bytes, after.written_bytes, seconds),
            "networkInBytesPerS": _rate(before.received_bytes, after.received_bytes, seconds),
            "networkOutBytesPerS": _rate(before.sent_bytes, after.sent_bytes, seconds),
            "job": self._job.read(now, cores),
            "gpus": gpus,
        }


class Guard:
    """Samples a training, and reports what fails: what a training uses is for people, and must never cost a run."""

    def __init__(self) -> None:
        self._sampler: Sampler | None = None

    def begin(self, folder: str, container: containers.Container) -> None:
        try:
            self._sampler = Sampler(folder, container)
        except Exception as error:
            _complain(error)

    def tick(self) -> None:
        try:
            if self._sampler:
                self._sampler.tick()
        except OSError as error:
            disk.complain(f"sampling: {error}")  # The next sample may succeed.
        except Exception as error:
            _complain(error)
            self.end()

    def end(self) -> None:
        sampler, self._sampler = self._sampler, None
        try:
            if sampler:
                sampler.close()
        except Exception as error:
            _complain(error)


def _complain(error: Exception) -> None:
    disk.complain(f"sampling: {type(error).__name__}: {error}")


def _rate(before: int, after: int, seconds: float) -> int:
    return max(0, round((after - before) / seconds)) if seconds > 0 else 0


class IdleGpus:
    """Finds GPUs whose utilization stays below `percent` for `seconds`. warning: of the first time, or None."""

    def __init__(self, percent: float, seconds: float) -> None:
        self.warning: str | None = None
        self._percent, self._seconds = percent, seconds
        self._since: dict[int, float] = {}

    def see(self, gpus: list[dict[str, Any]], now: float) -> None:
        idle = {g["index"] for g in gpus if (g["utilizationPercent"] or 0) < self._percent}
        unknown = {g["index"] for g in gpus if g["utilizationPercent"] is None}
        self._since = {index: self._since.get(index, now) for index in idle - unknown}
        long = [str(index) for index, since in sorted(self._since.items()) if now - since >= self._seconds]
        if self.warning is None and long:
            names = f"GPU {long[0]} was" if len(long) == 1 else f"The GPUs {', '.join(long)} were"
            self.warning = (
                f"{names} used less than {self._percent:g} % for {self._seconds / 60:g} minutes."
                " Check that the code uses the GPU, and that it does not wait for its data."
            )


class Series:
    """A file of samples, JSON lines, that keeps to `max_lines`: each time they are reached, two become one."""

    def __init__(self, path: str, max_lines: int) -> None:
        self._path, self._max_lines = path, max_lines
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        self._lines = self._bytes = 0
        #: So many samples become one line.
        self._per_line = 1
        self._pending: list[dict[str, Any]] = []

    def add(self, sample: dict[str, Any]) -> None:
        """Raises OSError; then the line is missing."""
        self._pending.append(sample)
        if len(self._pending) < self._per_line:
            return
        self._flush()
        if self._lines >= self._max_lines:
            self._thin()

    def close(self) -> None:
        """Raises OSError."""
        try:
            if self._pending:
                self._flush()
        finally:
            os.close(self._fd)

    def _flush(self) -> None:
        samples, self._pending = self._pending, []
        data = _line(merge(samples))
        try:
            count = os.write(self._fd, data)
        except OSError as error:
            if not disk.is_full_error(error):
                raise
            return
        if count < len(data):
            os.ftruncate(self._fd, self._bytes)  # the disk is full: no part of a line stays
            return
        self._lines += 1
        self._bytes += count

    def _thin(self) -> None:
        with open(self._path, "rb") as file:
            samples = [json.loads(line) for line in file]
        pairs = [samples[at : at + 2] for at in range(0, len(samples), 2)]
        data = b"".join(_line(merge(pair)) for pair in pairs)
        self._per_line *= 2  # also when this fails: then there are more lines for a while
        marker.replace(self._path, data, mode=0o600, durable=False)
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
        os.close(self._fd)
        self._fd, self._lines, self._bytes = fd, len(pairs), len(data)


def _line(sample: dict[str, Any]) -> bytes:
    return json.dumps(sample, separators=(",", ":")).encode("ascii") + b"\n"


def merge(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """One sample for the time of all: rates are averaged by time, sizes are the largest."""
    if len(samples) == 1:
        return samples[0]
    weights = [sample["seconds"] for sample in samples]
    merged = _merge_keys(samples, weights)
    merged["seconds"] = round(sum(weights), 3)
    merged["job"] = _merge_keys([sample["job"] for sample in samples], weights)
    by_index: dict[int, list[tuple[dict[str, Any], float]]] = {}
    for sample, weight in zip(samples, weights):
        for one in sample["gpus"]:
            by_index.setdefault(one["index"], []).append((one, weight))
    merged["gpus"] = [
        _merge_keys([one for one, _ in found], [weight for _, weight in found]) for _, found in sorted(by_index.items())
    ]
    return merged


def _merge_keys(items: list[dict[str, Any]], weights: list[float]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key in items[-1]:
        pairs = [(item[key], weight) for item, weight in zip(items, weights) if isinstance(item[key], (int, float))]
        merge_values: Callable[[Iterable[tuple[float, float]]], float] = _mean if key.endswith(_MEANS) else _largest
        merged[key] = merge_values(pairs) if pairs else None
    return merged


def _mean(pairs: Iterable[tuple[float, float]]) -> float:
    pairs = list(pairs)
    total = sum(weight for _, weight in pairs)
    return round(sum(value * weight for value, weight in pairs) / total, 1) if total else pairs[-1][0]


def _largest(pairs: Iterable[tuple[float, float]]) -> float:
    return max(value for value, _ in pairs)
