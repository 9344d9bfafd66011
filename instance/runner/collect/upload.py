"""Sends what was collected to presigned URLs, or in parts. What has been sent is not sent again."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from typing import Any, Iterator, Mapping

from collect import log_stream, pack, parts, selection
from common import marker, paths, presigned

_ATTEMPTS = 3
_RETRY_DELAY_S = 1.0
#: Of one read or write.
_MAX_SILENCE_S = 60.0
#: Of one PUT: a minute, and what a line of 1 MB/s needs. The functions allow the phase two hours.
_PUT_S, _MIN_BYTES_PER_S = 60.0, 1e6
#: A URL is valid for 300 s, and S3 checks it when a PUT begins. Later PUTs need new URLs, which
#: the next request brings.
_URL_S = 240.0


def main(folder: str) -> None:
    """Writes sent.json after each file, and uploaded.json once every PUT was tried.

    It writes no uploaded.json when the URLs became too old. puts.json: {puts: URLs by name, parts: names of files
    that are sent in parts}.
    """
    puts_path = os.path.join(folder, paths.PUTS)
    request = marker.read(puts_path)
    marker.remove(puts_path)
    if request is None:
        return
    puts, in_parts = request["puts"], request["parts"]
    began = time.monotonic()
    sent_path = os.path.join(folder, paths.SENT)
    sent = (marker.read(sent_path) or {"names": []})["names"]
    failed: dict[str, str] = {}
    collected = marker.read(os.path.join(folder, paths.COLLECTED))
    if collected is None:
        raise FileNotFoundError(paths.COLLECTED)
    # The small ones first, while their URLs are new.
    for file in sorted(collected["files"], key=lambda file: file["bytes"]):
        name = file["name"]
        if name in sent or name not in {*puts, *in_parts}:
            continue
        try:
            is_whole = name in puts
            why = (
                _send(folder, file, collected["raw"], puts[name])
                if is_whole
                else parts.send(folder, name, file["bytes"])
            )
        except parts.NoGrant:
            return
        if why is None:
            sent.append(name)
            _record(sent_path, {"names": sent})
        elif is_whole and time.monotonic() - began > _URL_S:
            return
        else:
            failed[name] = why
    marker.write(os.path.join(folder, paths.UPLOADED), {"names": sorted({*puts, *in_parts, *sent}), "failed": failed})


def _record(path: str, value: dict[str, Any]) -> None:
    """On a full disk nothing is recorded: then a file may be sent a second time."""
    with contextlib.suppress(OSError):
        marker.write(path, value)


def _send(folder: str, file: Mapping[str, Any], raw: Mapping[str, int], url: str) -> str | None:
    """Returns why it could not be sent, or None. The text never has the URL."""
    why = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_RETRY_DELAY_S)
        try:
            with _deadline(_PUT_S + file["bytes"] / _MIN_BYTES_PER_S):
                status = _put(folder, file, raw, url)
        except presigned.ERRORS as error:
            why = getattr(error, "strerror", None) or type(error).__name__  # the whole text may hold the URL
        else:
            if status == 200:
                return None
            why = f"S3 answered {status}"
    return why


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raises TimeoutError after so much wall time, wherever that is: a server may trickle for ever."""

    def give_up(_number: int, _frame: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, f"it took longer than {seconds:.0f} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _put(folder: str, file: Mapping[str, Any], raw: Mapping[str, int], url: str) -> int:
    with _open(folder, file["name"], raw) as chunks:
        return presigned.put(url, chunks, file["bytes"], _MAX_SILENCE_S)


@contextlib.contextmanager
def _open(folder: str, name: str, raw: Mapping[str, int]) -> Iterator[Iterator[bytes]]:
    """The bytes to send in chunks."""
    run = os.path.dirname(folder)
    if name.endswith(selection.TIMES):
        train = name[: -len(selection.TIMES)]
        with pack.open_times(os.path.join(run, train), raw[train]) as times:
            yield iter(times)
        return
    job = name[: -len(selection.LOG)] if name.endswith(selection.LOG) else None
    fd = marker.open_regular(os.path.join(run, job, paths.LOG) if job else os.path.join(folder, name))
    try:
        yield iter(log_stream.Gzipped(fd, raw[job])) if job else log_stream.plain(fd)
    finally:
        os.close(fd)
