"""POSTs files to S3 with a signed policy. The policy is a secret: it is in no message and in no error.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import secrets
from typing import Iterator, Mapping
from urllib.parse import urlsplit

_CHUNK_BYTES = 1 << 20


class Refused(Exception):
    """S3 did not take it; the message has the status alone."""


def md5_of(fd: int, offset: int, length: int) -> bytes:
    """Raises OSError when the file is shorter."""
    digest = _md5()
    for data in _read(fd, offset, length):
        digest.update(data)
    return digest.digest()


def _read(fd: int, offset: int, length: int) -> Iterator[bytes]:
    at, end = offset, offset + length
    while at < end:
        data = os.pread(fd, min(_CHUNK_BYTES, end - at), at)
        if not data:
            raise OSError("the file has become shorter")
        yield data
        at += len(data)


def _md5() -> hashlib._Hash:
    try:
        return hashlib.md5(usedforsecurity=False)
    except TypeError:  # Python 3.8
        return hashlib.md5()  # noqa: S324 - a checksum that S3 compares


def post(
    url: str, fields: Mapping[str, str], key: str, fd: int, offset: int, length: int, silence: float
) -> tuple[str, int]:
    """Sends a part of a file. Returns (its MD5 in hex, which is its ETag; HTTP status).

    silence: seconds that one read or write may take. S3 compares the MD5 with what arrives, and the answer's ETag is
    compared with it as well. Raises OSError, http.client.HTTPException, Refused.
    """
    digest = md5_of(fd, offset, length)
    boundary = "runctl" + secrets.token_hex(16)
    values = {**fields, "key": key, "Content-MD5": base64.b64encode(digest).decode("ascii")}
    head = b"".join(_field(boundary, name, value) for name, value in values.items())
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode("ascii")
    tail = f"\r\n--{boundary}--\r\n".encode("ascii")
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=silence)
    try:
        connection.putrequest("POST", parts.path or "/", skip_accept_encoding=True)
        connection.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
        connection.putheader("Content-Length", str(len(head) + length + len(tail)))
        connection.endheaders(head)
        for data in _read(fd, offset, length):
            connection.send(data)
        connection.send(tail)
        response = connection.getresponse()
        response.read()
        tag = (response.getheader("ETag") or "").strip('"')
        if response.status not in (200, 201, 204):
            raise Refused(f"S3 answered {response.status}")
        if tag and tag != digest.hex():
            raise Refused("S3 has stored something else")
        return digest.hex(), response.status
    finally:
        connection.close()


def _field(boundary: str, name: str, value: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode("utf-8")
