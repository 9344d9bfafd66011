"""Reads a requirements file with everything that it includes: what it asks for, what tells whether it has changed.

Not an installer's parser: uv and pip judge the lines. Enough to know names, files and that nothing is asked for at all.
"""

import hashlib
import os
import re
import urllib.parse

from common.packages import normalize
from install.errors import InstallError
from install.redact import without_credentials

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(\S.*)$")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(\S.*)$")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(?:(@)\s*(.+)|[<>=!~;(].*|$)")
_ARCHIVE = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_SKIPPED_FOLDERS = (".git", ".hg", "__pycache__", "build", "dist", ".venv", "node_modules", ".runctl")
#: Of larger files size and time stand for the content: a project folder may hold its data set.
_LARGE = 1_000_000


class Requirements:
    """lines   logical lines, variables filled in (may hold credentials: never print them)
    names   normalized names asked for by name
    asks    whether anything is to be installed at all
    remote  included files that only the network could compare
    """

    def __init__(self):
        self.lines = []
        self.names = set()
        self.asks = False
        self.remote = []
        self._seen = set()
        self._content = []

    def digest(self):
        """SHA-256 of all that was read, without credentials: a token that was renewed is no change."""
        digest = hashlib.sha256()
        for line in [without_credentials(line) for line in self.lines] + self._content:
            digest.update(line.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()


def read(file, project, env):
    """Reads `file` (absolute); local paths in it are relative to `project`, as they are for pip.

    Raises InstallError RequirementsMissing for the file and for any that it includes.
    """
    found = Requirements()
    if file.endswith(".toml"):
        found.asks = True
        found.lines.append(file)
        found._content.append(_file_digest(file, None))
        return found
    _read_file(found, file, project, env, None, constraint=False)
    return found


def _read_file(found, file, project, env, included_by, constraint):
    if (file, constraint) in found._seen:
        return
    found._seen.add((file, constraint))
    try:
        with open(file, encoding="utf-8-sig", errors="surrogateescape") as source:
            text = source.read()
    except OSError as error:
        by = f", which {included_by} includes," if included_by else ""
        message = f"the requirements file {file}{by} cannot be read: {error.strerror}"
        raise InstallError("RequirementsMissing", message) from error
    for line in _logical_lines(text):
        line = _VARIABLE.sub(lambda match: env.get(match.group(1), match.group()), line)
        found.lines.append(line)
        include = _INCLUDE.match(line)
        editable = _EDITABLE.match(line)
        if include:
            target = _unquote(include.group(1))
            if "://" in target and not target.startswith("file://"):
                found.remote.append(without_credentials(target))
                found.asks = found.asks or not line.startswith(("-c", "--constraint"))
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(file), _path(target)))
            inner = constraint or line.startswith(("-c", "--constraint"))
            _read_file(found, target, project, env, file, inner)
        elif editable:
            found.asks = True
            _add_local(found, editable.group(1), file, project, editable=True)
        elif not line.startswith("-") and not constraint:
            found.asks = True
            _add_requirement(found, line, file, project)


def _add_requirement(found, line, file, project):
    named = _NAMED.match(line)
    if named and not named.group(1).lower().endswith(_ARCHIVE):
        found.names.add(normalize(named.group(1)))
        if named.group(3):
            _add_local(found, named.group(4), file, project, editable=False)
    else:
        _add_local(found, line, file, project, editable=False)


def _add_local(found, target, file, project, editable):
    """Takes the content of a local path into account; a URL stands for itself."""
    target = re.split(r"\s+;|\s+--", target)[0].strip()
    if "://" in target and not target.startswith("file://"):
        return
    path = re.sub(r"\[[^\]]*\]$", "", _path(target))
    for base in (project, os.path.dirname(file)):
        where = os.path.normpath(os.path.join(base, path))
        if os.path.isfile(where):
            found._content.append(_file_digest(where, None))
        elif os.path.isdir(where):
            found._content.extend(_folder_digests(where, editable))
        else:
            continue
        return


def _folder_digests(folder, editable):
    """Of a package that is copied every file counts; of an editable one only what decides about its dependencies."""
    if editable:
        wanted = re.compile(r"(pyproject\.toml|setup\.py|setup\.cfg|.*requirements.*\.txt)$")
        names = sorted(name for name in os.listdir(folder) if wanted.match(name))
        return [_file_digest(os.path.join(folder, name), name) for name in names]
    digests = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS and not name.endswith(".egg-info"))
        for name in sorted(names):
            if not name.endswith(".pyc"):
                path = os.path.join(where, name)
                digests.append(_file_digest(path, os.path.relpath(path, folder)))
    return digests


def _file_digest(path, label):
    digest = hashlib.sha256()
    try:
        info = os.stat(path)
        if label and info.st_size > _LARGE:
            digest.update(f"{info.st_size} {info.st_mtime_ns}".encode())
        else:
            with open(path, "rb") as source:
                for block in iter(lambda: source.read(1 << 20), b""):
                    digest.update(block)
    except OSError as error:
        if not label:
            raise InstallError("RequirementsMissing", f"{path} cannot be read: {error.strerror}") from error
        digest.update(b"unreadable")  # a dangling link or a socket inside a package folder
    return f"{label or path} {digest.hexdigest()}"


def _logical_lines(text):
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def _path(target):
    if target.startswith("file://"):
        return urllib.parse.unquote(urllib.parse.urlsplit(target).path)
    return os.path.expanduser(_unquote(target))


def _unquote(text):
    return text.strip().strip("\"'")
