"""What the emulator's instance metadata service lacks: valid credentials, and notices of EC2."""

import hashlib
from typing import Any, Callable, Dict

from ministack.services import imds, sts
from notices import Notices

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


# The keys of a file of notices, by the path that has them.
NOTICES = {
    "/latest/meta-data/spot/instance-action": "instance-action",
    "/latest/meta-data/events/recommendations/rebalance": "rebalance",
}


def give_notices(notices: Notices) -> None:
    """Answers with the notices of the instance, and with 404 when there are none, as EC2 does."""
    handle = imds.handle_request

    async def with_notices(
        method: str, path: str, headers: Dict[str, str], body: bytes, query_params: Dict[str, Any]
    ) -> Any:
        key = NOTICES.get(path)
        if key is not None and method == "GET" and imds._check_token(headers):
            notice = notices.of(headers.get("x-runctl-instance", "")).get(key)
            if notice is not None:
                return imds._json_resp(notice)
        return await handle(method, path, headers, body, query_params)

    imds.handle_request = with_notices
