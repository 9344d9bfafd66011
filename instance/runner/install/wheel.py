"""Downloads uv's program as a wheel with the standard library, for an instance that has neither uv nor pip."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import json
import os
import platform
import ssl
import stat
import urllib.error
import urllib.parse
import urllib.request
import zipfile

from common import marker
from install import uv_release
from install.errors import ToolFailed

#: The index of uv and pip where none is set.
DEFAULT_INDEX = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
#: uv's wheel has 20 MB.
_MAX_BYTES = 200_000_000
_TIMEOUT_S = 60


def fetch_uv(target: str, settings: dict[str, str]) -> str:
    """Writes uv's program to `target` and returns its wheel's name. settings: pip's, by upper-case name.

    Raises ToolFailed.
    """
    index = settings.get("INDEX_URL") or DEFAULT_INDEX
    try:
        opener = _opener(settings.get("CERT"))
        page, base, kind = _get(opener, index.rstrip("/") + "/uv/", _ACCEPT)
        name, url = choose(links(page.decode("utf-8", "replace"), base, kind), _tags())
        wheel, _, _ = _get(opener, url, "*/*", index)
        if hashlib.sha256(wheel).hexdigest() != uv_release.WHEELS[name]:
            raise ToolFailed(f"{name} from the index does not have the SHA-256 of that release")
        _unpack(wheel, target)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ToolFailed(f"{type(error).__name__}: {error}") from error
    return name


def links(text: str, base: str, content_type: str) -> list[tuple[str, str]]:
    """(file name, URL) of each file on a simple index's page, in JSON (PEP 691) or HTML (PEP 503)."""
    if "json" in content_type:
        urls = [entry["url"] for entry in json.loads(text)["files"]]
    else:
        parser = _Anchors()
        parser.feed(text)
        urls = parser.hrefs
    files = []
    for url in urls:
        plain = urllib.parse.urljoin(base, url).partition("#")[0]
        files.append((urllib.parse.unquote(urllib.parse.urlsplit(plain).path).rsplit("/", 1)[-1], plain))
    return files


def choose(files: list[tuple[str, str]], tags: tuple[str, str]) -> tuple[str, str]:
    """(file name, URL) of the pinned release's wheel for this machine. Raises ToolFailed."""
    begin, end = tags
    for name, url in files:
        if name in uv_release.WHEELS and any(
            tag.startswith(begin) and tag.endswith(end) for tag in name[: -len(".whl")].split("-")[-1].split(".")
        ):
            return name, url
    raise ToolFailed(f"the index has no uv {uv_release.VERSION} for {begin} on {end.strip('_')}")


def _tags() -> tuple[str, str]:
    """(what a fitting wheel's platform tag begins with, what it ends with)."""
    musl = any(name.startswith("ld-musl") for name in os.listdir("/lib"))
    return ("musllinux" if musl else "manylinux"), "_" + platform.machine()


def _opener(certificates: str | None) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=certificates or None)
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


def _get(
    opener: urllib.request.OpenerDirector, url: str, accept: str, credentials_of: str | None = None
) -> tuple[bytes, str, str]:
    """(body, final URL, content type). Credentials in the URL, or the index's for the same host, become a header."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ToolFailed(f"cannot download from a {parts.scheme} address")
    headers = {"Accept": accept, "User-Agent": "runctl"}
    other = urllib.parse.urlsplit(credentials_of or "")
    holder = parts if parts.username else other if other.hostname == parts.hostname else parts
    if holder.username:
        pair = urllib.parse.unquote(holder.username) + ":" + urllib.parse.unquote(holder.password or "")
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(plain, headers=headers)  # noqa: S310 - the scheme was checked above
    with opener.open(request, timeout=_TIMEOUT_S) as response:
        body = response.read(_MAX_BYTES)
        return body, response.geturl(), response.headers.get("Content-Type", "")


def _unpack(wheel: bytes, target: str) -> None:
    """Writes the program `uv` of the wheel by rename: PATH must never have an incomplete one."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        member = next((name for name in archive.namelist() if name.endswith(".data/scripts/uv")), None)
        if member is None:
            raise ToolFailed("the wheel does not contain the program uv")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        marker.replace(target, archive.read(member), stat.S_IRWXU)


class _Anchors(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.hrefs.append(href)
