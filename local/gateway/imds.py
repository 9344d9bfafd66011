"""The emulator's instance metadata service, with credentials that its other services take."""

import hashlib
from typing import Any, Callable, Dict

from ministack.services import imds, sts

ROLE = "arn:aws:sts::000000000000:assumed-role/ministack-instance-role/local"


def use_sessions() -> None:
    """Makes the credentials of the instance's role a session of STS: by itself the emulator makes them up."""
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
