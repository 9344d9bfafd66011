"""Reads all secrets of a run."""

from __future__ import annotations

import time
from typing import Mapping, NamedTuple

from common import metadata_service
from common.secrets import references, service
from common.secrets.instance_role import Metadata
from common.secrets.problem import Problem, Unreadable

#: For all secrets of a run together: a start answers within 15 s whether the job has begun.
_SECONDS = 12.0


class Result(NamedTuple):
    #: By the variable's name: what could be read.
    values: dict[str, str]
    #: By the variable's name: why the others could not.
    problems: dict[str, Problem]


class SecretUnavailable(Exception):
    """Secrets of a run could not be read. The text names each reference, why, and what to do."""


def read(secrets: Mapping[str, str], environment: Mapping[str, str], seconds: float = _SECONDS) -> Result:
    """secrets: reference by variable name. environment: the agent's, which may name other endpoints. Raises nothing."""
    values: dict[str, str] = {}
    problems: dict[str, Problem] = {}
    if not secrets:
        return Result(values, problems)
    deadline = time.monotonic() + seconds
    metadata = Metadata(metadata_service.endpoint(environment))
    try:
        role = metadata.role()
        region = environment.get("AWS_SSM_REGION_NAME") or metadata.region()
    except Unreadable as error:
        return Result({}, {name: error.problem for name in secrets})
    for name, text in secrets.items():
        reference = references.parse(text)
        if reference is None:
            problems[name] = Problem("Refused", "it is not a reference", "Write ssm:/name or secretsmanager:name#key.")
            continue
        try:
            values[name] = service.read(reference, role, reference.region or region, environment, deadline)
        except Unreadable as error:
            problems[name] = error.problem
    return Result(values, problems)


def read_or_raise(secrets: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """All values by variable name. Raises SecretUnavailable."""
    values, problems = read(secrets, environment)
    if problems:
        raise SecretUnavailable(describe(secrets, problems))
    return values


def describe(secrets: Mapping[str, str], problems: Mapping[str, Problem]) -> str:
    """A sentence for each problem and what to do; references that share one are named together."""
    named: dict[Problem, list[str]] = {}
    for name, problem in problems.items():
        named.setdefault(problem, []).append(f"{secrets[name]} (for {name})")
    return " ".join(
        f"The secret{'s' if len(names) > 1 else ''} {', '.join(names)} cannot be read: {problem}"
        for problem, names in named.items()
    )
