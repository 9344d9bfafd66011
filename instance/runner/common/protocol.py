"""Reads requests and writes answers: the shapes of instance/CONTRACT.md."""

import json

PROTOCOL = 1
#: Of a run; `probe` is about the instance alone.
VERBS_OF_RUN = ("start", "poll", "stop", "collect", "upload", "release")
VERBS = (*VERBS_OF_RUN, "probe")
JOBS = ("sync", "install", "train")
#: SSM cuts a stream of 24,000 bytes; the document may add a line of its own.
MAX_ANSWER_BYTES = 23_500
#: Of raw log in one answer, when the request does not say.
DEFAULT_LOG_BYTES = 1_000_000
_HEX = frozenset("0123456789abcdef")
_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_NUMBER = (int, float)
_TEXT = (str,)
_MAYBE_TEXT = (str, type(None))
_EVERY = {"runner": _TEXT, "root": _TEXT, "home": _MAYBE_TEXT, "user": _MAYBE_TEXT, "run": (dict,), "project": _TEXT}
_OF_VERB = {
    "start": {"job": _TEXT, "notAfter": _NUMBER, "wait": _NUMBER, "ended": (list,), "queue": (dict, type(None))},
    "poll": {"job": _TEXT},
    "stop": {"grace": _NUMBER, "reason": _TEXT},
    "collect": {"program": _TEXT, "grace": _NUMBER, "wait": _NUMBER, "outputs": (list,), "maxBytes": _NUMBER},
    "upload": {"program": _TEXT, "wait": _NUMBER, "puts": (dict,)},
    "release": {},
}
_OF_JOB = {
    "sync": {
        "url": _TEXT,
        "sha256": _TEXT,
        "bytes": _NUMBER,
        "script": _TEXT,
        "requirements": _MAYBE_TEXT,
        "strip": _MAYBE_TEXT,
        "versionId": _MAYBE_TEXT,
    },
    "install": {
        "requirements": _TEXT,
        "installer": _TEXT,
        "python": _MAYBE_TEXT,
        "env": (dict,),
        "program": _TEXT,
    },
    "train": {
        "script": _TEXT,
        "args": (list,),
        "env": (dict,),
        "python": _MAYBE_TEXT,
        "maxDuration": _NUMBER,
        "stopGrace": _NUMBER,
    },
}


class Refusal(Exception):
    """Nothing was changed, and why: `name` is one of the contract's error names."""

    def __init__(self, name, message):
        self.name = name
        super().__init__(message)


def read(data):
    """Returns the request in `data`, a dict with a verb that we know. Raises Refusal `BadRequest`, without its text."""
    try:
        request = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise Refusal("BadRequest", f"the request is not JSON: {type(error).__name__}") from None
    if not isinstance(request, dict):
        raise Refusal("BadRequest", "the request is not a JSON object")
    if request.get("protocol") != PROTOCOL:
        raise Refusal("BadRequest", f"this runner speaks protocol {PROTOCOL}")
    if request.get("verb") not in VERBS:
        raise Refusal("BadRequest", "verb is none of {}".format(", ".join(VERBS)))
    return request


def check_run(request):
    """Checks a request about a run. Raises Refusal `BadRequest`."""
    check(request, _EVERY, "")
    check(request["run"], {"id": _TEXT, "key": _TEXT, "arn": _TEXT}, "run.")
    check(request, _OF_VERB[request["verb"]], "")
    if not _is_name(request["run"]["key"]) or not _is_name(request["project"]):
        raise Refusal("BadRequest", "run.key and project may hold only A-Z a-z 0-9 . _ - and not begin with a dot")
    if not request["root"].startswith("/") or "/../" in request["root"] + "/":
        raise Refusal("BadRequest", "root is not an absolute path")
    if "job" in _OF_VERB[request["verb"]]:
        _check_window(request)
    if request["verb"] == "start":
        _check_work(request)
    if "program" in _OF_VERB[request["verb"]]:
        _check_program(request, "")


def _check_window(request):
    if request["job"] not in JOBS:
        raise Refusal("BadRequest", "job is none of {}".format(", ".join(JOBS)))
    request.setdefault("offset", 0)
    request.setdefault("maxBytes", DEFAULT_LOG_BYTES)
    for key in ("offset", "maxBytes"):
        if type(request[key]) is not int or request[key] < 0:
            raise Refusal("BadRequest", f"{key} is not a whole number of bytes")


def _check_work(request):
    job = request["job"]
    check(request, {job: (dict,)}, "")
    work = request[job]
    check(work, _OF_JOB[job], job + ".")
    if job == "install":
        _check_program(work, "install.")
    if request["queue"] is not None:
        check(request["queue"], {"ttl": _NUMBER}, "queue.")
    words = list(work.get("args", ()))
    for name, value in work.get("env", {}).items():
        if not name or "=" in name:
            raise Refusal("BadRequest", f"{job}.env has a name that no variable can have")
        words += [name, value]
    words += [work[key] for key in ("script", "python") if work.get(key)]
    if not all(isinstance(word, str) and "\0" not in word for word in words):
        raise Refusal("BadRequest", f"{job}: args and env are text without NUL")
    if job != "sync":
        work.setdefault("secrets", {})
        check_secrets(work["secrets"], work["env"], job + ".")


def check_secrets(secrets, env, prefix):
    """Raises Refusal `BadRequest` for secrets that the run spec would not have allowed. Never with their text."""
    check({"secrets": secrets}, {"secrets": (dict,)}, prefix)
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


def _check_program(values, prefix):
    if len(values["program"]) != 64 or not _HEX.issuperset(values["program"]):
        raise Refusal("BadRequest", f"{prefix}program is not a SHA-256")


def check(values, wanted, prefix):
    """Raises Refusal `BadRequest` when a key is missing, or of none of its types."""
    for key, types in wanted.items():
        if key not in values:
            raise Refusal("BadRequest", f"{prefix}{key} is missing")
        if not isinstance(values[key], types) or isinstance(values[key], bool):
            raise Refusal("BadRequest", f"{prefix}{key} has the wrong type")


def _is_name(text):
    return 0 < len(text) <= 200 and text[0] != "." and _KEY.issuperset(text)


def encode(answer):
    """An answer as the bytes that go to stdout."""
    return json.dumps(dict(answer, protocol=PROTOCOL), separators=(",", ":")).encode("ascii")
