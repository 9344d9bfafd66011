"""Runs MiniStack behind the guard: one process, one listener on loopback."""

import asyncio
import os
from typing import Any, Dict, List, Optional, Tuple

import power
import templates
from disks import Disks
from guard import Guard, Scope
from hypercorn.asyncio import serve
from hypercorn.config import Config
from images import Images
from imds import give_notices, use_sessions
from launches import Launches
from ministack.app import app
from ministack.core.iam_evaluator import CredentialResolutionError, resolve_credential
from ministack.services.s3 import _parse_multipart_form
from notices import Notices
from peer import peer_uid
from prices import with_prices
from ranges import with_ranges

HOST = "127.0.0.1"


def find_secret(key_id: str, session_token: str) -> Optional[str]:
    """Finds the secret of the cloud's key, of an account's id (the key id that the emulator gives to
    Lambda functions), and of keys and sessions that the emulator's IAM and STS have issued.
    """
    try:
        account = key_id if key_id.isdigit() else None
        found = resolve_credential(key_id, account, session_token)
    except ValueError:
        return None
    return None if isinstance(found, CredentialResolutionError) else found.secret_access_key


def parse_form(content_type: str, body: bytes) -> List[Tuple[str, bytes]]:
    # The emulator's own parser: with another one, a crafted form could show each a different policy.
    return [(name, value) for name, _, _, value in _parse_multipart_form(content_type, body)]


def main() -> None:
    os.umask(0o077)
    port = int(os.environ["GATEWAY_PORT"])

    def is_own_process(scope: Scope) -> bool:
        client = scope.get("client") or ("", 0)
        return client[0] == HOST and peer_uid(client[1], port) == os.getuid()

    use_sessions()
    notices = Notices(os.environ["GATEWAY_NOTICES"])
    give_notices(notices)
    templates.install()
    power.install(notices)
    folders = [os.environ[name] for name in ("GATEWAY_INSTANCES", "GATEWAY_IMAGES", "GATEWAY_PACKAGES")]
    disks = Disks(*folders)
    Launches(disks, Images(disks), notices)
    settings: Dict[str, Any] = {"bind": ["%s:%d" % (HOST, port)], "keep_alive_timeout": 75}
    config = Config.from_mapping(settings)
    asyncio.run(serve(Guard(with_prices(with_ranges(app)), find_secret, parse_form, is_own_process), config))


main()
