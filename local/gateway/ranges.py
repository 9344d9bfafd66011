"""Answers a Range of an object's version as S3 does: the emulator answers with the whole object."""

import re
from typing import Awaitable, Callable, Dict

from guard import App, Message, Receive, Scope, Send

RANGE = re.compile(rb"^bytes=(\d+)-(\d+)$")


def with_ranges(app: App) -> App:
    async def with_range(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or b"versionId=" not in scope["query_string"]:
            await app(scope, receive, send)
            return
        match = RANGE.match(dict(scope["headers"]).get(b"range", b""))
        await app(scope, receive, _cut(send, int(match.group(1)), int(match.group(2))) if match else send)

    return with_range


def _cut(send: Send, first: int, last: int) -> Callable[[Message], Awaitable[None]]:
    """Replaces `send`: of a 200 with its length, passes the bytes from `first` to `last` on, as a 206."""
    at, until = 0, -1

    async def send_cut(message: Message) -> None:
        nonlocal at, until
        if message["type"] == "http.response.start":
            headers: Dict[bytes, bytes] = {name.lower(): value for name, value in message.get("headers", [])}
            size = int(headers.get(b"content-length", b"0"))
            if message["status"] == 200 and first < size:
                until = min(last + 1, size)
                headers[b"content-length"] = str(until - first).encode()
                headers[b"content-range"] = b"bytes %d-%d/%d" % (first, until - 1, size)
                message = dict(message, status=206, headers=list(headers.items()))
        elif message["type"] == "http.response.body" and until >= 0:
            body = message.get("body", b"")
            cut = body[max(0, first - at) : max(0, until - at)]
            at += len(body)
            message = dict(message, body=cut)
        await send(message)

    return send_cut
