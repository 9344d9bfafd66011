"""A session with the instance metadata service (IMDSv2 only)."""

from __future__ import annotations

import time
from typing import Mapping

from common.secrets.http_call import Answer, call

_ENDPOINT = "http://169.254.169.254"
_TOKEN = "x-aws-ec2-metadata-token"  # noqa: S105 - the name of a header


class NoToken(Exception):
    """The service gives no token: it answered `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answered {status}")
        self.status = status


def endpoint(env: Mapping[str, str]) -> str:
    """Its address, which a local cloud names in the environment."""
    return env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _ENDPOINT


class Session:
    """timeout: seconds without a byte. token_s: how long a token is used."""

    def __init__(self, address: str, timeout: float, token_s: int) -> None:
        self._address, self._timeout, self._token_s = address.rstrip("/"), timeout, token_s
        self._token: str | None = None
        self._valid_until = 0.0

    def get(self, path: str) -> Answer:
        """The answer for a path below `latest/`. Raises NoToken, and NoAnswer when none came."""
        if self._token is None or time.monotonic() > self._valid_until:
            answer = self._call("PUT", "api/token", {_TOKEN + "-ttl-seconds": str(self._token_s)})
            if answer.status != 200:
                raise NoToken(answer.status)
            self._token = answer.body.decode("ascii", "replace").strip()
            self._valid_until = time.monotonic() + self._token_s / 2
        answer = self._call("GET", path, {_TOKEN: self._token})
        if answer.status == 401:
            self._token = None  # the service has been started again: the next call gets another one
        return answer

    def _call(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        return call(method, f"{self._address}/latest/{path}", headers, b"", self._timeout)
