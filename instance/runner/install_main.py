"""The installer's entrance, a program beside the runner: `… child install`, or a request on stdin, see CONTRACT.md."""

import sys


def main(words):
    if words[:1] == ["child"]:
        import install

        return install.main()
    import dispatch
    import install_facts

    return dispatch.main(sys.stdin.buffer, sys.stdout.buffer, install_facts.answer)


sys.exit(main(sys.argv[1:]))
