"""The key of a stored environment: equal for two instances only where an install would make the same environment."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from common.packages import installed
from install import project_environment, records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from install.requirements import Requirements
    from install.source import Source
    from install.target import Target

#: Of the archive and of what the key is made of: another number is another key.
FORMAT = 1


def key_of(
    project: str,
    source: Source,
    requirements: Requirements,
    base: Target,
    installer: str,
    settings: Mapping[str, str],
) -> str | None:
    """A SHA-256 of all that an install into a new environment depends on; None: it depends on more.

    project: its name. base: of the image's interpreter. installer: the run spec's. settings: of pip and uv, by the
    names of their variables: the run spec's `env` with the references of its secrets, and the instance's own.

    A file at a URL may change under its name. A local project is installed from the folder of the code, which an
    editable install names, and the folder is another one for another user.
    """
    if requirements.remote or requirements.local_folders or source.kind == "conda":
        return None
    folders = project_environment.image_folders(base)
    image = {name: [package.version, package.root] for name, package in installed(folders).items()}
    facts = base.facts
    parts = {
        "format": FORMAT,
        "project": project,
        "requirements": [source.name, requirements.digest()],
        "interpreter": [base.interpreter.path, os.path.realpath(base.interpreter.path)],
        "python": [facts[name] for name in ("implementation", "version", "abi", "platform", "libc")],
        "image": [folders, image],
        "installer": installer,
        "settings": records.relevant_settings(dict(settings)),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
