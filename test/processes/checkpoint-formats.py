"""Judges every checkpoint of the fixtures, whole and cut off at many places, and prints what came out as JSON.

Arguments: the folder of the runner's modules, the folder of the fixtures, a folder to work in.
"""

import json
import os
import shutil
import sys

sys.path.insert(0, sys.argv[1])

from checkpoints import judge, units

FIXTURES, WORK = sys.argv[2:]
#: Of a file: each of the first and last, and so many others.
ENDS, OTHERS = 120, 60
#: Their index names every file: none may be missing.
ALL_NAMED = ("shards", "tensor-bundle", "dcp")
MARKERS = ("latest", "latest_checkpointed_iteration.txt")
#: Not a part of what is loaded.
FREE = ("README.md", "training_args.bin", "vocab.txt")


def verdict_of(project):
    """The verdicts of the units in project/checkpoints, by name."""
    found = units.Search(project, None, None).units()
    return {
        unit.name.split("/", 1)[1]: list(judge.check_unit(project, unit)) if unit.why is None else ["", unit.why]
        for unit in found
    }


def cuts(size):
    step = max(1, size // OTHERS)
    return sorted({*range(min(ENDS, size)), *range(max(0, size - ENDS), size), *range(0, size, step)})


def complete(verdicts):
    return [name for name, (form, why) in verdicts.items() if form is not None and why is None]


def main():
    result = {}
    for name in sorted(os.listdir(FIXTURES)):
        source = os.path.join(FIXTURES, name)
        if name.startswith(".") or name.endswith((".py", ".md")) or name == "__pycache__":
            continue
        project = os.path.join(WORK, name)
        checkpoints = os.path.join(project, "checkpoints")
        is_flat = name in ("tensor-bundle", "shards", "deepspeed", "megatron")
        if os.path.isdir(source):
            shutil.copytree(source, checkpoints if is_flat else os.path.join(checkpoints, name))
        else:
            os.makedirs(checkpoints)
            shutil.copy(source, checkpoints)
        whole = verdict_of(project)
        wrong, tried = [], 0
        for folder, _, files in os.walk(checkpoints):
            for file in files:
                path = os.path.join(folder, file)
                with open(path, "rb") as opened:
                    data = opened.read()
                if file in FREE or (is_flat and file in ("checkpoint", "config.json")):
                    continue
                for at in cuts(len(data)):
                    with open(path, "wb") as opened:
                        opened.write(data[:at])
                    if not data[at:].strip():
                        continue  # a JSON without its last line end is whole
                    tried += 1
                    if complete(verdict_of(project)):
                        wrong.append([os.path.relpath(path, checkpoints), at, len(data)])
                os.unlink(path)
                if (name in ALL_NAMED or file in MARKERS) and complete(verdict_of(project)):
                    wrong.append([os.path.relpath(path, checkpoints), -1, len(data)])
                with open(path, "wb") as opened:
                    opened.write(data)
        result[name] = {"whole": whole, "tried": tried, "wrong": wrong[:20], "wrongs": len(wrong)}
        shutil.rmtree(project)
    print(json.dumps(result))


main()
