"""Makes the credentials of the emulator's instance metadata service valid for its other services."""

import hashlib
from typing import Any, Callable, Dict

from ministack.services import imds, sts

ROLE = "arn:aws:sts::000000000000:assumed-role/ministack-instance-role/local"


def use_sessions() -> None:
    """Registers the credentials of the instance's role as an STS session.

    The emulator returns random credentials, which no service knows.
    """
    make: Callable[[], Dict[str, Any]] = imds._credentials_doc

    def with_session() -> Dict[str, Any]:
        document = make()
        key_id = document["AccessKeyId"]
        sts.register_session(
            key_id,
            {
                "Arn": ROLE,
                "UserId": "%s:local" % hashlib.sha256(ROLE.encode()).hexdigest()[:21].upper(),
                "SecretAccessKey": document["SecretAccessKey"],
                "SessionToken": document["Token"],
            },
        )
        return document

    imds._credentials_doc = with_session
