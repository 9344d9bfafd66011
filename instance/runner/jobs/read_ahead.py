"""On an instance that was started from an image: has the image's files read, once in a boot, while a sync works."""

from __future__ import annotations

import os
from typing import Any

from common import accounts, image, marker, paths, processes
from common.protocol import Refusal
from jobs import launch

_GRACE_S = 1


def begin(request: dict[str, Any]) -> None:
    """Never raises: a run does not depend on it. Needs the lease's lock."""
    root = request["root"]
    try:
        if not image.is_started_from_image(root):
            return
        boot = processes.boot_id()
        if (marker.read(paths.read_ahead(root)) or {}).get("bootId") == boot:
            return
        account = accounts.find(request)
        if not os.path.lexists(os.path.join(account.home, paths.OPENED)):
            return
        work = {"bootId": boot, "account": account._asdict()}
        marker.write(paths.read_ahead(root), work, mode=0o600, durable=False)
        launch.detached(["read-ahead", root], f"runctl-read-ahead-{boot[:8]}", _GRACE_S)
    except (OSError, ValueError, KeyError, marker.Untrusted, Refusal):
        return
