"""Keeps credentials out of everything that an install prints.

The output of pip, uv and builds passes through a Redactor on its way to the log, the progress and the result.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING

from common.secrets.redact import forms as secret_forms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s\"'<>`]+)")
_SECRET_NAME = re.compile(r"TOKEN|PASSW|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY|_AUTH", re.IGNORECASE)
#: Shorter values would remove ordinary words from the log.
_SECRET_MIN_LENGTH = 4
#: The user of `git+ssh://git@host/…` is not a secret, and a line without it is hard to read.
_PLAIN_USERS = ("git", "")


class Redactor:
    """Callable: returns a text without its credentials.

    Removes user, password and the values of the query from every URL. Removes these strings elsewhere in a text too:
    credentials in the URLs of `texts` (lines of requirements) and of the values of `env`, the values of variables in
    `env` whose names say that they are secrets, and `values`: those of the run's secrets.
    """

    def __init__(
        self, env: dict[str, str] | None = None, texts: Iterable[str] = (), values: Iterable[str] = ()
    ) -> None:
        secrets = {form for value in values for form in secret_forms(value)}
        for name, value in (env or {}).items():
            if _SECRET_NAME.search(name):
                secrets.update((value, value.strip()))
            secrets.update(_secrets(value))
        for text in texts:
            secrets.update(_secrets(text))
        # The longest first: one secret may be the beginning of another.
        self._secrets = sorted(
            (secret for secret in secrets if len(secret) >= _SECRET_MIN_LENGTH), key=len, reverse=True
        )

    def learn(self, texts: Iterable[str]) -> None:
        """Adds the credentials of more texts."""
        more = {secret for text in texts for secret in _secrets(text) if len(secret) >= _SECRET_MIN_LENGTH}
        self._secrets = sorted(more.union(self._secrets), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        text = without_credentials(text)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def without_credentials(text: str) -> str:
    """The text with credentials removed from each URL. Pure; also part of the key of an install."""
    return _URL.sub(_reduce, text)


def _reduce(match: re.Match[str]) -> str:
    authority, tail = _split(match.group("rest"))
    user, at, host = authority.rpartition("@")
    if at and user not in _PLAIN_USERS:
        authority = "***@" + host
    path, question, rest = tail.partition("?")
    if question:
        _query, fragment, after = rest.partition("#")
        tail = path + "?***" + fragment + after
    return match.group("scheme") + authority + tail


def _split(rest: str) -> tuple[str, str]:
    """(authority, the rest from the first of / ? #). A password may contain a slash; a port is not a password."""
    end = re.search(r"[/?#]", rest)
    plain = rest[: end.start()] if end else rest
    if "@" not in plain and re.match(r"[^/@]*:(?!\d+/)[^@]*@", rest):
        at = rest.index("@")
        end = re.search(r"[/?#]", rest[at:])
        cut = at + end.start() if end else len(rest)
        return rest[:cut], rest[cut:]
    return plain, rest[len(plain) :]


def _secrets(text: str) -> Iterator[str]:
    """The credentials in the URLs of a text, as written and decoded."""
    for match in _URL.finditer(text):
        authority, tail = _split(match.group("rest"))
        user, at, _host = authority.rpartition("@")
        name, colon, password = user.partition(":")
        # The user is the token where no password follows; else it is a name like "aws" that other lines may contain.
        if at and user not in _PLAIN_USERS:
            yield from _spellings(password if colon and password else name)
        for pair in tail.partition("?")[2].partition("#")[0].split("&"):
            if _SECRET_NAME.search(pair.partition("=")[0]) or "signature" in pair.lower():
                yield from _spellings(pair.partition("=")[2])


def _spellings(secret: str) -> tuple[str, str, str]:
    return (secret, urllib.parse.unquote(secret), urllib.parse.quote(secret, safe=""))
