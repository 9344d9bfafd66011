"""Whether a checkpoint of several files is complete: all that its index or marker names is there, each file whole."""

from __future__ import annotations

import os
import re
from typing import Any, Iterable

from checkpoints.formats import pickle_file, single_file, tensorflow, text_files
from checkpoints.formats.verdict import UNKNOWN, Broken, Verdict

#: Written by DeepSpeed and Megatron behind all others, beside the folders: the name, or number, of the newest one.
TAGS = ("latest", "latest_checkpointed_iteration.txt")
#: A part of a model, of which an index names all.
SHARD = re.compile(r"^(.+)-\d{5}-of-\d{5}(\.[a-z]+)$")
_TF_DATA = re.compile(r"^(.+)\.data-(\d{5})-of-(\d{5})$")
_TRAINER = "trainer_state.json"
_DCP = ".metadata"
_LARGE_TEXT = 1 << 20


def check(folder: str, names: Iterable[str], tag: str | None = None) -> Verdict:
    """The verdict of a checkpoint of the files `names` in `folder`. Raises OSError.

    tag: the name of the folder of a checkpoint that DeepSpeed or Megatron has marked; None: no such marker.
    """
    names = sorted(names)
    try:
        return _check(folder, names, tag)
    except Broken as error:
        return Verdict("damaged", str(error))


def _check(folder: str, names: list[str], tag: str | None) -> Verdict:
    if not names:
        raise Broken("it has no files")
    present = set(names)
    format_name = tag
    checked: set[str] = set()
    indexed: set[str] = set()
    for name in names:
        base = os.path.basename(name)
        if base.endswith(".index.json"):
            done, shards = _check_shards(folder, name, present)
            checked.update(done)
            indexed.update(shards)
            format_name = format_name or "shards"
        elif base == _DCP:
            checked.update(_check_dcp(folder, name, present))
            format_name = format_name or "dcp"
        elif base.endswith(".index") and any(other.startswith(name[:-5] + "data-") for other in names):
            checked.update(_check_tensorflow(folder, name, present))
            format_name = format_name or "tensorflow"
    if any(os.path.basename(name) == _TRAINER for name in names):
        format_name = "trainer"
    for name in names:
        if name in checked:
            continue
        if SHARD.match(os.path.basename(name)) and name not in indexed:
            raise Broken(f"no index names {name}")
        verdict = single_file.check(os.path.join(folder, name))
        if verdict.why is not None and not _is_small_text(folder, name):
            raise Broken(f"{name}: {verdict.why}")
    # Without a marker that comes last, more files may follow.
    return UNKNOWN if format_name is None else Verdict(format_name, None)


def _is_small_text(folder: str, name: str) -> bool:
    """An empty marker, or a text that looks like another format: not what holds a model."""
    return os.path.getsize(os.path.join(folder, name)) < _LARGE_TEXT and not name.endswith(
        (".json", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".keras", ".pkl", ".joblib", ".distcp", ".ubj")
    )


def _check_shards(folder: str, name: str, present: set[str]) -> tuple[set[str], set[str]]:
    """`*.index.json` of Hugging Face: its map names every shard. Returns (what was checked, the shards)."""
    content = _json(folder, name)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict):
        return set(), set()
    above = os.path.dirname(name)
    for shard in sorted({str(value) for value in shards.values()}):
        if os.path.join(above, shard) not in present:
            raise Broken(f"{shard} is missing, which {os.path.basename(name)} names")
    return {name}, {os.path.join(above, str(value)) for value in shards.values()}


def _check_dcp(folder: str, name: str, present: set[str]) -> set[str]:
    """torch.distributed.checkpoint writes .metadata last: it names the files, and how many bytes each has at least."""
    above = os.path.dirname(name)
    if os.path.join(above, ".metadata.tmp") in present:
        raise Broken("its .metadata is being written")
    ends: dict[str, int] = {}
    path = os.path.join(folder, name)
    try:
        with open(path, "rb") as file:
            things = pickle_file.check(file, os.path.getsize(path))
    except pickle_file.TooLong:
        things = []
    for thing in things:
        state: dict[Any, Any] = thing.state
        if {"relative_path", "offset", "length"} <= set(state):
            part = os.path.join(above, str(state["relative_path"]))
            ends[part] = max(ends.get(part, 0), int(state["offset"]) + int(state["length"]))
    for part, end in sorted(ends.items()):
        if part not in present:
            raise Broken(f"{part} is missing, which .metadata names")
        if os.path.getsize(os.path.join(folder, part)) < end:
            raise Broken(f"{part} is shorter than .metadata says")
    return {name, *ends, *(part for part in present if part.endswith(".distcp"))}


def _check_tensorflow(folder: str, name: str, present: set[str]) -> set[str]:
    path = os.path.join(folder, name)
    with open(path, "rb") as file:
        ends = tensorflow.data_bytes(file, os.path.getsize(path))
    prefix = name[: -len(".index")]
    shards: dict[int, str] = {}
    total = 0
    for other in present:
        found = _TF_DATA.match(other)
        if found and found.group(1) == prefix:
            shards[int(found.group(2))] = other
            total = max(total, int(found.group(3)))
    for number in range(total):
        if number not in shards:
            raise Broken(f"{prefix}.data-{number:05d}-of-{total:05d} is missing")
        if os.path.getsize(os.path.join(folder, shards[number])) < ends.get(number, 0):
            raise Broken(f"{shards[number]} is shorter than its index says")
    return {name, *shards.values()}


def _json(folder: str, name: str) -> object:
    path = os.path.join(folder, name)
    with open(path, "rb") as file:
        return text_files.check_json(file, os.path.getsize(path))
