"""The runner's entrance: one request on stdin, or one of the processes that it starts from itself.

Imports are made where they are used: a week's run polls 30,000 times, and a poll needs little.
"""

import sys


def main(words):
    if words[:1] == ["child"]:
        return _child(words[1])
    if words[:1] == ["supervise"]:
        import supervisor

        return supervisor.main(words[1])
    if words[:1] == ["end"]:
        import ending

        return ending.main(words[1])
    import dispatch

    return dispatch.main(sys.stdin.buffer, sys.stdout.buffer)


def _child(job):
    """The jobs that are the runner itself, as the user: see instance/CONTRACT.md."""
    if job == "sync":
        import sync

        return sync.main()
    import install

    return install.main()


sys.exit(main(sys.argv[1:]))
