"""Imports every package of the environment that runs it, once, and lists the files that are opened by that.

For `python -c <this text>`, Python 3.8 or newer. It ends with code 0 whatever an import does, unless that ends the
process. The list, one path a line, is what a new instance of the image reads ahead.
"""

import importlib
import importlib.metadata as metadata
import os
import re
import signal
import stat
import sys
import time

MAX_FILES = 50000
MAX_IMPORT_S = 300
# They open a display, a browser or a device, or are no use without.
SKIPPED = "^_|^(antigravity|conftest|docs?|examples?|pyautogui|pynput|pystray|scripts?|setup|tests?|testing|tkinter)$"
opened: dict = {}


def note(path: object) -> None:
    if isinstance(path, (str, bytes)):
        opened[os.path.abspath(os.fsdecode(path))] = None


def watch(event: str, args: tuple) -> None:
    if event == "open":
        note(args[0])


def late(*_: object) -> None:
    raise TimeoutError("it took more than %d s" % MAX_IMPORT_S)


def names() -> list:
    found = set()
    for dist in metadata.distributions():
        paths = [str(path) for path in dist.files or ()]
        paths = paths or [name + ".py" for name in (dist.read_text("top_level.txt") or "").split()]
        for path in paths:
            first, slash, rest = path.partition("/")
            if slash and rest.endswith((".py", ".so")):
                found.add(first)
            elif not slash and first.endswith((".py", ".so")):
                found.add(first.split(".")[0])
    return sorted(name for name in found if name.isidentifier() and not re.search(SKIPPED, name))


def main() -> None:
    here = os.getcwd()
    # The project has no part in it: a module of it may have the name of a package.
    sys.path[:] = [path for path in sys.path if path and os.path.realpath(path) != os.path.realpath(here)]
    sys.addaudithook(watch)
    signal.signal(signal.SIGALRM, late)
    todo, failed, began = names(), [], time.monotonic()
    for number, name in enumerate(todo, 1):
        signal.alarm(MAX_IMPORT_S)
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed.append(name)
            print("%s: %s: %s" % (name, type(error).__name__, str(error)[:200]))
        signal.alarm(0)
        print("%d/%d %s (%.0f s)" % (number, len(todo), name, time.monotonic() - began), flush=True)
    for module in list(sys.modules.values()):
        note(getattr(module, "__file__", None))
    with open("/proc/self/maps") as file:
        for line in file:
            note("/" + line.rstrip("\n").partition("/")[2])
    write(here)
    summary = "imported %d packages, %d failed" % (len(todo) - len(failed), len(failed))
    print(": ".join([summary, ", ".join(failed)] if failed else [summary]), flush=True)


def write(here: str) -> None:
    kept = {}
    for path in map(os.path.realpath, list(opened)):
        if path.startswith(("/proc/", "/sys/", "/dev/", here + "/")) or "\n" in path:
            continue
        try:
            if stat.S_ISREG(os.lstat(path).st_mode):
                kept[path] = None
        except OSError:
            pass
    folder = os.path.join(os.path.expanduser("~"), ".runctl", "image")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "opened.txt"), "wb") as file:
        for path in list(kept)[:MAX_FILES]:
            file.write(os.fsencode(path) + b"\n")


main()
# Threads of a package, or what it does at the end, may never end.
os._exit(0)
