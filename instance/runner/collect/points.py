"""Packs the points of metrics that a training wrote itself: into RUNCTL_METRICS_FILE, and into event files.

It happens in a process that has become the user: what the user cannot read is not packed.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import time
import zlib
from typing import Any, Callable, NamedTuple

from collect import events, log_stream, search
from common import child, marker
from common.accounts import Account
from common.listing import Listing

NAME = "metric-points.jsonl.gz"
#: As of metrics in a log (core/metrics/point.ts).
_MAX_SERIES = 64
_NAME = re.compile(r"[A-Za-z0-9_./@ -]{1,64}")
_MAX_LINE_BYTES = 4_096
_STEP_KEYS = ("step", "global_step", "iteration", "iter", "round", "update", "num_timesteps", "timestep", "epoch")
_TIME_KEYS = ("time", "timestamp")
_MAX_STEP = 1 << 53
_MAX_POINTS = 4_000_000
#: Of wall time: to find the event files, for all, and until a process that hangs in a read is killed.
_MAX_SEARCH_S, _MAX_S, _KILL_AFTER_S = 20.0, 120.0, 30.0
_MAX_FILES = 10_000
_CHUNK_BYTES = 1 << 20
_LINES_A_WRITE = 2_000
_MAX_NAMES = 3
_EVENT_FILE = re.compile(r"events\.out\.tfevents\..+")


class Source(NamedTuple):
    metrics_file: str
    project: str
    #: Of the start of the training; None: it never began.
    listing: Listing | None
    #: Removes the values of secrets from a text.
    redact: Callable[[str], str]


def pack(folder: str, source: Source, account: Account, files: list[dict[str, Any]], warnings: list[str]) -> None:
    """folder: where it is written. Whatever fails is a warning."""
    if source.listing is None:
        return
    path = os.path.join(folder, NAME)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        result = child.run(lambda: _Points(fd, source).run(), account, _MAX_S + _KILL_AFTER_S)
        warnings += result["warnings"]
        if result["points"]:
            os.fsync(fd)
            files.append(log_stream.entry(NAME, log_stream.plain(fd)))
            return
    except (OSError, RuntimeError) as error:
        warnings.append(f"The metrics in files were not read: {getattr(error, 'strerror', None) or error}")
    finally:
        os.close(fd)
    marker.remove(path)


class _Series:
    def __init__(self, name: str, source: str) -> None:
        self.begin = f'{{"name":{json.dumps(name)},"step":'
        self.end = f',"source":"{source}"}}\n'
        self.points = 0


class _Points:
    def __init__(self, fd: int, source: Source) -> None:
        self._fd, self._source = fd, source
        self._packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        self._until = time.monotonic() + _MAX_S
        self._lines: list[str] = []
        self._names: set[str] = set()
        self._refused: dict[str, set[str]] = {"many": set(), "name": set()}
        self._bad_lines = self._points = self._beyond = 0
        self._warnings: list[str] = []

    def run(self) -> dict[str, Any]:
        self._read_metrics_file()
        self._read_event_files()
        self._write(b"".join((self._take_lines(), self._packer.flush())))
        self._warn_of_rest()
        return {"points": self._points, "warnings": self._warnings}

    def _read_metrics_file(self) -> None:
        fd = _open_own(self._source.metrics_file)
        if fd is None:
            return
        series: dict[str, _Series | None] = {}
        rest, is_long = b"", False
        with os.fdopen(fd, "rb") as file:
            left = os.fstat(fd).st_size
            while left > 0 and time.monotonic() < self._until:
                chunk = file.read(min(_CHUNK_BYTES, left))
                if not chunk:
                    break
                left -= len(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take_line(b"" if is_long else line, series)
                    is_long = False
                if len(rest) > _MAX_LINE_BYTES:
                    rest, self._bad_lines, is_long = b"", self._bad_lines + (not is_long), True
        self._take_line(rest, series, is_last=True)

    def _take_line(self, line: bytes, series: dict[str, _Series | None], is_last: bool = False) -> None:
        if not line.strip():
            return
        try:
            record = json.loads(line) if len(line) <= _MAX_LINE_BYTES else None
        except (ValueError, RecursionError):
            record = None
        numbers = _numbers(record) if isinstance(record, dict) else {}
        step = next((numbers[key] for key in _STEP_KEYS if key in numbers), None)
        at = next((numbers[key] for key in _TIME_KEYS if key in numbers), math.nan)
        found = 0
        for name, value in numbers.items():
            if name in _STEP_KEYS or name in _TIME_KEYS:
                continue
            found += 1
            if name not in series:
                series[name] = self._new_series(name, "file")
            one = series[name]
            if one is not None:
                self._add(one, one.points + 1 if step is None else step, value, at)
        if not found and not is_last:  # of the last line a part may be missing
            self._bad_lines += 1

    def _read_event_files(self) -> None:
        found = self._find()
        common = os.path.commonpath([os.path.dirname(name) or "." for name in found]) if found else ""
        damaged = []
        #: By the folder that is put in front of names, and by tag.
        series: dict[str, dict[bytes, _Series | None]] = {}
        for name in found:
            prefix = os.path.relpath(os.path.dirname(name) or ".", common or ".")
            prefix = "" if prefix == "." else prefix + "/"
            at = self._read_events(name, prefix, series.setdefault(prefix, {}))
            if at is not None:
                damaged.append(f"{name} at byte {at}")
        if damaged:
            more = f" and {len(damaged) - _MAX_NAMES} more" if len(damaged) > _MAX_NAMES else ""
            self._warn(f"Event files are damaged, and were read up to there: {', '.join(damaged[:_MAX_NAMES])}{more}")

    def _read_events(self, name: str, prefix: str, series: dict[bytes, _Series | None]) -> int | None:
        """Returns at which byte the file is damaged, or None."""

        def take(tag: bytes, step: int, wall_time: float, value: float) -> None:
            if tag not in series:
                one = self._new_series(prefix + tag.decode("utf-8", "replace"), "events")
                if one is None and len(series) >= _MAX_FILES:
                    return
                series[tag] = one
            one = series[tag]
            if one is not None:
                self._add(one, step, value, wall_time)

        fd = _open_own(os.path.join(self._source.project, name))
        if fd is None:
            return None
        try:
            return events.read(fd, self._until, take)
        except OSError as error:
            self._warn(f"{name} was not read to its end: {error.strerror or error}")
            return None
        finally:
            os.close(fd)

    def _find(self) -> list[str]:
        """The event files that the run wrote, by their paths in the project. No link is followed."""
        found: list[str] = []
        until = time.monotonic() + _MAX_SEARCH_S
        for at, folders, names in os.walk(self._source.project):
            folders[:] = [folder for folder in folders if folder not in search.CACHES]
            for name in filter(_EVENT_FILE.fullmatch, names):
                path = os.path.join(at, name)
                relative = os.path.relpath(path, self._source.project)
                try:
                    info = os.lstat(path)
                except OSError:
                    continue
                listing = self._source.listing
                is_own = stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid()
                if is_own and listing is not None and listing.is_new(relative, info):
                    found.append(relative)
            if time.monotonic() > until or len(found) >= _MAX_FILES:
                self._warn("There are more event files than were searched for")
                break
        return sorted(found[:_MAX_FILES])

    def _new_series(self, name: str, source: str) -> _Series | None:
        if not _NAME.fullmatch(name) or name.strip() != name or self._source.redact(name) != name:
            why = "name"
        elif name in self._names or len(self._names) < _MAX_SERIES:
            self._names.add(name)
            return _Series(name, source)
        else:
            why = "many"
        if len(self._refused[why]) < _MAX_FILES:
            self._refused[why].add(name)
        return None

    def _add(self, series: _Series, step: float, value: float, wall_time: float) -> None:
        if not -_MAX_STEP <= step <= _MAX_STEP:
            return
        if self._points >= _MAX_POINTS:
            self._beyond += 1
            return
        number = repr(value) if math.isfinite(value) else f'null,"gap":"{_gap(value)}"'
        at = f"{wall_time:.3f}" if 0 <= wall_time < 1e11 else "null"
        self._lines.append(f'{series.begin}{step},"value":{number},"time":{at}{series.end}')
        series.points += 1
        self._points += 1
        if len(self._lines) >= _LINES_A_WRITE:
            self._write(self._take_lines())

    def _take_lines(self) -> bytes:
        lines, self._lines = self._lines, []
        return self._packer.compress("".join(lines).encode("ascii"))

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def _warn_of_rest(self) -> None:
        if time.monotonic() >= self._until:
            self._warn(f"Reading the metrics in files took longer than {_MAX_S:.0f} s: the rest was left out")
        if self._beyond:
            self._warn(
                f"Only the first {_MAX_POINTS} points of metrics in files were kept: {self._beyond} were left out"
            )
        if self._refused["many"]:
            names = len(self._refused["many"])
            self._warn(f"A run has at most {_MAX_SERIES} metrics in files: {names} more were left out")
        if self._refused["name"]:
            names = len(self._refused["name"])
            self._warn(
                f"Metrics in files were left out because of their names, {names} in all: names have 1 to 64 of the"
                " characters A-Z a-z 0-9 _ . / @ - and the space"
            )
        if self._bad_lines:
            self._warn(f"{self._bad_lines} lines of RUNCTL_METRICS_FILE have no metrics, and were left out")

    def _warn(self, text: str) -> None:
        self._warnings.append(text.encode("utf-8", "backslashreplace").decode("utf-8")[:500])


def _open_own(path: str) -> int | None:
    """A descriptor to read a regular file of this user's, not a link; else None."""
    try:
        return marker.open_regular(path)
    except (OSError, marker.Untrusted):
        return None


def _numbers(record: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a record, and of the records in it, whose keys are joined by a slash."""
    found: dict[str, float] = {}
    for key, value in record.items():
        if isinstance(value, bool):
            continue
        if isinstance(value, (int, float)):
            try:
                float(value)
            except OverflowError:
                value = math.inf if value > 0 else -math.inf
            found[prefix + key] = value
        elif isinstance(value, dict) and not prefix:
            found.update(_numbers(value, key + "/"))
    return found


def _gap(value: float) -> str:
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
