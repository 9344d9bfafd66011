"""Replaces calls of the emulator's EC2, in the form that its own handlers have."""

from typing import Any, Callable, Dict, Tuple
from xml.sax.saxutils import escape

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2

# Of the query protocol: each value is a list of one text.
Params = Dict[str, Any]
Answer = Tuple[int, Dict[str, str], bytes]
Handler = Callable[[Params], Answer]


class Refusal(Exception):
    """An error of EC2: its code and message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def replace(action: str, handler: Handler) -> None:
    def answer(p: Params) -> Answer:
        try:
            return handler(p)
        except Refusal as refusal:
            return ec2._error(refusal.code, escape(str(refusal)), refusal.status)

    ec2._ACTION_MAP[action] = answer


def text(p: Params, key: str) -> str:
    return str(ec2._p(p, key))


def missing(parameter: str) -> Refusal:
    return Refusal("MissingParameter", "The request must contain the parameter %s" % parameter)


def refuse_dry_run(p: Params) -> None:
    if text(p, "DryRun") == "true":
        raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def tags_of(p: Params, resource_type: str, prefix: str = "") -> Dict[str, str]:
    """The tags that a request gives to its resources of one type."""
    found: Dict[str, str] = {}
    spec = 1
    while text(p, "%sTagSpecification.%d.ResourceType" % (prefix, spec)):
        name = "%sTagSpecification.%d" % (prefix, spec)
        tag = 1
        while text(p, name + ".ResourceType") == resource_type and text(p, "%s.Tag.%d.Key" % (name, tag)):
            found[text(p, "%s.Tag.%d.Key" % (name, tag))] = text(p, "%s.Tag.%d.Value" % (name, tag))
            tag += 1
        spec += 1
    return found


def scope() -> Tuple[str, str]:
    return get_account_id(), get_region()
