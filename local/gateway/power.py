"""Refuses to start an instance that has just been stopped, as EC2 does while it stops: the emulator stops at once.

Meanwhile the local agent, which looks at the instances every second, ends what ran on it, and counts its boots.
"""

import time
from typing import Awaitable, Callable, Dict, List, Tuple
from urllib.parse import parse_qsl

from guard import App, Message, Receive, Scope, Send

# EC2 takes half a minute or more.
STOPPING_S = 5.0
_ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>IncorrectInstanceState</Code><Message>The instance '%s' is not in a state from which it \
can be started.</Message></Error></Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"""


def with_stopping(app: App) -> App:
    stopped: Dict[str, float] = {}

    async def with_states(scope: Scope, receive: Receive, send: Send) -> None:
        authorization = dict(scope["headers"]).get(b"authorization", b"") if scope["type"] == "http" else b""
        if b"/ec2/aws4_request" not in authorization:
            await app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1]["type"] == "http.request" and messages[-1].get("more_body", False):
            messages.append(await receive())
        action, ids = _read(b"".join(message.get("body", b"") for message in messages))
        now = time.monotonic()
        if action == "StopInstances":
            stopped.update((one, now) for one in ids)
        stopping = [one for one in ids if now - stopped.get(one, -STOPPING_S) < STOPPING_S]
        if action == "StartInstances" and stopping:
            await _refuse(send, stopping[0])
            return
        await app(scope, _replay(messages, receive), send)

    return with_states


def _read(body: bytes) -> Tuple[str, List[str]]:
    """The action of an EC2 request, and the instances that it names."""
    fields = parse_qsl(body.decode("utf-8", "replace"))
    ids = [value for name, value in fields if name.startswith("InstanceId.")]
    return dict(fields).get("Action", ""), ids


def _replay(messages: List[Message], receive: Receive) -> Callable[[], Awaitable[Message]]:
    left = iter(messages)

    async def replayed() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return replayed


async def _refuse(send: Send, instance: str) -> None:
    body = (_ERROR % instance).encode()
    headers = [(b"content-type", b"text/xml;charset=UTF-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
