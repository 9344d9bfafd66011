"""Runs the guard of the local cloud without a network: a request per line in, a response per line out.

Behind the guard is an application that answers 200 with what it received.
"""

import asyncio
import base64
import datetime
import email.parser
import json
import os
import sys
from typing import Any, Dict, List, Tuple
from urllib.parse import unquote

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../local/gateway"))

from guard import Guard, Receive, Scope, Send  # noqa: E402
from payload import check_chunks  # noqa: E402
from sigv4 import Refused, Signature  # noqa: E402

SECRETS = json.loads(os.environ["SECRETS"])
CHUNK = 10_000


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    seen = {"path": scope["path"], "body": base64.b64encode(body).decode(), "headers": headers_of(scope)}
    headers = [(b"access-control-allow-origin", b"*"), (b"Access-Control-Max-Age", b"1"), (b"x-kept", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def headers_of(scope: Scope) -> List[str]:
    return sorted(name.decode("latin-1") for name, _ in scope["headers"])


def parse_form(content_type: str, body: bytes) -> List[Tuple[str, bytes]]:
    text = b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    form = email.parser.BytesParser().parsebytes(text)
    parts: Any = form.get_payload()
    return [(str(part.get_param("name", header="content-disposition")), part.get_payload(decode=True)) for part in parts]


def check_example(asked: Dict[str, Any]) -> Dict[str, Any]:
    """The example of AWS's documentation. Its Host is not local, so only the body is checked."""
    date = asked["now"][:8]
    signed = Signature("", date, "us-east-1", "s3", (), asked["seed"], asked["now"], "", False, asked["payload"])
    try:
        check_chunks(signed, base64.b64decode(asked["body"]), asked["secret"])
        return {"status": 200}
    except Refused as refused:
        return {"status": 403, "body": refused.message}


async def answer(asked: Dict[str, Any]) -> Dict[str, Any]:
    path, _, query = asked["path"].partition("?")
    body = base64.b64decode(asked["body"])
    chunks = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)] or [b""]
    started: Dict[str, Any] = {}
    content: List[bytes] = []

    async def receive() -> Dict[str, Any]:
        if not chunks:
            raise AssertionError("the body was read past its end")
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            content.append(message.get("body", b""))

    scope = {
        "type": asked.get("type", "http"),
        "method": asked["method"],
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in asked["headers"]],
        "client": ("127.0.0.1", asked.get("peer", 1)),
    }
    now = datetime.datetime.strptime(asked["now"], "%Y%m%dT%H%M%SZ") if asked.get("now") else None
    clock = {"now": lambda: now} if now else {}
    guard = Guard(
        application,
        lambda key_id, token: SECRETS.get(key_id + token),
        parse_form,
        lambda scope: scope["client"][1] == 1,
        **clock,
    )
    await guard(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in started.get("headers", [])}
    return {"status": started.get("status"), "headers": headers, "body": b"".join(content).decode(), "left": len(chunks)}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(check_example(asked) if "seed" in asked else asyncio.run(answer(asked))), flush=True)
