"""Looks at checkpoints while they are written, rotated and overwritten, and prints what was decided as JSON.

Arguments: the folder of the runner's modules, the folder of the fixtures, a folder to work in.
"""

import json
import os
import shutil
import sys

sys.path.insert(0, sys.argv[1])

from checkpoints import judge, pin, units

FIXTURES, WORK = sys.argv[2:]
RESULT = {}


class Case:
    def __init__(self, name, folder=None):
        self.project = os.path.join(WORK, name)
        self.folder = folder
        os.makedirs(os.path.join(self.project, "checkpoints"))
        self.tracker = judge.Tracker()

    def path(self, name):
        return os.path.join(self.project, name)

    def copy(self, fixture, to):
        os.makedirs(os.path.dirname(self.path(to)), exist_ok=True)
        source = os.path.join(FIXTURES, fixture)
        shutil.copytree(source, self.path(to)) if os.path.isdir(source) else shutil.copy(source, self.path(to))

    def look(self, now, everywhere=True):
        """The names that are complete after a look at this time."""
        looked = judge.look(self.project, None, self.folder, everywhere, self.tracker.expected(now))
        self.tracker.see(looked["units"], now, everywhere)
        return [item["name"] for item in self.tracker.complete(now)]

    def item(self, now):
        return self.tracker.complete(now)[0]


def times():
    case = Case("times")
    case.copy("torch.pt", "checkpoints/a.pt")
    seen = [case.look(0), case.look(4.9), case.look(5.0), case.look(5.1)]
    os.utime(case.path("checkpoints/a.pt"))
    RESULT["quiet"] = [*seen, case.look(6), case.look(10.9), case.look(11)]


def open_files():
    case = Case("open")
    case.copy("torch.pt", "checkpoints/a.pt")
    with open(case.path("checkpoints/a.pt"), "rb+"):
        seen = [case.look(0), case.look(100)]
    with open(case.path("checkpoints/a.pt"), "rb"):
        RESULT["open"] = [*seen, case.look(101)]


def names():
    case = Case("names")
    for name in ("a.pt.tmp", ".b.pt", "tmp-checkpoint-5", "c.pt.part", "d.pt~", "tmp_model.pt", "e.pt.tmp-123"):
        case.copy("torch.pt", "checkpoints/" + name)
    case.copy("trainer", "checkpoints/step-1")
    case.copy("torch.pt", "checkpoints/step-1/more.pt.tmp")
    seen = [case.look(0), case.look(100)]
    os.rename(case.path("checkpoints/a.pt.tmp"), case.path("checkpoints/a.pt"))
    RESULT["names"] = [*seen, case.look(101), case.look(106)]


def unknown():
    case = Case("unknown")
    with open(case.path("checkpoints/model.bin"), "wb") as file:
        file.write(b"\x01\x02" * 500)
    case.copy("torch.pt", "checkpoints/folder/model.pt")
    seen = [case.look(0), case.look(6), case.look(29), case.look(30)]
    RESULT["unknown"] = [*seen, [[item["format"], item["marked"]] for item in case.tracker.complete(30)]]


def places():
    case = Case("places")
    case.copy("torch.pt", "checkpoints/a.pt")
    case.copy("trainer", "outputs/x/checkpoint-500")
    case.copy("lightning.ckpt", "lightning_logs/version_0/checkpoints/epoch=0-step=2.ckpt")
    case.copy("lightning.ckpt", "deep/down/b.ckpt")
    case.copy("torch.pt", "other/c.pt")
    case.copy("lightning.ckpt", ".hidden/d.ckpt")
    os.symlink(case.path("other/c.pt"), case.path("checkpoints/link.pt"))
    case.look(0)
    everywhere = sorted(case.look(6))
    own = Case("own-places", "state")
    own.copy("torch.pt", "state/a.pt")
    own.copy("torch.pt", "checkpoints/b.pt")
    own.copy("lightning.ckpt", "c.ckpt")
    own.look(0)
    RESULT["places"] = [everywhere, own.look(6)]


def done():
    case = Case("done")
    case.copy("torch.pt", "checkpoints/a.pt")
    case.look(0)
    case.look(6)
    item = case.item(6)
    case.tracker.done[item["name"]] = item["digest"]
    after = case.look(12)
    case.copy("lightning.ckpt", "checkpoints/a.pt")
    RESULT["done"] = [after, case.look(13), case.look(19)]


def rotation():
    case = Case("rotation")
    case.copy("trainer", "checkpoints/checkpoint-1")
    case.look(0)
    case.look(6)
    item = case.item(6)
    pinned = pin.pin(case.project, item["signature"], None)
    shutil.rmtree(case.path("checkpoints/checkpoint-1"))
    sizes = [os.pread(one.fd, 1 << 20, 0) for one in pinned]
    whole = all(len(data) == one.bytes for data, one in zip(sizes, pinned))
    RESULT["rotation"] = [whole, len(pinned) == len(item["signature"]), all(one.is_same() for one in pinned)]
    pin.close(pinned)


def overwriting():
    case = Case("overwriting")
    case.copy("torch.pt", "checkpoints/a.pt")
    case.look(0)
    case.look(6)
    signature = case.item(6)["signature"]
    (one,) = pin.pin(case.project, signature, None)
    before = os.pread(one.fd, 1 << 20, 0)
    with open(case.path("checkpoints/a.pt"), "rb+") as file:
        file.write(b"PK other content")
    kept = os.pread(one.fd, 1 << 20, 0) == before
    noticed = not one.is_same()
    pin.close([one])
    try:
        pin.close(pin.pin(case.project, signature, None))
        changed = False
    except pin.Changed:
        changed = True
    RESULT["overwriting"] = [kept or noticed, changed]


def many():
    case = Case("many")
    os.makedirs(case.path("checkpoints/big"))
    for number in range(700):
        with open(case.path(f"checkpoints/big/{number}"), "w") as file:
            file.write(str(number))
    (unit,) = units.Search(case.project, None, None).units()
    pinned = pin.pin(case.project, units.signature(unit), None)
    right = all(os.pread(one.fd, 100, 0).decode() == os.path.basename(one.path) for one in pinned)
    RESULT["many"] = [len(pinned), right]
    pin.close(pinned)


def series():
    pairs = (("a/epoch=1-step=10.ckpt", "a/epoch=22-step=220.ckpt"), ("best.pt", "last.pt"), ("x-0.1.pt", "x-12.34.pt"))
    RESULT["series"] = [units.series(one) == units.series(other) for one, other in pairs]


for case in (times, open_files, names, unknown, places, done, rotation, overwriting, many, series):
    case()
print(json.dumps(RESULT))
