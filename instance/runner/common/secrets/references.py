"""The references that a run spec may hold: `ssm:<parameter>` and `secretsmanager:<secret>[#<key>]`."""

from __future__ import annotations

import re
from typing import NamedTuple

#: Also in core/spec/secret-references.ts; test/contract compares the two.
MAX_SECRETS = 20
MAX_VALUE_BYTES = 65_536
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: Variables that choose what code runs or where runctl itself looks: a value that nobody sees must not change them.
RESERVED_NAME = re.compile(
    r"(RUNCTL_|AWS_SSM_|LD_|PYTHON).*|PATH|HOME|USER|LOGNAME|SHELL|LANG|IFS|ENV|BASH_ENV|TMPDIR", re.DOTALL
)
_ARN = r"arn:aws[a-z-]*:{}:[a-z0-9-]+:\d{{12}}:{}"
_PARAMETER = re.compile(
    r"ssm:(?P<id>(?:" + _ARN.format("ssm", "parameter") + r"/)?[A-Za-z0-9_./-]{1,1011}(?::[A-Za-z0-9_.-]{1,100})?)"
)
_SECRET = re.compile(
    r"secretsmanager:(?P<id>(?:"
    + _ARN.format("secretsmanager", "secret")
    + r":)?[A-Za-z0-9/_+=.@-]{1,512})(?:#(?P<key>[\x20-\x7e]{1,128}))?"
)


class Reference(NamedTuple):
    #: Of AWS: `ssm` or `secretsmanager`; also the name in a signature's scope.
    service: str
    #: A name or an ARN.
    id: str
    #: The key in the JSON object that the secret holds, or None for the whole text.
    key: str | None

    @property
    def region(self) -> str | None:
        """That of an ARN, else None: the instance's."""
        return self.id.split(":")[3] if self.id.startswith("arn:") else None


def parse(text: str) -> Reference | None:
    """None when it is not a reference."""
    found = _PARAMETER.fullmatch(text)
    if found:
        return Reference("ssm", found["id"], None)
    found = _SECRET.fullmatch(text)
    return Reference("secretsmanager", found["id"], found["key"]) if found else None


def is_allowed_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and RESERVED_NAME.fullmatch(name) is None
