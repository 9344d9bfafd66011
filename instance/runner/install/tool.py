"""Runs uv or pip with everything that they print shown, understood and kept for the reason of a failure."""

import collections

from common import subp
from install import usage
from install.errors import ToolFailed

_KEPT = 20


def run(progress, command, env, cwd, understand, after_tick=None):
    """Runs a tool to its end and returns the lines it printed.

    understand(line): updates the progress from a line, and says whether the log needs it. after_tick(): twice a second.
    Raises ToolFailed with the last lines.
    """
    lines = []
    last = collections.deque(maxlen=_KEPT)

    def on_line(text):
        text = text.rstrip()
        lines.append(text)
        if understand(text):
            last.append(text)
            progress.say("  " + text)

    def on_tick(pid):
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
