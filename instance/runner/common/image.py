"""What became of the scrub of an instance, in `<root>/image.json`: the file is in the image that is made afterwards.

{key, base, project, run, state, reason, at, bootId}. `state` is `scrubbing`, `failed` or `scrubbed`. On an instance
that was started from the image, the boot is another one.
"""

from __future__ import annotations

import time

from common import marker, paths, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_REASON = 2_000


def read(root: str) -> dict[str, Any] | None:
    """Raises marker.Untrusted."""
    return marker.read(paths.image(root))


def write(root: str, about: dict[str, Any], state: str, reasons: list[str]) -> None:
    """about: {key, base, project, run}. reasons: why it failed. Raises OSError."""
    told = {name: about[name] for name in ("key", "base", "project", "run")}
    reason = "\n".join(reasons)[:_MAX_REASON] if reasons else None
    told.update(state=state, reason=reason, at=time.time(), bootId=processes.boot_id())
    marker.write(paths.image(root), told)


def is_of_this_boot(found: dict[str, Any] | None) -> bool:
    return found is not None and found["bootId"] == processes.boot_id()


def is_under_way(root: str) -> bool:
    """Whether this instance is being scrubbed, or has been in this boot: nothing starts on it."""
    found = read(root)
    return found is not None and found["state"] in ("scrubbing", "scrubbed") and is_of_this_boot(found)


def is_started_from_image(root: str) -> bool:
    found = read(root)
    return found is not None and found["state"] == "scrubbed" and not is_of_this_boot(found)
