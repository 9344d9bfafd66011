"""Packs the samples of what a training used, which its supervisor has written."""

from __future__ import annotations

import os
import zlib
from typing import Any

from collect import log_stream
from common import marker, paths

NAME = "usage.jsonl.gz"
#: A series has 8,192 lines (jobs/usage.py), of 3 KB each with sixteen GPUs.
_MAX_BYTES = 32 << 20
_MAX_WARNING = 500


def pack(folder: str, trainings: list[str], files: list[dict[str, Any]], warnings: list[str]) -> None:
    """folder: where it is written. trainings: the folders of the attempts, in order. Whatever fails is a warning."""
    found: list[bytes] = []
    room = _MAX_BYTES
    for train in reversed(trainings):  # the latest attempts have room first
        series = _read(train, room, warnings)
        found.insert(0, series)
        room -= len(series)
    if room == _MAX_BYTES:
        return
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    data = packer.compress(b"".join(found)) + packer.flush()
    try:
        marker.replace(os.path.join(folder, NAME), data)
    except OSError as error:
        warnings.append(f"{NAME} was not written: {error.strerror or error}")
        return
    files.append(log_stream.entry(NAME, [data]))


def _read(train: str, most: int, warnings: list[str]) -> bytes:
    """The samples of an attempt, at most so many bytes of them; none when it did not begin or ended at once."""
    try:
        warning = (marker.read(os.path.join(train, paths.USAGE)) or {}).get("warning")
        if isinstance(warning, str):
            warnings.append(warning[:_MAX_WARNING])
        fd = marker.open_regular(os.path.join(train, paths.USAGE_SERIES))
    except FileNotFoundError:
        return b""
    except (OSError, marker.Untrusted) as error:
        warnings.append(f"The samples of the training's usage cannot be read: {error}")
        return b""
    with os.fdopen(fd, "rb") as file:
        series = file.read(most)
    return series[: series.rfind(b"\n") + 1]  # a supervisor that was killed may have left a part of a line
