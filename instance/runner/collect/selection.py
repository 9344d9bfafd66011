"""Which logs of a run's attempts are sent to S3: an answer has no room for the names of all."""

from __future__ import annotations

from typing import NamedTuple

from common.attempts import JobFolder

LOG, TIMES = ".log.gz", ".times.gz"
#: Of an answer, for the logs. The rest is for outputs, lists, states and warnings.
_MAX_BYTES = 18_000
#: What an entry takes beside its name: `{"name":"","bytes":4294967296,"sha256":"<64>"},`.
_ENTRY_BYTES = 120


class Chosen(NamedTuple):
    logs: list[JobFolder]
    #: Trainings whose log is sent with its times.
    times: list[JobFolder]


def choose(folders: list[JobFolder], warnings: list[str]) -> Chosen:
    """folders: of all jobs, the first attempt first. Those of the latest attempts are chosen."""
    times = [one for one in folders if one.job == "train"]
    # What people need least is left out first, and of that the oldest.
    by_need = [
        *((one, LOG) for one in folders if one.job != "train"),
        *((one, TIMES) for one in times),
        *((one, LOG) for one in times),
    ]
    room = _MAX_BYTES
    kept = set()
    for one, kind in reversed(by_need):
        room -= _ENTRY_BYTES + len(one.name + kind)
        if room < 0:
            break
        kept.add((one, kind))
    left_out = [one.name + kind for one, kind in by_need if (one, kind) not in kept]
    if left_out:
        names = ", ".join(left_out[:2])
        warnings.append(
            f"{len(left_out)} logs and times of earlier attempts were not sent, because the run has too many attempts:"
            f" {names} and others. They are in the folder of the run on the instance"
        )
    return Chosen([one for one in folders if (one, LOG) in kept], [one for one in times if (one, TIMES) in kept])
