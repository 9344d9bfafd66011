"""Verification of AWS Signature Version 4, of headers and of presigned URLs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import datetime
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Dict, List, NamedTuple, Tuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
# The limits of S3: difference of the clocks of client and server, lifetime of a presigned URL.
CLOCK_SKEW = datetime.timedelta(minutes=15)
PRESIGNED_LIFE_MAX_S = 7 * 24 * 3600
UNRESERVED = "-_.~"

Headers = List[Tuple[bytes, bytes]]


class Refused(Exception):
    """A request is refused: an error code of AWS, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Request(NamedTuple):
    method: str
    # Path and query as they were received, percent-encoded.
    path: bytes
    query: bytes
    # Names in lower case.
    headers: Headers

    def header(self, name: str) -> str:
        """The one value of a header, or ''."""
        wanted = name.encode("latin-1")
        values = [value for key, value in self.headers if key == wanted]
        if len(values) > 1:
            raise Refused("InvalidRequest", "The header %s was sent %d times." % (name, len(values)))
        return values[0].decode("latin-1") if values else ""


class Signature(NamedTuple):
    key_id: str
    # Credential scope: date, region and service.
    date: str
    region: str
    service: str
    # Names in lower case, in the order in which they were signed.
    signed_headers: Tuple[str, ...]
    value: str
    # Time of the signature, YYYYMMDDTHHMMSSZ.
    time: str
    session_token: str
    presigned: bool
    # The value of x-amz-content-sha256: the body's SHA-256 or a word in its place; '' without it.
    payload: str

    @property
    def scope(self) -> str:
        return "%s/%s/%s/aws4_request" % (self.date, self.region, self.service)

    @property
    def is_s3(self) -> bool:
        return self.service.startswith("s3")


def parse_signature(request: Request, now: datetime.datetime) -> Signature:
    """Parses the signature of a request and checks everything that needs no secret."""
    authorization = request.header("authorization")
    query = parse_query(request.query)
    presigned = any(name.lower() == b"x-amz-signature" for name, _ in query)
    if authorization and presigned:
        raise Refused("InvalidArgument", "The request has two signatures, one in its headers and one in its URL.")
    if authorization:
        signature = _from_header(request, authorization)
    elif presigned:
        signature = _from_query(request, query)
    else:
        raise Refused("AccessDenied", "The request is not signed.")
    _check_time(signature, query, now)
    _check_signed_headers(signature, request)
    return signature


def verify(signature: Signature, request: Request, secret: str, payload: str) -> None:
    """Compares the signature with the expected one. `payload` is its last line, usually a hash."""
    canonical = "\n".join(
        [
            request.method,
            _canonical_path(request.path, signature.is_s3),
            _canonical_query(request.query),
            "".join("%s:%s\n" % (name, _canonical_value(request, name)) for name in signature.signed_headers),
            ";".join(signature.signed_headers),
            payload,
        ]
    )
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    expected = sign(secret, signature, "\n".join([ALGORITHM, signature.time, signature.scope, digest]))
    check_equal(expected, signature.value)


def sign(secret: str, signature: Signature, text: str) -> str:
    key = signing_key(secret, signature.date, signature.region, signature.service)
    return hmac.new(key, text.encode("latin-1"), hashlib.sha256).hexdigest()


@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode("latin-1"), hashlib.sha256).digest()
    return key


def check_equal(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape")):
        raise Refused("SignatureDoesNotMatch", "The signature of the request is wrong.")


def parse_scope(credential: str) -> Tuple[str, str, str, str]:
    """Key id, date, region and service of a credential."""
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        raise Refused("AuthorizationHeaderMalformed", "The credential %r is malformed." % credential)
    return parts[0], parts[1], parts[2], parts[3]


def parse_query(query: bytes) -> List[Tuple[bytes, bytes]]:
    """Names and values, decoded as in the emulator: `+` is a space."""
    pairs = (part.replace(b"+", b" ").partition(b"=") for part in query.split(b"&") if part)
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]


def _from_header(request: Request, authorization: str) -> Signature:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise Refused("AccessDenied", "The request is not signed with %s." % ALGORITHM)
    fields: Dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        fields[name] = value
    key_id, date, region, service = parse_scope(fields.get("Credential", ""))
    return Signature(
        key_id,
        date,
        region,
        service,
        tuple(fields.get("SignedHeaders", "").split(";")),
        fields.get("Signature", ""),
        request.header("x-amz-date"),
        request.header("x-amz-security-token"),
        False,
        request.header("x-amz-content-sha256"),
    )


def _from_query(request: Request, query: List[Tuple[bytes, bytes]]) -> Signature:
    def value(name: str) -> str:
        return _query_value(query, name)

    if value("X-Amz-Algorithm") != ALGORITHM:
        raise Refused("AccessDenied", "The URL is not signed with %s." % ALGORITHM)
    key_id, date, region, service = parse_scope(value("X-Amz-Credential"))
    payload = value("X-Amz-Content-Sha256") or request.header("x-amz-content-sha256")
    return Signature(
        key_id,
        date,
        region,
        service,
        tuple(value("X-Amz-SignedHeaders").split(";")),
        value("X-Amz-Signature"),
        value("X-Amz-Date"),
        value("X-Amz-Security-Token"),
        True,
        payload or (UNSIGNED_PAYLOAD if service.startswith("s3") else ""),
    )


def _query_value(query: List[Tuple[bytes, bytes]], name: str) -> str:
    wanted = name.lower().encode("latin-1")
    values = [value for key, value in query if key.lower() == wanted]
    if len(values) > 1:
        raise Refused("InvalidRequest", "The URL has the parameter %s %d times." % (name, len(values)))
    return values[0].decode("latin-1") if values else ""


def parse_time(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(text, "%Y%m%dT%H%M%SZ")
    except ValueError:
        raise Refused("AccessDenied", "The time of the signature, %r, is malformed." % text) from None


def _check_time(signature: Signature, query: List[Tuple[bytes, bytes]], now: datetime.datetime) -> None:
    at = parse_time(signature.time)
    if signature.time[:8] != signature.date:
        raise Refused("SignatureDoesNotMatch", "The dates of the signature and its credential differ.")
    if at > now + CLOCK_SKEW:
        raise Refused("RequestTimeTooSkewed", "The request was signed at %s, which is in the future." % signature.time)
    if not signature.presigned:
        if at < now - CLOCK_SKEW:
            raise Refused("RequestTimeTooSkewed", "The request was signed at %s, too long ago." % signature.time)
        return
    expires = _query_value(query, "X-Amz-Expires")
    if not re.match(r"^\d{1,6}$", expires) or not 0 < int(expires) <= PRESIGNED_LIFE_MAX_S:
        raise Refused("AuthorizationQueryParametersError", "X-Amz-Expires must be 1 to %d." % PRESIGNED_LIFE_MAX_S)
    if now > at + datetime.timedelta(seconds=int(expires)):
        raise Refused("AccessDenied", "Request has expired: the URL was valid for %s s." % expires)


def _check_signed_headers(signature: Signature, request: Request) -> None:
    """Requires that Host and all x-amz- headers are signed: others could change the operation."""
    signed = set(signature.signed_headers)
    present = {name.decode("latin-1") for name, _ in request.headers}
    if "host" not in signed:
        raise Refused("AccessDenied", "The header host is not signed.")
    unsigned = sorted(name for name in present if name.startswith("x-amz-") and name not in signed)
    # S3 allows this one beside a presigned URL; it is compared with the body.
    if signature.presigned and "x-amz-content-sha256" in unsigned:
        unsigned.remove("x-amz-content-sha256")
    if unsigned:
        raise Refused("AccessDenied", "These headers must be signed: %s." % ", ".join(unsigned))


def _canonical_path(path: bytes, is_s3: bool) -> str:
    if is_s3:
        return path.decode("latin-1") or "/"
    segments: List[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            segments = segments[:-1]
        elif segment not in (b"", b"."):
            segments.append(segment)
    trailing = b"/" if segments and path.endswith(b"/") else b""
    return quote_from_bytes(b"/" + b"/".join(segments) + trailing, safe="/" + UNRESERVED)


def _canonical_query(query: bytes) -> str:
    pairs = [
        (quote_from_bytes(name, safe=UNRESERVED), quote_from_bytes(value, safe=UNRESERVED))
        for name, value in parse_query(query)
        if name.lower() != b"x-amz-signature"
    ]
    return "&".join("%s=%s" % pair for pair in sorted(pairs))


def _canonical_value(request: Request, name: str) -> str:
    wanted = name.encode("latin-1")
    values = [b" ".join(value.split()) for key, value in request.headers if key == wanted]
    return b",".join(values).decode("latin-1")
