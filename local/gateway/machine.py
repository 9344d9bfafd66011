"""What stands for the machine of a new instance: files of its system that an image of it must not have."""

import os
import uuid

_KEY = """-----BEGIN OPENSSH %(kind)s KEY-----
not a key: made by the local cloud for %(instance)s
-----END OPENSSH %(kind)s KEY-----
"""


def make_machine(folder: str, instance_id: str) -> None:
    key = _KEY % {"kind": "PRIVATE", "instance": instance_id}
    _write(folder, "etc/ssh/ssh_host_ed25519_key", key, 0o600)
    _write(folder, "etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 not-a-key root@%s\n" % instance_id, 0o644)
    _write(folder, "etc/machine-id", uuid.uuid4().hex + "\n", 0o444)
    registration = '{"instanceID": "%s", "publicKey": "not a key"}\n' % instance_id
    _write(folder, "var/lib/amazon/ssm/Vault/Store/RegistrationKey", registration, 0o600)
    _write(folder, "var/log/syslog", "local cloud: %s was launched\n" % instance_id, 0o640)
    _write(folder, "root/.bash_history", "echo not a secret of %s\n" % instance_id, 0o600)


def _write(folder: str, name: str, text: str, mode: int) -> None:
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
