"""Verification of S3's Signature Version 2, of presigned URLs and of POST policies.

boto3 and version 1 of the AWS CLI sign URLs and forms with it unless they are configured otherwise.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

import base64
import datetime
import hashlib
import hmac
import re
from typing import Dict, List, NamedTuple, Tuple

from sigv4 import Refused, Request, check_equal, parse_query

# The parameters that the signature covers. Others are refused: they could change the operation.
COVERED = frozenset(
    "acl cors delete lifecycle location logging notification partNumber policy replication requestPayment "
    "response-cache-control response-content-disposition response-content-encoding response-content-language "
    "response-content-type response-expires restore tagging uploadId uploads versionId versioning versions "
    "website".split()
)
HEADERS = ("content-md5", "content-type")
BUCKET_HOST = re.compile(r"\.localhost(?::\d+)?$")


class Version2(NamedTuple):
    key_id: str
    session_token: str
    value: str
    # The text that was signed.
    text: str


def is_signed(request: Request) -> bool:
    return any(name == b"AWSAccessKeyId" for name, _ in parse_query(request.query))


def parse(request: Request, now: datetime.datetime) -> Version2:
    """Parses a presigned URL and checks everything that needs no secret."""
    parameters: Dict[str, str] = {}
    resource: List[Tuple[str, str]] = []
    for raw_name, raw_value in parse_query(request.query):
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in parameters:
            raise Refused("InvalidRequest", "The URL has the parameter %s more than once." % name)
        parameters[name] = value
        if name in COVERED:
            resource.append((name, value))
    amz = {name: value for name, value in parameters.items() if name.startswith("x-amz-")}
    for header, content in request.headers:
        name = header.decode("latin-1")
        if name.startswith("x-amz-"):
            if name in amz:
                raise Refused("InvalidRequest", "The request has %s more than once." % name)
            amz[name] = content.strip().decode("latin-1")
    known = COVERED.union(amz, HEADERS, ["AWSAccessKeyId", "Signature", "Expires"])
    if set(parameters) - known or BUCKET_HOST.search(request.header("host")) or request.header("authorization"):
        raise Refused("AccessDenied", "The URL has parameters that its signature does not cover.")
    expires = parameters.get("Expires", "")
    if not re.match(r"^\d{1,11}$", expires) or (now - datetime.datetime(1970, 1, 1)).total_seconds() > int(expires):
        raise Refused("AccessDenied", "Request has expired.")
    path = request.path.decode("latin-1")
    if resource:
        path += "?" + "&".join("%s=%s" % pair if pair[1] else pair[0] for pair in sorted(resource))
    lines = [request.method]
    lines += [request.header(name) or parameters.get(name, "") for name in HEADERS]
    lines += [expires]
    lines += ["%s:%s" % pair for pair in sorted(amz.items())]
    text = "\n".join([*lines, path])
    token = amz.get("x-amz-security-token", "")
    return Version2(parameters["AWSAccessKeyId"], token, parameters.get("Signature", ""), text)


def of_form(fields: Dict[str, str]) -> Version2:
    """The signature of a POST form, whose names are in lower case."""
    token = fields.get("x-amz-security-token", "")
    return Version2(fields["awsaccesskeyid"], token, fields.get("signature", ""), fields["policy"])


def verify(signature: Version2, secret: str) -> None:
    digest = hmac.new(secret.encode(), signature.text.encode("latin-1"), hashlib.sha1).digest()
    check_equal(base64.b64encode(digest).decode(), signature.value)
