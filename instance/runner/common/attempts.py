"""The jobs that a run has started on this instance, in all its attempts."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from common import marker, paths, protocol

_NAME = re.compile(r"({})(?:-([1-9][0-9]*))?".format("|".join(protocol.JOBS)))


class JobFolder(NamedTuple):
    job: str
    #: From 1.
    attempt: int
    path: str

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def folders(run_folder: str) -> list[JobFolder]:
    """The folders of jobs: attempt by attempt, and in the order in which the jobs start."""
    try:
        names = os.listdir(run_folder)
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        path = os.path.join(run_folder, name)
        if match and match.group(2) != "1" and os.path.isdir(path):
            found.append(JobFolder(match.group(1), int(match.group(2) or 1), path))
    return sorted(found, key=lambda one: (one.attempt, protocol.JOBS.index(one.job)))


def begun(run_folder: str, job: str) -> list[JobFolder]:
    """The folders of one job, of the attempts in which it has begun; the first attempt first."""
    return [
        one for one in folders(run_folder) if one.job == job and marker.exists(os.path.join(one.path, paths.IDENTITY))
    ]


def is_superseded(folder: str) -> bool:
    """Whether an attempt after that of this job has begun."""
    found = folders(os.path.dirname(folder))
    mine = next((one.attempt for one in found if one.path == folder), None)
    return mine is None or found[-1].attempt > mine
