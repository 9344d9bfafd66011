"""The globs of a spec's `outputs`."""

import os
import re


def literal_part(glob):
    """The folder, or file, at which a glob's matches begin."""
    parts = []
    for part in glob.strip("/").split("/"):
        if re.search(r"[*?\[]", part):
            break
        parts.append(part)
    begin = os.path.normpath("/".join(parts)) if parts else ""
    return "" if begin == "." else begin


def regex(glob):
    """A glob of the spec: `*` and `?` stay within a folder, `**` goes through folders; a folder means all in it.

    Raises re.error.
    """
    words = []
    parts = [part for part in glob.strip("/").split("/") if part not in ("", ".")]
    # Each `**` of a row would multiply the ways to match one name.
    parts = [part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ["**"]]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            words.append(".*" if last else "(?:.*/)?")
        else:
            words.append(_segment(part) + ("" if last else "/"))
    return re.compile("".join(words) + r"(?:/.*)?\Z", re.DOTALL)


def _segment(part):
    out, at = [], 0
    while at < len(part):
        char = part[at]
        end = part.find("]", at + 2) if char == "[" else -1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif end > 0:
            inner = part[at + 1 : end].replace("\\", "\\\\")
            out.append("[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]")
            at = end
        else:
            out.append(re.escape(char))
        at += 1
    return "".join(out)
