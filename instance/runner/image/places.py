"""What an image must not have, as names below a home, below the runner's root and below the folder of the system.

A name may have `*`, `?` and `[…]`. Sources: `cloud-init clean --logs` of cloud-init 24, machine-id(5), random-seed(8),
and what AWS asks of shared images.
"""

from __future__ import annotations

#: Of a home: histories, credentials, and what programs keep of one machine or one person.
HOME = (
    ".*_history",
    ".*_history-*",
    ".*_history.*",
    ".zsh_sessions",
    ".histfile",
    ".lesshst",
    ".viminfo",
    ".wget-hsts",
    ".sudo_as_admin_successful",
    ".Xauthority",
    ".ICEauthority",
    ".local/share/fish/fish_history",
    ".local/share/Trash",
    ".local/share/keyrings",
    ".local/share/recently-used.xbel",
    ".local/share/jupyter/runtime",
    ".local/share/uv/credentials",
    ".local/state",
    ".ipython/profile_*/history.sqlite*",
    ".ipython/profile_*/security",
    ".jupyter/migrated",
    ".ssh",
    ".aws",
    ".azure",
    ".kube",
    ".gnupg",
    ".password-store",
    ".netrc",
    ".git-credentials",
    ".pypirc",
    ".npmrc",
    ".pgpass",
    ".my.cnf",
    ".docker/config.json",
    ".boto",
    ".s3cfg",
    ".kaggle",
    ".huggingface",
    ".wandb",
    ".comet.config",
    ".neptune",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/glab-cli",
    ".config/hub",
    ".config/kaggle",
    ".config/rclone",
    ".config/wandb",
    ".vscode-server",
    ".cursor-server",
    ".cache",
)

#: What stays below the runner's root. `scrub.json` and `scrub.lock` are removed last.
KEPT_IN_ROOT = ("programs", "allow-root", "image.json", "scrub.json", "scrub.lock")

#: What stays in `.runctl` of a home, besides the environments: by its folder, the names of files, or None for all.
KEPT_IN_HOME = {"installs": ("*.json", "unfinished-*"), "image": ("opened.txt",), "overlays": None}
#: Of an install, while it works.
WORK_IN_HOME = ("tmp",)
ENVIRONMENT = "environment"
OPENED = "image/opened.txt"

#: Of the system: removed.
SYSTEM = (
    "etc/ssh/ssh_host_*",
    "etc/docker/key.json",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/coredump/*",
    "var/crash/*",
    "var/lib/dhcp/*",
    "var/lib/dhclient/*",
    "var/lib/dhcpcd/*",
    "var/lib/NetworkManager/*lease*",
    "var/lib/NetworkManager/*.lease",
    "var/lib/NetworkManager/secret_key",
    "var/lib/NetworkManager/timestamps",
    "var/log/journal/*",
)
#: Removed with all but the names in `KEPT_OF_CLOUD_INIT`: those are of the image's maker.
CLOUD_INIT = "var/lib/cloud/*"
KEPT_OF_CLOUD_INIT = ("seed", "scripts")
#: Emptied: an empty machine-id is set at the next boot, a missing one is a first boot.
EMPTIED = ("etc/machine-id",)
#: Removed when it is a file of its own; usually a link to the other one.
DBUS_MACHINE_ID = "var/lib/dbus/machine-id"
#: Folders whose content is removed.
TEMPORARY = ("tmp", "var/tmp")
#: Its files are emptied, so that owners and modes stay, and these are removed.
LOGS = "var/log"
ROTATED = ("*.gz", "*.xz", "*.bz2", "*.zst", "*.old", "*.[0-9]", "*.[0-9][0-9]", "*-20[0-9][0-9][0-9][0-9]*")
#: Written until the SSM agent has ended.
LOGS_OF_AGENT = "var/log/amazon/ssm"

#: Of the SSM agent, after it has been stopped: its registration, and the commands that it was sent.
AGENT = ("var/lib/amazon/ssm/*", "var/snap/amazon-ssm-agent/*/*", "var/log/amazon/ssm/*")

#: Files with settings of package indexes: a user and a password in a URL is a credential.
INDEX_SETTINGS = (
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".config/uv/uv.toml",
    ".condarc",
    ".gitconfig",
    ".config/git/config",
)
INDEX_SETTINGS_OF_SYSTEM = ("etc/pip.conf", "etc/uv/uv.toml", "etc/xdg/pip/pip.conf")
