"""Starting and stopping instances as EC2 does it: states in between, reasons, launch times, and missing capacity.

The emulator starts and stops at once. While an instance is stopping, the local agent, which looks at the instances
every second, ends what ran on it, and counts its boots.
"""

import datetime
import threading
import time
from typing import Any, Callable, Dict, List, Tuple
from xml.sax.saxutils import escape

from ec2_calls import Answer, Params, Refusal, replace
from ministack.services import ec2
from notices import Notices

# EC2 takes half a minute or more for a stop, and some seconds for a start.
_STOPPING_S = 5.0
_PENDING_S = 2.0
_PENDING = (0, "pending")
_RUNNING = (16, "running")
_STOPPING = (64, "stopping")
_STOPPED = (80, "stopped")
TERMINATED = (48, "terminated")
_REASON = "Reason"
_SHORTAGE = "Server.InsufficientInstanceCapacity"
_SHORTAGE_TEXT = "Insufficient capacity to satisfy instance request"
#: Values of the key `capacity` of a notice.
_REFUSED, WITHDRAWN = "refused", "withdrawn"

Instance = Dict[str, Any]


def install(notices: Notices) -> None:
    instance_xml = ec2._instance_xml

    def may_stop(instance: Instance) -> None:
        if instance["State"]["Name"] in ("terminated", "shutting-down"):
            raise _wrong_state(instance, "stopped")

    def stop(instance: Instance) -> None:
        if instance["State"]["Name"] in ("pending", "running"):
            at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S GMT")
            instance[_REASON] = ("User initiated (%s)" % at, "Client.UserInitiatedShutdown", "User initiated shutdown")
            _move(instance, _STOPPING, _STOPPED, _STOPPING_S)

    def may_start(instance: Instance) -> None:
        if instance["State"]["Name"] not in ("pending", "running", "stopped"):
            raise _wrong_state(instance, "started")
        if instance["State"]["Name"] == "stopped":
            check_capacity(notices.of(instance["InstanceId"]))

    def start(instance: Instance) -> None:
        if instance["State"]["Name"] != "stopped":
            return
        instance["LaunchTime"] = ec2._now_ts()
        instance.pop(_REASON, None)
        if notices.of(instance["InstanceId"]).get("capacity") == WITHDRAWN:
            withdraw(instance, _STOPPED)
        else:
            _move(instance, _PENDING, _RUNNING, _PENDING_S)

    _replace("StopInstances", may_stop, stop)
    _replace("StartInstances", may_start, start)
    ec2._instance_xml = lambda instance: _with_reason(instance, instance_xml(instance))


def _replace(action: str, check: Callable[[Instance], None], change: Callable[[Instance], None]) -> None:
    """Has a call change instances by `change`, once all pass `check` and what the emulator itself refuses."""
    emulated = ec2._ACTION_MAP[action]

    def handle(p: Params) -> Answer:
        before = [(one, one["State"]) for one in _instances(p)]
        for one, _ in before:
            check(one)
        answer = emulated(p)
        if answer[0] != 200:
            return answer
        for one, state in before:
            one["State"] = state
            change(one)
        return _changes(action, before)

    replace(action, handle)


def check_capacity(notice: Dict[str, Any]) -> None:
    """Raises Refusal, as EC2 does when it finds out before it answers."""
    if notice.get("capacity") == _REFUSED:
        raise Refusal("InsufficientInstanceCapacity", _SHORTAGE_TEXT + ".", 500)


def withdraw(instance: Instance, then: Tuple[int, str]) -> None:
    """It does not boot: EC2 finds only after its answer that it has no room."""

    def give_up() -> None:
        instance[_REASON] = (_SHORTAGE, _SHORTAGE, "%s: %s" % (_SHORTAGE, _SHORTAGE_TEXT))
        if then == TERMINATED:
            instance["_terminated_at"] = time.time()

    _move(instance, _PENDING, then, _PENDING_S, give_up)


def _move(
    instance: Instance,
    now: Tuple[int, str],
    then: Tuple[int, str],
    seconds: float,
    do: Callable[[], None] = lambda: None,
) -> None:
    """Sets a state, and another one after some seconds if nothing has changed it meanwhile."""
    state = instance["State"] = {"Code": now[0], "Name": now[1]}

    def end() -> None:
        if instance["State"] is state:
            do()
            instance["State"] = {"Code": then[0], "Name": then[1]}

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _instances(p: Params) -> List[Instance]:
    """Those that exist: the emulator refuses the others."""
    named = [ec2._instances.get(one) for one in ec2._parse_member_list(p, "InstanceId")]
    return [one for one in named if one is not None]


def _wrong_state(instance: Instance, what: str) -> Refusal:
    message = "The instance '%s' is not in a state from which it can be %s." % (instance["InstanceId"], what)
    return Refusal("IncorrectInstanceState", message)


def _changes(action: str, before: List[Tuple[Instance, Dict[str, Any]]]) -> Answer:
    items = ""
    for instance, state in before:
        items += "<item><instanceId>%s</instanceId>" % instance["InstanceId"]
        for name, one in (("currentState", instance["State"]), ("previousState", state)):
            items += "<%s><code>%d</code><name>%s</name></%s>" % (name, one["Code"], one["Name"], name)
        items += "</item>"
    return ec2._xml(200, action + "Response", "<instancesSet>%s</instancesSet>" % items)


def _with_reason(instance: Instance, xml: str) -> str:
    """Why it is in its state, as DescribeInstances has it."""
    if _REASON not in instance:
        return xml
    transition, code, message = (escape(one) for one in instance[_REASON])
    reason = "<reason>%s</reason><stateReason><code>%s</code><message>%s</message></stateReason>"
    return xml.replace("<instanceType>", reason % (transition, code, message) + "<instanceType>", 1)
