"""Where the packages of an install go, and which packages the training will see."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from common.packages import installed
from install.errors import ToolFailed

if TYPE_CHECKING:
    from common.interpreter import Interpreter
    from common.packages import Package

# An overlay is on PYTHONPATH, where Python reads no .pth files; editable installs are made of them.
_SITECUSTOMIZE = '''"""Written by runctl: reads this folder's .pth files, then the sitecustomize that this one hides."""
import importlib.machinery
import importlib.util
import os
import site
import sys

_here = os.path.dirname(os.path.abspath(__file__))
site.addsitedir(_here)
_others = [entry for entry in sys.path if os.path.abspath(entry) != _here]
_spec = importlib.machinery.PathFinder.find_spec("sitecustomize", _others)
if _spec and _spec.loader:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
'''


class Target:
    """interpreter  interpreter.Interpreter
    facts        its facts, from interpreter_facts.probe
    prefix       the folder that is used in place of the environment, or None: the environment itself
    own          folders below which an install puts packages
    """

    def __init__(self, interpreter: Interpreter, facts: dict[str, Any]) -> None:
        self.interpreter = interpreter
        self.facts = facts
        if interpreter.kind == "system":
            self.prefix: str | None = facts["userBase"]
            self.own: list[str] = [facts["userSite"]]
        elif interpreter.kind == "project":
            self.prefix = interpreter.prefix
            self.own = [facts["purelib"]]
        elif interpreter.kind == "overlay":
            self.prefix = interpreter.overlay
            self.own = [interpreter.env["PYTHONPATH"]]
        else:
            self.prefix = None
            self.own = [facts["purelib"]]

    def visible(self) -> dict[str, Package]:
        """Installed packages by normalized name, as an import would find them."""
        path = self.facts["path"]
        # A folder that did not exist when the interpreter started is not on its path; it comes first all the same.
        missing = [folder for folder in self.own if folder not in path]
        return installed(missing + path)

    def is_own(self, package: Package) -> bool:
        """Whether the package is in a folder of installs, rather than in the image."""
        return package.root in self.own

    def describe(self) -> str:
        if self.interpreter.kind == "system":
            return f"the user's site {self.own[0]}"
        if self.interpreter.kind == "project":
            return f"the project's environment {self.prefix}"
        return f"{'the overlay ' if self.prefix else ''}{self.prefix or self.facts['prefix']}"

    def prepare(self) -> None:
        """Creates the folder; raises ToolFailed where Python would not find packages below `prefix`."""
        if not self.prefix:
            return
        os.makedirs(self.own[0], exist_ok=True)
        if self.interpreter.kind == "overlay":
            with open(os.path.join(self.own[0], "sitecustomize.py"), "w") as file:
                file.write(_SITECUSTOMIZE)
        # Fedora and Amazon Linux install compiled packages into lib64, and search only lib for the user's own.
        other = os.path.join(self.prefix, self.facts["platlibdir"])
        if self.facts["platlibdir"] == "lib" or os.path.islink(other):
            return
        if os.path.exists(other):
            raise ToolFailed(f"{other} is a folder, and this Python does not search it for packages")
        os.symlink("lib", other)
