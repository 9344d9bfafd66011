"""Verification of uploads to S3 by a form, which carries a signed policy.

The emulator checks the conditions of the policy, but not its signature.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
"""

import re
from typing import Callable, Dict, List, Tuple

import sigv2
from sigv4 import ALGORITHM, Refused, Request, Signature, check_equal, parse_scope, parse_time, sign

Fields = List[Tuple[str, bytes]]


def is_post_form(request: Request) -> bool:
    """Whether it is a form upload to a bucket, without headers that select another service."""
    is_form = request.method == "POST" and request.header("content-type").startswith("multipart/form-data")
    is_bucket = re.match(rb"^/[a-z0-9][a-z0-9.-]+/?$", request.path) and not request.query
    selects_service = any(name == b"authorization" or name.startswith(b"x-amz-") for name, _ in request.headers)
    return bool(is_form and is_bucket and not selects_service and not sigv2.BUCKET_HOST.search(request.header("host")))


def check_post_form(fields: Fields, secret_of: Callable[[str, str], str]) -> None:
    found: Dict[str, str] = {}
    for name, value in fields:
        if name.lower() == "file":
            continue
        if name.lower() in found:
            raise Refused("InvalidArgument", "The form has the field %s more than once." % name)
        found[name.lower()] = value.decode("latin-1")
    if not found.get("policy"):
        raise Refused("AccessDenied", "The form is not signed.")
    if "awsaccesskeyid" in found and "x-amz-signature" not in found:
        old = sigv2.of_form(found)
        sigv2.verify(old, secret_of(old.key_id, old.session_token))
        return
    if found.get("x-amz-algorithm") != ALGORITHM:
        raise Refused("AccessDenied", "The form is not signed with %s." % ALGORITHM)
    key_id, date, region, service = parse_scope(found.get("x-amz-credential", ""))
    time = found.get("x-amz-date", "")
    if parse_time(time).strftime("%Y%m%d") != date or service != "s3":
        raise Refused("AccessDenied", "The form's date or service is not that of its credential.")
    token = found.get("x-amz-security-token", "")
    signature = Signature(key_id, date, region, service, (), found.get("x-amz-signature", ""), time, token, False, "")
    check_equal(sign(secret_of(key_id, token), signature, found["policy"]), signature.value)
