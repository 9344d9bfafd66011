"""Reads requests and writes answers: the shapes of instance/CONTRACT.md."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

PROTOCOL = 1
VERBS = ("start", "poll", "stop", "collect", "upload", "release", "probe", "fetch", "idle", "scrub")
JOBS = ("sync", "install", "restore", "train")
#: Of attempts of a run.
MAX_ATTEMPT = 1_000
#: Of the names of an image.
_MAX_IMAGE_NAME = 128
#: Seconds before a scrub begins.
_MAX_DELAY_S = 60
#: SSM cuts a stream of 24,000 bytes; the document may add a line of its own.
MAX_ANSWER_BYTES = 23_500
#: Of raw log in one answer, when the request has no limit.
DEFAULT_LOG_BYTES = 1_000_000
_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_NUMBER = (int, float)
_TEXT = (str,)
_MAYBE_TEXT = (str, type(None))
_MAYBE_LIST = (list, type(None))
_EVERY = {
    "root": _TEXT,
    "home": _MAYBE_TEXT,
    "user": _MAYBE_TEXT,
    "users": _MAYBE_LIST,
    "projects": _MAYBE_LIST,
    "run": (dict,),
    "project": _TEXT,
}
#: `probe` is about the instance, not about a run.
_OF_PROBE = {"root": _TEXT, "home": _MAYBE_TEXT, "user": _MAYBE_TEXT, "python": _MAYBE_TEXT}
_OF_VERB = {
    "start": {"job": _TEXT, "notAfter": _NUMBER, "wait": _NUMBER, "ended": (list,), "queue": (dict, type(None))},
    "poll": {"job": _TEXT},
    "stop": {"grace": _NUMBER, "reason": _TEXT},
    "collect": {"grace": _NUMBER, "wait": _NUMBER, "outputs": (list,), "maxBytes": _NUMBER},
    "upload": {"wait": _NUMBER, "puts": (dict,)},
    "release": {},
    "idle": {"quiet": _NUMBER},
    "scrub": {"image": (dict,), "delay": _NUMBER},
    "fetch": {"id": _TEXT, "wait": _NUMBER, "outputs": (list,), "maxBytes": _NUMBER},
}
#: A right to send checkpoints, with which a poll comes.
_OF_GRANT = {
    "url": _TEXT,
    "fields": (dict,),
    "prefix": _TEXT,
    "committed": (int,),
    "wholeBytes": (int,),
    "partBytes": (int,),
}
#: A right to send a file in parts.
_OF_PARTS = {"url": _TEXT, "fields": (dict,), "prefix": _TEXT, "partBytes": (int,)}
_OF_CHECKPOINTS = {"folder": _MAYBE_TEXT, "every": _NUMBER, "firstSeq": (int,)}
_OF_LIST = {"url": _TEXT, "sha256": _TEXT, "bytes": (int,)}
_OF_JOB = {
    "sync": {
        "url": _TEXT,
        "sha256": _TEXT,
        "bytes": _NUMBER,
        "script": _MAYBE_TEXT,
        "requirements": _MAYBE_TEXT,
        "strip": _MAYBE_TEXT,
        "versionId": _MAYBE_TEXT,
    },
    "install": {"requirements": _TEXT, "installer": _TEXT, "python": _MAYBE_TEXT, "env": (dict,)},
    "restore": {"list": (dict,), "name": _TEXT},
    "train": {
        "args": (list,),
        "env": (dict,),
        "python": _MAYBE_TEXT,
        "maxDuration": _NUMBER,
        "stopGrace": _NUMBER,
    },
}


class Refusal(Exception):
    """The request was refused, and nothing was changed. `name` is one of the contract's error names."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


def _read(data: bytes | str) -> dict[str, Any]:
    """Returns the JSON object in `data`. Raises Refusal `BadRequest`, without its text."""
    try:
        request = json.loads(data)
    except ValueError as error:
        raise Refusal("BadRequest", f"the request is not JSON: {type(error).__name__}") from None
    if not isinstance(request, dict):
        raise Refusal("BadRequest", "the request is not a JSON object")
    if request.get("protocol") != PROTOCOL:
        raise Refusal("BadRequest", f"this runner speaks protocol {PROTOCOL}")
    if request.get("verb") not in VERBS:
        raise Refusal("BadRequest", "verb must be one of {}".format(", ".join(VERBS)))
    return request


def parse(data: bytes | str) -> dict[str, Any]:
    """Returns a request to the runner, checked. Raises Refusal `BadRequest`."""
    request = _read(data)
    if request["verb"] == "probe":
        _check(request, _OF_PROBE, "")
        _check_root(request)
        check_secrets(request.setdefault("secrets", {}), {}, "")
        request.setdefault("command", None)
        _check(request, {"command": _MAYBE_TEXT}, "")
        return request
    _check(request, _EVERY, "")
    _check(request["run"], {"id": _TEXT, "key": _TEXT, "arn": _TEXT}, "run.")
    _check(request, _OF_VERB[request["verb"]], "")
    if not _is_name(request["run"]["key"]) or not _is_name(request["project"]):
        raise Refusal(
            "BadRequest", "run.key and project may contain only A-Z a-z 0-9 . _ - and must not begin with a dot"
        )
    _check_root(request)
    if request["verb"] in ("start", "release"):
        _check_keep(request)
    if request["verb"] in ("collect", "fetch"):
        _check_outputs(request)
    if request["verb"] == "fetch":
        _check_fetch(request)
    if request["verb"] == "idle" and type(request.setdefault("anyRun", False)) is not bool:
        raise Refusal("BadRequest", "anyRun is not true or false")
    if request["verb"] == "scrub":
        _check_scrub(request)
    if request["verb"] == "upload":
        _check_parts(request)
    if request["verb"] == "poll":
        _check_grant(request)
        _check_environment(request)
    if "job" in _OF_VERB[request["verb"]]:
        _check_window(request)
        if type(request.setdefault("times", False)) is not bool:
            raise Refusal("BadRequest", "times is not true or false")
    if request["verb"] == "start":
        _check_work(request)
    return request


def _check_root(request: dict[str, Any]) -> None:
    if not request["root"].startswith("/") or "/../" in request["root"] + "/":
        raise Refusal("BadRequest", "root is not an absolute path")


def _check_keep(request: dict[str, Any]) -> None:
    """keep: how many days run folders are kept, and how many bytes of them; both are optional."""
    request.setdefault("keep", {})
    _check(request, {"keep": (dict,)}, "")
    _check(request["keep"], {name: _NUMBER for name in request["keep"]}, "keep.")
    if not {"days", "bytes"}.issuperset(request["keep"]):
        raise Refusal("BadRequest", "keep has days and bytes, and nothing else")


def _check_outputs(request: dict[str, Any]) -> None:
    """`outputsFrom` and `maxBytesInParts` may be left out."""
    request.setdefault("outputsFrom", "run")
    request.setdefault("maxBytesInParts", 0)
    _check(request, {"maxBytesInParts": _NUMBER}, "")
    if request["outputsFrom"] not in ("run", "all"):
        raise Refusal("BadRequest", "outputsFrom must be run or all")


def _check_fetch(request: dict[str, Any]) -> None:
    """`put` may be left out: then nothing is sent yet."""
    request.setdefault("put", None)
    _check(request, {"put": _MAYBE_TEXT}, "")
    if not all(isinstance(pattern, str) for pattern in request["outputs"]):
        raise Refusal("BadRequest", "outputs has the wrong type")
    if not _is_name(request["id"]) or len(request["id"]) > 32:
        raise Refusal("BadRequest", "id is not a name of 32 characters at most")


def _check_scrub(request: dict[str, Any]) -> None:
    """image: {key, base}: what it has and the AMI that it is made from. delay: seconds."""
    _check(request["image"], {"key": _TEXT, "base": _TEXT}, "image.")
    for name in ("key", "base"):
        if not _is_name(request["image"][name]) or len(request["image"][name]) > _MAX_IMAGE_NAME:
            raise Refusal("BadRequest", f"image.{name} is not a name of {_MAX_IMAGE_NAME} characters at most")
    if not 0 <= request["delay"] <= _MAX_DELAY_S:
        raise Refusal("BadRequest", f"delay is not a number of seconds from 0 to {_MAX_DELAY_S}")


def _check_grant(request: dict[str, Any]) -> None:
    """The right to send checkpoints may be left out."""
    grant = request.setdefault("checkpoints", None)
    if grant is None:
        return
    _check(request, {"checkpoints": (dict,)}, "")
    _check(grant, _OF_GRANT, "checkpoints.")
    _check_fields(grant, "checkpoints.")


def _check_environment(request: dict[str, Any]) -> None:
    """The right to store the environment of the install may be left out."""
    grant = request.setdefault("environment", None)
    if grant is not None:
        _check(request, {"environment": (dict,)}, "")
        _check(grant, _OF_PARTS, "environment.")
        _check_fields(grant, "environment.")


def _check_parts(request: dict[str, Any]) -> None:
    """The rights to send files in parts, by name, may be left out."""
    request.setdefault("parts", {})
    _check(request, {"parts": (dict,)}, "")
    for grant in request["parts"].values():
        _check({"": grant}, {"": (dict,)}, "parts")
        _check(grant, _OF_PARTS, "parts.")
        _check_fields(grant, "parts.")


def _check_fields(grant: dict[str, Any], prefix: str) -> None:
    if not all(isinstance(value, str) for value in grant["fields"].values()):
        raise Refusal("BadRequest", f"{prefix}fields has the wrong type")


def _check_window(request: dict[str, Any]) -> None:
    if request["job"] not in JOBS:
        raise Refusal("BadRequest", "job must be one of {}".format(", ".join(JOBS)))
    request.setdefault("offset", 0)
    request.setdefault("maxBytes", DEFAULT_LOG_BYTES)
    for key in ("offset", "maxBytes"):
        if type(request[key]) is not int or request[key] < 0:
            raise Refusal("BadRequest", f"{key} is not a whole number of bytes")
    attempt = request.setdefault("attempt", 1)
    if type(attempt) is not int or not 1 <= attempt <= MAX_ATTEMPT:
        raise Refusal("BadRequest", f"attempt is not a whole number from 1 to {MAX_ATTEMPT}")


def _check_work(request: dict[str, Any]) -> None:
    job = request["job"]
    _check(request, {job: (dict,)}, "")
    work = request[job]
    _check(work, _OF_JOB[job], job + ".")
    if request["queue"] is not None:
        _check(request["queue"], {"ttl": _NUMBER}, "queue.")
    if request.setdefault("shutdown", None) is not None:
        _check(request, {"shutdown": (dict,)}, "")
        _check(request["shutdown"], {"after": _NUMBER}, "shutdown.")
    for key in ("imds", "again"):
        if type(request.setdefault(key, False)) is not bool:
            raise Refusal("BadRequest", f"{key} is not true or false")
    words = list(work.get("args", ()))
    for name, value in work.get("env", {}).items():
        if not name or "=" in name:
            raise Refusal("BadRequest", f"{job}.env has a name that is not valid for an environment variable")
        words += [name, value]
    if job == "train":
        words += _entry_words(work)
    words += [work[key] for key in ("script", "python") if work.get(key)]
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise Refusal("BadRequest", f"{job}: args and env must be text without NUL")
    if job == "train":
        work.setdefault("lingerGrace", 60)
        _check(work, {"lingerGrace": _NUMBER}, "train.")
        _check_checkpoints(work.setdefault("checkpoints", None))
        _check_resume(work.setdefault("resumeFrom", None))
    if job in ("install", "train") and work.setdefault("environment", "shared") not in ("shared", "project"):
        raise Refusal("BadRequest", f"{job}.environment must be shared or project")
    if job == "install" and work.setdefault("maxDuration", None) is not None:
        _check(work, {"maxDuration": _NUMBER}, "install.")
    if job == "install":
        _check_reuse(work)
    if job == "sync":
        _check_sync(work)
    elif job == "restore":
        _check(work["list"], _OF_LIST, "restore.list.")
    else:
        work.setdefault("secrets", {})
        check_secrets(work["secrets"], work["env"], job + ".")


def _check_checkpoints(checkpoints: dict[str, Any] | None) -> None:
    """None: they are not sent."""
    if checkpoints is None:
        return
    _check({"checkpoints": checkpoints}, {"checkpoints": (dict,)}, "train.")
    _check(checkpoints, _OF_CHECKPOINTS, "train.checkpoints.")
    folder = checkpoints["folder"]
    if folder is not None and not _is_inside(folder):
        raise Refusal("BadRequest", "train.checkpoints.folder is not a folder in the project")


def _check_resume(path: str | None) -> None:
    """None: the training does not resume."""
    _check({"resumeFrom": path}, {"resumeFrom": _MAYBE_TEXT}, "train.")
    if path is not None and not (path and _is_inside(path)):
        raise Refusal("BadRequest", "train.resumeFrom is not a path in the project")


def _is_inside(path: str) -> bool:
    """Whether the text of a path stays in the project."""
    return not (path.startswith("/") or ".." in path.split("/") or "\0" in path)


def _entry_words(work: dict[str, Any]) -> list[str]:
    """The words of what a training starts, which is one of three. Raises Refusal `BadRequest`."""
    found = [key for key in ("script", "module", "command") if work.get(key)]
    if not found:
        raise Refusal("BadRequest", "train.script is missing, and so are train.module and train.command")
    if len(found) > 1:
        raise Refusal("BadRequest", "train has more than one of script, module and command")
    _check(work, {found[0]: (list,) if found[0] == "command" else _TEXT}, "train.")
    return work["command"] if found[0] == "command" else [work[found[0]]]


def _check_reuse(work: dict[str, Any]) -> None:
    """What a request may leave out: whether environments are restored and stored, and the list of those that are."""
    if type(work.setdefault("reuse", False)) is not bool:
        raise Refusal("BadRequest", "install.reuse is not true or false")
    if work.setdefault("environments", None) is not None:
        _check(work, {"environments": (dict,)}, "install.")
        _check(work["environments"], _OF_LIST, "install.environments.")


def _check_sync(work: dict[str, Any]) -> None:
    """What a request may leave out."""
    work.setdefault("folders", [])
    work.setdefault("index", None)
    _check(work, {"folders": (list,), "index": _MAYBE_TEXT}, "sync.")
    if not all(isinstance(name, str) for name in work["folders"]):
        raise Refusal("BadRequest", "sync.folders has the wrong type")
    for key in ("allowRemovals", "takeOver"):
        if not isinstance(work.setdefault(key, False), bool):
            raise Refusal("BadRequest", f"sync.{key} has the wrong type")


def check_secrets(secrets: dict[str, Any], env: Mapping[str, str], prefix: str) -> None:
    """Raises Refusal `BadRequest` for secrets that the run spec does not allow. Never with their text."""
    _check({"secrets": secrets}, {"secrets": (dict,)}, prefix)
    if not secrets:
        return
    from common.secrets import references

    if len(secrets) > references.MAX_SECRETS:
        raise Refusal("BadRequest", f"{prefix}secrets has more than {references.MAX_SECRETS} names")
    for name, text in secrets.items():
        if not references.is_allowed_name(name) or name in env:
            raise Refusal("BadRequest", f"{prefix}secrets has a name that secrets may not set")
        if not isinstance(text, str) or references.parse(text) is None:
            raise Refusal("BadRequest", f"{prefix}secrets has a value that is not a reference")


def _check(values: Mapping[str, Any], types_by_key: Mapping[str, tuple[type, ...]], prefix: str) -> None:
    """Raises Refusal `BadRequest` when a key is missing, or its value has none of its types."""
    for key, types in types_by_key.items():
        if key not in values:
            raise Refusal("BadRequest", f"{prefix}{key} is missing")
        if not isinstance(values[key], types) or isinstance(values[key], bool):
            raise Refusal("BadRequest", f"{prefix}{key} has the wrong type")


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 200 and text[0] != "." and _KEY.issuperset(text)


def encode(answer: dict[str, Any]) -> bytes:
    """An answer as the bytes that go to stdout."""
    return json.dumps(dict(answer, protocol=PROTOCOL), separators=(",", ":")).encode("ascii")


def fit(answer: dict[str, Any], spare: int = 0) -> dict[str, Any]:
    """The answer without its least important parts, when it exceeds the limit less `spare` bytes."""
    for key, least in (("usage", None), ("progress", None), ("result", None), ("tail", [])):
        if len(encode(answer)) > MAX_ANSWER_BYTES - spare and answer.get(key):
            answer = dict(answer, **{key: least})
    warnings = answer.get("warnings") or []
    count = len(warnings)
    while count and len(encode(answer)) > MAX_ANSWER_BYTES - spare:
        count //= 2
        more = f"{len(warnings) - count} more warnings are in the files of the run on the instance"
        answer = dict(answer, warnings=[*warnings[:count], more])
    return answer
