"""What a person has EC2 say about an instance or a launch template: a file of JSON, read at each request."""

import json
import os
from typing import Any, Dict


class Notices:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def of(self, resource_id: str) -> Dict[str, Any]:
        """What `<folder>/<resource id>.json` has; nothing if there is no such file."""
        try:
            with open(os.path.join(self._folder, os.path.basename(resource_id) + ".json"), "rb") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
