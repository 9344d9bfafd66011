"""The training of a soak's schedule: does what its plan says, and keeps a journal of what really happened."""

import fcntl
import json
import os
import resource
import signal
import time

home, run = os.environ["HOME"], os.environ["RUNCTL_RUN_ID"]
began = time.monotonic()
journal = os.open(os.path.join(home, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(what):
    os.write(journal, f"{run} {what}\n".encode())


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


note("start")
with open(os.path.join(home, "plans", run + ".json")) as file:
    plan = json.load(file)
if plan["onTerm"] != "dies":
    signal.signal(signal.SIGTERM, signal.SIG_IGN if plan["onTerm"] == "ignores" else on_term)
lock = os.open(os.path.join(home, "busy"), os.O_RDWR | os.O_CREAT, 0o644)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    note("overlap")
for piece in [*plan["output"], {"at": plan["lasts"], "text": ""}]:
    time.sleep(max(0, began + min(piece["at"], plan["lasts"]) / 1000 - time.monotonic()))
    data = piece["text"].encode()
    while data:
        data = data[os.write(1, data) :]
end(plan["end"]["code"] or 0, plan["end"]["signal"])
