"""Signs requests to AWS with Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    access_key: str
    secret_key: str
    #: Of temporary credentials, as a role's always are.
    session_token: str | None = None


class Request(NamedTuple):
    """What is signed. headers: at least `host`; all of them are signed. path: as on the wire, without a query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def sign(request: Request, region: str, service: str, credentials: Credentials, now: datetime) -> dict[str, str]:
    """The request's headers, with those that authenticate it. now: UTC."""
    time = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers["x-amz-date"] = time
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token
    names = sorted(headers)
    signed = ";".join(names)
    canonical = "\n".join(
        [
            request.method,
            # Every service but S3 has the path encoded once more than it is on the wire.
            quote(request.path, safe="/-_.~"),
            "",
            *(f"{name}:{_canonical_value(headers[name])}" for name in names),
            "",
            signed,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, "\n".join([_ALGORITHM, time, scope, digest])).hex()
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
    return headers


def _canonical_value(value: str) -> str:
    return re.sub(r"\s+", " ", value.strip())


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()
