"""The runner's entry point: one request on stdin, or one of the processes that it starts from itself.

Modules are imported where they are used: a run of a week polls 30,000 times, and a poll needs few of them.
"""

from __future__ import annotations

import sys


def main(words: list[str]) -> int:
    work = words[0] if words else None
    if work == "child":
        if words[1] == "install":
            from install import main as job
        elif words[1] == "probe":
            from install import probe as job
        elif words[1] == "restore":
            from restore import main as job
        else:
            from sync import main as job
        return job.main()
    if work == "supervise":
        from jobs import supervisor

        return supervisor.main(words[1])
    if work == "keep":
        from checkpoints import keeper

        return keeper.main(words[1])
    if work == "dead-man":
        from jobs import dead_man

        return dead_man.main(words[1])
    if work == "store":
        from install import store

        return store.main(words[1])
    if work == "scrub":
        from image import main as scrub

        return scrub.main(words[1])
    if work == "read-ahead":
        from image import read_ahead

        return read_ahead.main(words[1])
    if work == "stop":
        from jobs import orphan_stopper

        return orphan_stopper.main(words[1])
    if work in ("collect", "upload", "fetch"):
        from collect import main as finisher

        return finisher.main(work, words[1])
    import dispatch

    return dispatch.answer(sys.stdin.buffer.read())


sys.exit(main(sys.argv[1:]))
