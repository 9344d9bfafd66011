"""The runner's entrance: one request on stdin, or one of the processes that it starts from itself.

Imports are made where they are used: a week's run polls 30,000 times, and a poll needs little.
"""

import sys


def main(words):
    if words[:1] == ["child"]:
        import sync  # the job that is the runner itself, as the user; install is a program of its own

        return sync.main()
    if words[:1] == ["supervise"]:
        import supervisor

        return supervisor.main(words[1])
    if words[:1] == ["stop"]:
        import stopper

        return stopper.main(words[1])
    import dispatch

    return dispatch.main(sys.stdin.buffer, sys.stdout.buffer)


sys.exit(main(sys.argv[1:]))
