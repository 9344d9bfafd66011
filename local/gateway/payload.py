"""Checks a request's body against what its signature says about it.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

import hashlib
import re
from typing import List, Tuple

from sigv4 import ALGORITHM, UNSIGNED_PAYLOAD, Refused, Signature, check_equal, sign

# Instead of the body's hash: the signature does not cover the body.
UNSIGNED = frozenset([UNSIGNED_PAYLOAD, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
# Each chunk of the body carries a signature of its own.
SIGNED_CHUNKS = frozenset(["STREAMING-" + ALGORITHM + "-PAYLOAD", "STREAMING-" + ALGORITHM + "-PAYLOAD-TRAILER"])
SHA256 = re.compile(r"^[0-9a-f]{64}$")
EMPTY = hashlib.sha256(b"").hexdigest()


def is_known(payload: str) -> bool:
    """Whether `payload` can be checked. It is '' without the header: then the body itself is signed."""
    return payload == "" or payload in UNSIGNED or payload in SIGNED_CHUNKS or bool(SHA256.match(payload))


def check_chunks(signature: Signature, body: bytes, secret: str) -> None:
    """Checks the chain of signatures in an aws-chunked body, from the request's own one."""
    previous = signature.value
    position = 0
    while True:
        head, data, position = _next_chunk(body, position)
        text = "\n".join(
            [ALGORITHM + "-PAYLOAD", signature.time, signature.scope, previous, EMPTY, hashlib.sha256(data).hexdigest()]
        )
        previous = sign(secret, signature, text)
        check_equal(previous, head)
        if not data:
            break
    if signature.payload.endswith("-TRAILER"):
        _check_trailer(signature, body[position:], previous, secret)


def _next_chunk(body: bytes, position: int) -> Tuple[str, bytes, int]:
    end = body.find(b"\r\n", position)
    match = re.match(rb"^([0-9a-f]{1,8});chunk-signature=([0-9a-f]{64})$", body[position:end]) if end >= 0 else None
    if not match:
        raise Refused("SignatureDoesNotMatch", "The body is not made of signed chunks.")
    size = int(match.group(1), 16)
    start = end + 2
    data = body[start : start + size]
    if len(data) != size:
        raise Refused("SignatureDoesNotMatch", "The body ends within a chunk.")
    # After the empty chunk comes the trailer, or the last line's end.
    return match.group(2).decode(), data, start + size + 2 if size else start


def _check_trailer(signature: Signature, trailer: bytes, previous: str, secret: str) -> None:
    given = ""
    headers: List[bytes] = []
    for line in trailer.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"x-amz-trailer-signature":
            given = value.strip().decode("latin-1")
        elif line:
            headers.append(name.strip().lower() + b":" + value.strip() + b"\n")
    digest = hashlib.sha256(b"".join(headers)).hexdigest()
    text = "\n".join([ALGORITHM + "-TRAILER", signature.time, signature.scope, previous, digest])
    check_equal(sign(secret, signature, text), given)
