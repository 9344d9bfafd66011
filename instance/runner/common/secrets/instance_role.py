"""The credentials of the instance's role and its region, from the instance metadata service (IMDSv2 only)."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from common.metadata_service import NoToken, Session
from common.secrets.http_call import Answer, NoAnswer
from common.secrets.problem import ADD_ROLE, Problem, Unreadable
from common.secrets.sigv4 import Credentials

_SESSION_SECONDS = 60
_TIMEOUT = 2.0
_WAITS = (0.2, 0.5, 1.0)


class Role(NamedTuple):
    name: str
    credentials: Credentials


class Metadata:
    """One session with the metadata service at `endpoint`. Every method raises Unreadable."""

    def __init__(self, endpoint: str) -> None:
        self._session = _Patient(endpoint, _TIMEOUT, _SESSION_SECONDS)

    def role(self) -> Role:
        """The role that the instance profile gives, with temporary credentials."""
        folder = "meta-data/iam/security-credentials/"
        listing = self._get(folder)
        names = listing.body.decode("utf-8", "replace").split()
        if listing.status == 404 or (listing.status == 200 and not names):
            raise Unreadable(Problem("NoRole", "the instance has no role", ADD_ROLE))
        self._check(listing)
        answer = self._get(folder + names[0])
        self._check(answer)
        try:
            found = json.loads(answer.body.decode("utf-8"))
            keys = [found[key] for key in ("AccessKeyId", "SecretAccessKey", "Token")]
        except (ValueError, KeyError, TypeError):
            keys = []
        if not keys or not all(isinstance(key, str) and key for key in keys):
            text = f"the metadata service has no credentials for the role {names[0]}"
            raise Unreadable(Problem("NoRole", text, "Attach the instance profile again, with an existing role."))
        return Role(names[0], Credentials(*keys))

    def region(self) -> str:
        answer = self._get("meta-data/placement/region")
        self._check(answer)
        return answer.body.decode("ascii", "replace").strip()

    def _get(self, path: str) -> Answer:
        try:
            return self._session.get(path)
        except (NoToken, NoAnswer) as error:
            raise Unreadable(_unavailable(str(error))) from None

    @staticmethod
    def _check(answer: Answer) -> None:
        if answer.status != 200:
            raise Unreadable(_unavailable(f"it answered {answer.status}"))


class _Patient(Session):
    """Tries again: the service of an instance that has just started may not answer yet."""

    def _call(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        for wait in (*_WAITS, None):
            try:
                answer = super()._call(method, path, headers)
                if answer.status < 500 or wait is None:
                    return answer
            except NoAnswer:
                if wait is None:
                    raise
            time.sleep(wait)
        raise AssertionError("the last round returns or raises")


def _unavailable(reason: str) -> Problem:
    text = f"the instance metadata service does not return the role's credentials: {reason}"
    return Problem("MetadataUnavailable", text, "Enable the instance's metadata service (IMDSv2) and try again.")
