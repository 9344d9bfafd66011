"""Searches the files that stay for keys and presigned URLs. Reports paths, never what is in them."""

from __future__ import annotations

import os
import re
import time
from typing import Callable, Iterator

from image.folder import Entry, Folder

_MAX_BYTES = 1_000_000
#: A home with more files than can be read in this time cannot be shown to be clean.
_MAX_S = 1_800.0
_PATTERNS = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    # Those of AWS's documentation end with EXAMPLE.
    "an access key of AWS": re.compile(
        rb"(?<![A-Za-z0-9])A(?:KIA|SIA)(?![A-Z0-9]{9}EXAMPLE)[A-Z0-9]{16}(?![A-Za-z0-9])"
    ),
    "a secret key of AWS": re.compile(
        rb"(?i:aws_?secret_?access_?key|secretaccesskey)[\"']?\s{0,4}[=:]\s{0,4}[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
    ),
    "a presigned URL": re.compile(rb"X-Amz-(?:Signature=[0-9a-fA-F]{16}|Security-Token=[A-Za-z0-9%])"),
    "a token of Hugging Face": re.compile(rb"(?<![A-Za-z0-9_])hf_[A-Za-z]{34}(?![A-Za-z0-9])"),
    "a token of GitHub": re.compile(rb"(?<![A-Za-z0-9_])(?:gh[opsu]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})"),
}
_CREDENTIALS_IN_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@\"']*:[^/\s@\"']+@|_authToken|_password\s*=")
_PACKAGES = re.compile(
    r"/(?:site|dist)-packages$|/lib(?:64)?/python3(?:\.\d+)?$|/node_modules$|/\.cargo/registry$|/go/pkg/mod$"
)


class NotSearched(Exception):
    """There was more than can be searched."""


def search(folder: Folder, pattern: str = "*", is_skipped: Callable[[str], bool] = lambda path: False) -> Iterator[str]:
    """Paths of files with something that looks like a key, and what it is. Raises NotSearched.

    Folders of packages are not searched: packages bring keys for their own tests. is_skipped: by the path of a folder.
    """
    until = time.monotonic() + _MAX_S
    for entry in folder.walk(pattern, lambda path: _is_packages(path) or is_skipped(path)):
        if time.monotonic() > until:
            raise NotSearched(f"{folder.path} has more files than can be searched in {_MAX_S:g} s")
        data = _read(entry)
        why = next((name for name, one in _PATTERNS.items() if one.search(data)), None) if data else None
        if why:
            yield f"{entry.path} ({why})"


def credentials_in_urls(folder: Folder, pattern: str) -> Iterator[str]:
    """Paths of files with a password in a URL."""
    for entry in folder.find(pattern):
        if _CREDENTIALS_IN_URL.search(_read(entry)):
            yield f"{entry.path} (a password in a URL)"


def _is_packages(path: str) -> bool:
    return _PACKAGES.search(path) is not None or (
        os.path.basename(path) == "pkgs" and os.path.isdir(os.path.join(os.path.dirname(path), "conda-meta"))
    )


def _read(entry: Entry) -> bytes:
    """The content of a regular file of at most 1 MB, else nothing."""
    fd = entry.open_file()
    if fd is None:
        return b""
    try:
        if os.fstat(fd).st_size > _MAX_BYTES:
            return b""
        pieces = []
        while sum(map(len, pieces)) <= _MAX_BYTES:
            piece = os.read(fd, _MAX_BYTES)
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)
