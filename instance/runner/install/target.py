"""Where the packages of an install go, and what a program started by train will see."""

import os

from common.packages import installed
from install.errors import ToolFailed

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
    facts        what interpreter_facts.probe said of it
    prefix       the folder that stands in for the environment, or None: the environment itself
    own          folders below which an install puts packages
    """

    def __init__(self, interpreter, facts):
        self.interpreter = interpreter
        self.facts = facts
        if interpreter.kind == "system":
            self.prefix = facts["userBase"]
            self.own = [facts["userSite"]]
        elif interpreter.kind == "overlay":
            self.prefix = interpreter.overlay
            self.own = [interpreter.env["PYTHONPATH"]]
        else:
            self.prefix = None
            self.own = [facts["purelib"]]

    def visible(self):
        """Installed packages by normalized name, as an import would find them."""
        path = self.facts["path"]
        # A folder that did not exist when the interpreter started is not on its path; it comes first all the same.
        missing = [folder for folder in self.own if folder not in path]
        return installed(missing + path)

    def is_own(self, package):
        """Whether an install put it there, rather than the image."""
        return package.root in self.own

    def describe(self):
        if self.interpreter.kind == "system":
            return f"the user's site {self.own[0]}"
        return f"{'the overlay ' if self.prefix else ''}{self.prefix or self.facts['prefix']}"

    def prepare(self):
        """Makes the folder; raises ToolFailed where packages put below `prefix` would not be found."""
        if not self.prefix:
            return
        os.makedirs(self.own[0], exist_ok=True)
        if self.interpreter.kind == "overlay":
            with open(os.path.join(self.own[0], "sitecustomize.py"), "w") as file:
                file.write(_SITECUSTOMIZE)
        # Fedora and Amazon Linux keep compiled packages in lib64, and look for the user's own in lib alone.
        other = os.path.join(self.prefix, self.facts["platlibdir"])
        if self.facts["platlibdir"] == "lib" or os.path.islink(other):
            return
        if os.path.exists(other):
            raise ToolFailed(f"{other} is a folder, and this Python does not look for packages there")
        os.symlink("lib", other)
