"""Reads one value from Systems Manager or Secrets Manager."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import Any, Mapping, NamedTuple
from urllib.parse import urlsplit

from common.secrets.http_call import Answer, NoAnswer, call
from common.secrets.instance_role import Role
from common.secrets.problem import Problem, Unreadable, shortened
from common.secrets.references import MAX_VALUE_BYTES, Reference
from common.secrets.sigv4 import Request, sign

_TIMEOUT = 4.0
_FIRST_WAIT = 0.2
_THROTTLED = ("ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "InternalServerError")
_NOT_FOUND = ("ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException")
_NOT_DECRYPTED = ("DecryptionFailure", "InvalidKeyId", "KMSAccessDeniedException")
#: The instance's clock is wrong, or the role's credentials have expired.
_NOT_ACCEPTED = (
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "IncompleteSignature",
)


class _Api(NamedTuple):
    target: str
    #: The AWS SDKs' variable for another address of this service alone.
    endpoint_variable: str
    action: str


_APIS = {
    "ssm": _Api("AmazonSSM.GetParameter", "AWS_ENDPOINT_URL_SSM", "ssm:GetParameter"),
    "secretsmanager": _Api(
        "secretsmanager.GetSecretValue", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "secretsmanager:GetSecretValue"
    ),
}


def read(reference: Reference, role: Role, region: str, environment: Mapping[str, str], deadline: float) -> str:
    """The value. environment: the agent's, which may name other endpoints. deadline: of time.monotonic().

    Raises Unreadable.
    """
    wait = _FIRST_WAIT
    problem = _unreachable(reference, region, "there was no time left to read it")
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unreadable(problem)
        try:
            answer = _request(reference, role, region, environment, min(_TIMEOUT, left))
        except NoAnswer as error:
            problem = _unreachable(reference, region, str(error))
        else:
            if answer.status == 200:
                return _value(reference, answer.body)
            name, message = _error(answer)
            if answer.status < 500 and name not in _THROTTLED:
                raise Unreadable(_refusal(reference, role, name, message))
            problem = _unreachable(reference, region, f"it answered {answer.status} {name}")
        time.sleep(max(0, min(wait, deadline - time.monotonic())))
        wait *= 2


def _request(reference: Reference, role: Role, region: str, environment: Mapping[str, str], timeout: float) -> Answer:
    api = _APIS[reference.service]
    url = endpoint_of(reference.service, region, environment)
    parts = urlsplit(url)
    parameters: dict[str, Any] = (
        {"Name": reference.id, "WithDecryption": True} if reference.service == "ssm" else {"SecretId": reference.id}
    )
    body = json.dumps(parameters).encode("ascii")
    headers = {"host": parts.netloc, "content-type": "application/x-amz-json-1.1", "x-amz-target": api.target}
    request = Request("POST", parts.path or "/", headers, body)
    signed = sign(request, region, reference.service, role.credentials, datetime.now(timezone.utc))
    return call("POST", url, signed, body, timeout)


def endpoint_of(service: str, region: str, environment: Mapping[str, str]) -> str:
    """The address of a service. environment: may name another."""
    other = environment.get(_APIS[service].endpoint_variable) or environment.get("AWS_ENDPOINT_URL")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return other or f"https://{service}.{region}.{suffix}"


def _value(reference: Reference, body: bytes) -> str:
    try:
        answer = json.loads(body.decode("utf-8"))
        value = answer["Parameter"]["Value"] if reference.service == "ssm" else answer.get("SecretString")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unreadable(_unusable("the service's answer could not be parsed")) from None
    if value is None:
        raise Unreadable(_unusable("the secret is binary, and an environment variable can hold only text"))
    if reference.key is not None:
        value = _value_of_key(reference.key, value)
    if not isinstance(value, str) or value == "":
        raise Unreadable(_unusable("the value is empty"))
    if "\0" in value:
        raise Unreadable(_unusable("the value has a NUL character, which no environment variable can hold"))
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise Unreadable(_unusable("the value has half a character (a lone surrogate)")) from None
    if size > MAX_VALUE_BYTES:
        raise Unreadable(_unusable(f"the value has {size} bytes; the maximum is {MAX_VALUE_BYTES}"))
    return value


def _value_of_key(key: str, text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreadable(_unusable(f"the secret is not a JSON object, so it cannot have the key {key}"))
    if key not in found:
        raise Unreadable(_unusable(f"the secret's JSON object has no key {key}"))
    value = found[key]
    if isinstance(value, (int, float)):
        return json.dumps(value)  # 8080 or true, as they stand in the secret
    if not isinstance(value, str):
        raise Unreadable(_unusable(f"the secret's key {key} does not hold a string"))
    return value


def _error(answer: Answer) -> tuple[str, str]:
    """(name, message) of the JSON protocol's errors."""
    try:
        found = json.loads(answer.body.decode("utf-8"))
        name = str(found.get("__type", ""))
        message = str(found.get("message") or found.get("Message") or "")
    except (ValueError, AttributeError):
        name, message = "", ""
    name = name or answer.headers.get("x-amzn-errortype", "")
    return shortened(name.split(":")[0].rsplit("#", 1)[-1]), shortened(message)


def _refusal(reference: Reference, role: Role, name: str, message: str) -> Problem:
    action = _APIS[reference.service].action
    text = f"{name}: {message}" if message else name
    if name in _NOT_DECRYPTED or (name == "AccessDeniedException" and "kms" in message.lower()):
        return Problem("NotDecrypted", text, f"Allow kms:Decrypt on the key of the secret for the role {role.name}.")
    if name.startswith("AccessDenied"):
        return Problem("AccessDenied", text, f"Allow {action} on it for the instance's role {role.name}.")
    if name in _NOT_FOUND:
        return Problem("NotFound", text, "Check the name, and that it is in the instance's account and Region.")
    if name in _NOT_ACCEPTED:
        return Problem("Refused", text, "Check the instance's clock and its role, then start the run again.")
    return Problem("Refused", text, "Check the reference in the run spec.")


def _unreachable(reference: Reference, region: str, reason: str) -> Problem:
    text = f"{reference.service} in {region} did not answer: {reason}"
    return Problem("Unreachable", text, "Check that the instance reaches it: internet, or a VPC endpoint.")


def _unusable(text: str) -> Problem:
    return Problem("Unusable", text, "Store a text value that fits, or correct the reference.")
