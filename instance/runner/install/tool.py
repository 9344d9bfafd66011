"""Runs uv or pip: logs and interprets each line of output, and keeps the last ones for the reason of a failure."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from common import subp
from install import usage
from install.errors import ToolFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from install.progress import Progress

_KEPT = 20


def run(
    progress: Progress,
    command: list[str],
    env: dict[str, str],
    cwd: str,
    handle_line: Callable[[str], bool],
    after_tick: Callable[[], None] | None = None,
) -> list[str]:
    """Runs a tool to its end and returns the lines it printed.

    handle_line(line): updates the progress, returns whether the line belongs in the log. after_tick(): twice a second.
    Raises ToolFailed with the last lines.
    """
    lines: list[str] = []
    last: collections.deque[str] = collections.deque(maxlen=_KEPT)

    def on_line(text: str) -> None:
        text = text.rstrip()
        lines.append(text)
        if handle_line(text):
            last.append(text)
            progress.log("  " + text)

    def on_tick(pid: int) -> None:
        if after_tick:
            after_tick()
        progress.tick(usage.sample(pid))

    try:
        code = subp.follow(command, on_line, on_tick, env=env, cwd=cwd, tick=0.5)
    except subp.ProcessFailed as failed:
        raise ToolFailed(failed.reason) from failed
    if code != 0:
        reason = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
        raise ToolFailed(reason, last or lines[-_KEPT:])
    return lines
