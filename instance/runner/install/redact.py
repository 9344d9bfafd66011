"""Keeps credentials out of everything that an install prints.

Whatever pip, uv or a build says passes through a Redactor: into the log, the progress and the result.
"""

import re
import urllib.parse

from common.secrets.redact import forms as secret_forms

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s\"'<>`]+)")
_SECRET_NAME = re.compile(r"TOKEN|PASSW|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY|_AUTH", re.IGNORECASE)
#: Shorter values would black out ordinary words.
_SHORTEST_SECRET = 4
#: The user of `git+ssh://git@host/…` is no secret, and a line without it is hard to read.
_PLAIN_USERS = ("git", "")


class Redactor:
    """Callable: text in, text without credentials out.

    Every URL loses its user and password and the values of its query. What stood in such places in `texts` (lines of
    requirements) and in the values of `env` is also recognised where it comes alone, and so are the values of variables
    in `env` whose names speak of a secret, and `values`: those of the run's secrets.
    """

    def __init__(self, env=None, texts=(), values=()):
        found = {form for value in values for form in secret_forms(value)}
        for name, value in (env or {}).items():
            if _SECRET_NAME.search(name):
                found.update((value, value.strip()))
            found.update(_secrets(value))
        for text in texts:
            found.update(_secrets(text))
        # Longest first: one secret may be the beginning of another.
        self._secrets = sorted((secret for secret in found if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True)

    def learn(self, texts):
        """Takes the credentials of more texts into account."""
        more = {secret for text in texts for secret in _secrets(text) if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted(more.union(self._secrets), key=len, reverse=True)

    def __call__(self, text):
        text = without_credentials(text)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def without_credentials(text):
    """The text with each URL in it reduced to what is no secret. Pure; also what goes into the key of an install."""
    return _URL.sub(_reduce, text)


def _reduce(match):
    authority, tail = _split(match.group("rest"))
    user, at, host = authority.rpartition("@")
    if at and user not in _PLAIN_USERS:
        authority = "***@" + host
    path, question, rest = tail.partition("?")
    if question:
        _query, fragment, after = rest.partition("#")
        tail = path + "?***" + fragment + after
    return match.group("scheme") + authority + tail


def _split(rest):
    """(authority, the rest from the first of / ? #). A password may hold a slash; a port is no password."""
    end = re.search(r"[/?#]", rest)
    plain = rest[: end.start()] if end else rest
    if "@" not in plain and re.match(r"[^/@]*:(?!\d+/)[^@]*@", rest):
        at = rest.index("@")
        end = re.search(r"[/?#]", rest[at:])
        cut = at + end.start() if end else len(rest)
        return rest[:cut], rest[cut:]
    return plain, rest[len(plain) :]


def _secrets(text):
    """What is secret in the URLs of a text, as written and decoded."""
    for match in _URL.finditer(text):
        authority, tail = _split(match.group("rest"))
        user, at, _host = authority.rpartition("@")
        name, colon, password = user.partition(":")
        # Alone, the user is the token; before a password it is a name like "aws" that other lines may well contain.
        if at and user not in _PLAIN_USERS:
            yield from _spellings(password if colon and password else name)
        for pair in tail.partition("?")[2].partition("#")[0].split("&"):
            if _SECRET_NAME.search(pair.partition("=")[0]) or "signature" in pair.lower():
                yield from _spellings(pair.partition("=")[2])


def _spellings(secret):
    return (secret, urllib.parse.unquote(secret), urllib.parse.quote(secret, safe=""))
