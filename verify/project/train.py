"""The script of the runs of `npm run verify:aws`: prints known bytes, exits with a code, or waits."""

import pathlib
import signal
import sys
import time

LINES = 5_000


def main(what, value):
    if what == "lines":
        for number in range(LINES):
            print(f"line {number}: äöü ✓ {'x' * (number % 97)}")
    elif what == "exit":
        sys.exit(int(value))
    elif what == "wait":
        outputs = pathlib.Path("outputs")
        outputs.mkdir(exist_ok=True)

        def on_term(*_):
            (outputs / "checkpoint.txt").write_text("saved on TERM\n")
            print("saved", flush=True)
            sys.exit(0)

        signal.signal(signal.SIGTERM, on_term)
        print("waiting", flush=True)
        time.sleep(float(value))


main(*sys.argv[1:])
