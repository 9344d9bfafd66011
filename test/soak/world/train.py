"""The training of a soak's schedule: does what its plan says, and keeps a journal of what really happened."""

import fcntl
import json
import os
import resource
import signal
import time

home, run = os.environ["HOME"], os.environ["RUNCTL_RUN_ID"]
attempt = int(os.environ.get("RUNCTL_ATTEMPT", "1"))
began = time.monotonic()
journal = os.open(os.path.join(home, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(what):
    os.write(journal, f"{run} {attempt} {what}\n".encode())


def end(code, by_signal):
    note(f"signal {by_signal}" if by_signal else f"exit {code}")
    if by_signal:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = getattr(signal, by_signal)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(code)


def on_term(_number, _frame):
    how = plan["onTerm"]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(how["after"] / 1000)
    os.write(1, how["text"].encode())
    end(how["code"], None)


def read_plan():
    later = os.path.join(home, "plans", f"{run}-{2 + (attempt - 2) % 4}.json")
    path = later if attempt > 1 and os.path.exists(later) else os.path.join(home, "plans", run + ".json")
    with open(path) as file:
        return json.load(file)


def write(text):
    data = text.encode()
    while data:
        data = data[os.write(1, data) :]


def save(path, content):
    """As a training: in place, the first half is there before the rest."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode())


def remove(path):
    if os.path.exists(path):
        os.remove(path)


def works():
    """All that it does: (ms since its start, what)."""
    for piece in plan["output"]:
        yield piece["at"], lambda text=piece["text"]: write(text)
    for one in plan.get("saves") or []:
        name, content, at = one["name"], one["content"], one["at"]
        draft = name if one["how"] == "in-place" else name + ".tmp"
        half = content[: len(content) // 2]
        yield at, lambda path=draft, text=half: save(path, text)
        yield at + one["lasts"], lambda path=draft, text=content: save(path, text)
        if draft != name:
            yield at + one["lasts"], lambda source=draft, path=name: os.replace(source, path)
        if one["removedAt"] is not None:
            yield one["removedAt"], lambda path=name: remove(path)


note("start")
source = os.environ.get("RUNCTL_RESUME_FROM")
if source:
    with open(source, "rb") as file:
        note(f"resumed {os.path.relpath(source)} {file.read().hex()}")
plan = read_plan()
if plan["onTerm"] != "dies":
    signal.signal(signal.SIGTERM, signal.SIG_IGN if plan["onTerm"] == "ignores" else on_term)
lock = os.open(os.path.join(home, "busy"), os.O_RDWR | os.O_CREAT, 0o644)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    note("overlap")
for at, work in sorted(works(), key=lambda one: one[0]):
    if at > plan["lasts"]:
        break
    time.sleep(max(0, began + at / 1000 - time.monotonic()))
    work()
time.sleep(max(0, began + plan["lasts"] / 1000 - time.monotonic()))
end(plan["end"]["code"] or 0, plan["end"]["signal"])
