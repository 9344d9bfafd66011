"""Passes signed requests to an ASGI application, and no others.

A request is answered with 403 unless its Host is that of the local cloud, it has no Origin (a web
page sent it), and it is signed with a key of this cloud. Responses carry no CORS headers.
"""

import datetime
import hashlib
import json
import re
from collections import deque
from typing import Any, Awaitable, Callable, Deque, Dict, List, Optional, Tuple
from xml.sax.saxutils import escape

import sigv2
from payload import SIGNED_CHUNKS, UNSIGNED, check_chunks, is_known
from post_form import check_post_form, is_post_form
from sigv4 import Refused, Request, parse_signature, verify

Message = Dict[str, Any]
Scope = Dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
# Finds the secret of a key id and its session token; None if this cloud has no such key.
FindSecret = Callable[[str, str], Optional[str]]
# Parses a multipart form (content type, body) into names and values.
ParseForm = Callable[[str, bytes], List[Tuple[str, bytes]]]

# The SSM agent sends it to have a request checked: it is answered with 204, not passed on.
VERIFY_ONLY = "x-runctl-verify-only"
HINT = 'Requests to the local cloud are signed with its own key: eval "$(runctl local env)"'
# Any port: a tunnel to the cloud may have another one.
HOST = re.compile(r"^(?:127\.0\.0\.1|\[::1\]|(?:[a-z0-9][a-z0-9.-]*\.)?localhost)(?::\d+)?$")
# The only headers passed to IMDS. Others, such as X-Amz-Target, select another service.
IMDS_HEADERS = frozenset([b"host", b"x-aws-ec2-metadata-token", b"x-aws-ec2-metadata-token-ttl-seconds"])
# A command reaches it by the address of its instance, which has notices of its own.
IMDS_PATH = re.compile(rb"(?:/instances/(i-[0-9a-f]{8,17}))?(/latest/.*)")
# Added for it: the instance of the address.
INSTANCE = b"x-runctl-instance"


class Body:
    """The body of a request, as a sequence of ASGI messages."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: Deque[Message] = deque()
        self._ended = False
        self._sha256 = hashlib.sha256()

    async def read(self) -> str:
        """Reads all of it into memory and returns its SHA-256."""
        while not self._ended:
            self._messages.append(await self._next())
        return self._sha256.hexdigest()

    async def discard(self) -> None:
        """Reads the rest and drops it: a client that is still sending would not see the response."""
        while not self._ended:
            await self._next()

    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self._messages)

    async def replay(self) -> Message:
        """Replaces `receive`: returns what was read, then what follows."""
        return self._messages.popleft() if self._messages else await self._receive()

    async def _next(self) -> Message:
        message = await self._receive()
        self._sha256.update(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


class Guard:
    def __init__(
        self,
        app: App,
        find_secret: FindSecret,
        parse_form: ParseForm,
        is_own_process: Callable[[Scope], bool],
        now: Callable[[], datetime.datetime] = _now,
    ) -> None:
        self._app = app
        self._find_secret = find_secret
        self._parse_form = parse_form
        self._is_own_process = is_own_process
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            [(name.lower(), value) for name, value in scope["headers"]],
        )
        body = Body(receive)
        try:
            self._check_sender(request)
            if _is_imds(request, scope):
                scope = self._imds_scope(request, scope)
            elif is_post_form(request):
                await body.read()
                check_post_form(self._parse_form(request.header("content-type"), body.content()), self._secret_of)
            elif sigv2.is_signed(request):
                old = sigv2.parse(request, self._now())
                sigv2.verify(old, self._secret_of(old.key_id, old.session_token))
            else:
                await self._check_signature(request, body)
        except Refused as refused:
            await body.discard()
            await _send_error(send, request, refused)
            return
        if any(name == VERIFY_ONLY.encode() for name, _ in request.headers):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, body.replay, _without_cors(send))

    def _check_sender(self, request: Request) -> None:
        """Refuses web pages (Origin) and names that were rebound to loopback (Host)."""
        host = request.header("host").lower()
        if not HOST.match(host):
            raise Refused("AccessDenied", "The Host %r is not a name of this machine's loopback." % host)
        if any(name == b"origin" for name, _ in request.headers):
            raise Refused("AccessDenied", "Web pages have no access to the local cloud.")

    def _imds_scope(self, request: Request, scope: Scope) -> Scope:
        if not self._is_own_process(scope):
            raise Refused("AccessDenied", "Only processes of the local cloud's own user reach its metadata service.")
        headers = [(name, value) for name, value in request.headers if name in IMDS_HEADERS]
        found = IMDS_PATH.fullmatch(request.path)
        instance, path = found.groups() if found else (None, request.path)
        if instance is not None:
            headers.append((INSTANCE, instance))
        return dict(scope, headers=headers, query_string=b"", path=path.decode(), raw_path=path)

    async def _check_signature(self, request: Request, body: Body) -> None:
        signature = parse_signature(request, self._now())
        secret = self._secret_of(signature.key_id, signature.session_token)
        if not is_known(signature.payload):
            raise Refused("AccessDenied", "The value of x-amz-content-sha256 is %r." % signature.payload)
        if signature.payload:
            # Before the body is read into memory.
            verify(signature, request, secret, signature.payload)
        digest = await body.read()
        if not signature.payload:
            verify(signature, request, secret, digest)
        elif signature.payload in SIGNED_CHUNKS:
            check_chunks(signature, body.content(), secret)
        elif signature.payload not in UNSIGNED and digest != signature.payload:
            raise Refused("XAmzContentSHA256Mismatch", "The body is not the one that was signed.")

    def _secret_of(self, key_id: str, session_token: str) -> str:
        secret = self._find_secret(key_id, session_token)
        if secret is None:
            raise Refused("InvalidAccessKeyId", "The access key %s is not one of this cloud." % key_id)
        return secret


def _is_imds(request: Request, scope: Scope) -> bool:
    unsigned = not any(name == b"authorization" for name, _ in request.headers) and not request.query
    is_imds = IMDS_PATH.fullmatch(request.path) is not None and scope["path"].encode() == request.path
    return unsigned and is_imds and request.method in ("GET", "PUT")


def _without_cors(send: Send) -> Send:
    async def send_without(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(b"access-control-")
            ]
            message = dict(message, headers=headers)
        await send(message)

    return send_without


async def _send_error(send: Send, request: Request, refused: Refused) -> None:
    """Sends 403 in the protocol of the service, as far as the request shows which it is."""
    message = "%s %s" % (refused.message, HINT)
    kind, body = _error_body(request, refused.code, message)
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", refused.code.encode()),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})


def _error_body(request: Request, code: str, message: str) -> Tuple[str, bytes]:
    headers = dict(request.headers)
    scope = re.search(rb"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/", headers.get(b"authorization", b""))
    service = scope.group(1) if scope else b"s3"
    error = "<Code>%s</Code><Message>%s</Message>" % (escape(code), escape(message))
    if b"x-amz-target" in headers or b"json" in headers.get(b"content-type", b""):
        return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()
    if service == b"ec2":
        error = "<Response><Errors><Error>%s</Error></Errors></Response>" % error
    elif b"x-www-form-urlencoded" in headers.get(b"content-type", b""):
        error = "<ErrorResponse><Error><Type>Sender</Type>%s</Error></ErrorResponse>" % error
    elif service.startswith(b"s3"):
        error = "<Error>%s</Error>" % error
    else:
        return "application/json", json.dumps({"__type": code, "message": message}).encode()
    return "application/xml", ('<?xml version="1.0" encoding="UTF-8"?>\n' + error).encode()
