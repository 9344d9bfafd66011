"""Sends what was collected to presigned URLs. What has been sent is not sent again."""

import contextlib
import errno
import os
import signal
import time

from collect import log_stream
from common import marker, paths, presigned

_ATTEMPTS = 3
_BETWEEN_SECONDS = 1.0
#: Of one read or write.
_SILENCE_SECONDS = 60.0
#: Of one PUT: a minute, and what a line of 1 MB/s needs. A request gives the whole phase two hours.
_PUT_SECONDS, _LEAST_BYTES_PER_SECOND = 60.0, 1e6
#: A URL lives 300 s, and counts when a PUT begins: later ones need new URLs, which the next request brings.
_URL_SECONDS = 240.0


def main(folder):
    """Writes sent.json after each file, and uploaded.json when all of puts were tried; not when URLs grew too old."""
    puts_path = os.path.join(folder, paths.PUTS)
    puts = marker.read(puts_path)
    marker.remove(puts_path)
    if puts is None:
        return
    began = time.monotonic()
    sent_path = os.path.join(folder, paths.SENT)
    sent = (marker.read(sent_path) or {"names": []})["names"]
    failed = {}
    collected = marker.read(os.path.join(folder, paths.COLLECTED))
    # The small ones first: their URLs are young then.
    for file in sorted(collected["files"], key=lambda one: one["bytes"]):
        name = file["name"]
        if name in sent or name not in puts:
            continue
        why = _send(folder, file, collected["raw"], puts[name])
        if why is None:
            sent.append(name)
            _note(sent_path, {"names": sent})
        elif time.monotonic() - began > _URL_SECONDS:
            return
        else:
            failed[name] = why
    marker.write(os.path.join(folder, paths.UPLOADED), {"names": sorted({*puts, *sent}), "failed": failed})


def _note(path, value):
    """A disk that is full does not hinder what needs no disk: at worst something is sent again."""
    with contextlib.suppress(OSError):
        marker.write(path, value)


def _send(folder, file, raw, url):
    """Returns why it could not be sent, or None. Never with the URL."""
    why = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_BETWEEN_SECONDS)
        try:
            with _deadline(_PUT_SECONDS + file["bytes"] / _LEAST_BYTES_PER_SECOND):
                status = _put(folder, file, raw, url)
        except presigned.ERRORS as error:
            why = getattr(error, "strerror", None) or type(error).__name__  # the whole text may hold the URL
        else:
            if status == 200:
                return None
            why = f"S3 answered {status}"
    return why


@contextlib.contextmanager
def _deadline(seconds):
    """Raises TimeoutError after so much wall time, wherever that is: a server may trickle for ever."""

    def give_up(_number, _frame):
        raise TimeoutError(errno.ETIMEDOUT, f"it took longer than {seconds:.0f} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _put(folder, file, raw, url):
    fd, chunks = _open(folder, file["name"], raw)
    try:
        return presigned.put(url, chunks, file["bytes"], _SILENCE_SECONDS)
    finally:
        os.close(fd)


def _open(folder, name, raw):
    """(descriptor, the bytes to send in chunks)."""
    if name.endswith(".log.gz"):
        job = name[: -len(".log.gz")]
        fd = marker.open_regular(os.path.join(os.path.dirname(folder), job, paths.LOG))
        return fd, log_stream.Gzipped(fd, raw[job])
    fd = marker.open_regular(os.path.join(folder, name))
    return fd, log_stream.plain(fd)
