"""Refuses to start an instance that has just been stopped, as EC2 does while it stops: the emulator stops at once.

Meanwhile the local agent, which looks at the instances every second, ends what ran on it, and counts its boots.
"""

import time
from typing import Dict, List

from ec2_calls import Answer, Params, Refusal, replace, text
from ministack.services import ec2

# EC2 takes half a minute or more.
STOPPING_S = 5.0


def install() -> None:
    stopped: Dict[str, float] = {}
    stop_instances, start_instances = (ec2._ACTION_MAP[name] for name in ("StopInstances", "StartInstances"))

    def stop(p: Params) -> Answer:
        now = time.monotonic()
        stopped.update((one, now) for one in _instances(p))
        return stop_instances(p)

    def start(p: Params) -> Answer:
        now = time.monotonic()
        for one in _instances(p):
            if now - stopped.get(one, -STOPPING_S) < STOPPING_S:
                message = "The instance '%s' is not in a state from which it can be started." % one
                raise Refusal("IncorrectInstanceState", message)
        return start_instances(p)

    replace("StopInstances", stop)
    replace("StartInstances", start)


def _instances(p: Params) -> List[str]:
    return [text(p, name) for name in p if name.startswith("InstanceId.")]
