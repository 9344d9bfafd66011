"""Sends a file that one PUT does not take: in parts, by forms. Later requests bring new rights while it works."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from common import marker, part_sender, paths

#: S3 accepts a policy for 300 s after it was signed; a request that begins has to arrive.
_GRANT_S = 270.0
_RECORD_S = 1.0


class NoGrant(Exception):
    """No request has brought a right to send for a while."""


def send(folder: str, name: str, length: int) -> str | None:
    """Sends a file of the folder, then the list of its parts. Returns why it was not sent, or None. Raises NoGrant.

    The list is an object behind the grant's prefix: {bytes, partBytes, etags}, in order. What was sent is in
    sent-parts.json, by name: {sent: ETags by key, list: null or {key, bytes, etag}, partBytes}.
    """
    path = os.path.join(folder, paths.SENT_PARTS)
    notes: dict[str, Any] = marker.read(path) or {}
    note = notes.setdefault(name, {"sent": {}, "list": None, "partBytes": None})
    sent: dict[str, str] = note["sent"]
    recorded_at = 0.0

    def record(_length: int = 0) -> None:
        nonlocal recorded_at
        if time.monotonic() - recorded_at >= _RECORD_S:
            recorded_at = time.monotonic()
            with contextlib.suppress(OSError):  # on a full disk, a part may be sent a second time
                marker.write(path, notes, durable=False)
                # An attempt that has sent something was none in vain.
                marker.remove(os.path.join(folder, paths.UPLOAD_ATTEMPTS))

    sender = part_sender.Sender(sent, lambda: _grant(folder, name), record)
    try:
        fd = marker.open_regular(os.path.join(folder, name))
    except (OSError, marker.Untrusted) as error:
        return getattr(error, "strerror", None) or str(error)
    try:
        # Those of an earlier attempt have the size that it had then.
        part_bytes = note["partBytes"] = note["partBytes"] or sender.grant()["partBytes"]
        parts = part_sender.part_keys("", length, part_bytes)
        sender.send_all("", [(key, fd, offset, size) for key, offset, size in parts])
        listing = {"bytes": length, "partBytes": part_bytes, "etags": [sent[key] for key, _, _ in parts]}
        note["list"] = sender.send_json("", "parts.json", listing, folder)
    except part_sender.GivenUp as error:
        return str(error)
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            marker.write(path, notes, durable=False)
    return None


def _grant(folder: str, name: str) -> dict[str, Any]:
    """The latest right to send a file. Raises NoGrant."""
    kept = marker.read(os.path.join(folder, paths.GRANTS))
    if kept is None or name not in kept["grants"] or not 0 <= time.time() - kept["receivedAt"] < _GRANT_S:
        raise NoGrant
    grant: dict[str, Any] = kept["grants"][name]
    return grant
