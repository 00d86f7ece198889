"""Paths as Go's filepath and path packages see them."""

from __future__ import annotations

import posixpath
import re


def clean(path: str) -> str:
    """Return the shortest equal path, as filepath.Clean does: "." for nothing, one slash where there were two."""
    found = posixpath.normpath(path)
    return found[1:] if found.startswith("//") else found


def join(*parts: str) -> str:
    """Join what is not empty and clean the result, as filepath.Join does."""
    present = [part for part in parts if part]
    return clean("/".join(present)) if present else ""


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern of path.Match: * and ? stop at a slash; a malformed pattern matches nothing."""
    try:
        return re.fullmatch(_pattern(pattern), text, re.DOTALL) is not None
    except re.error:
        return False


def _pattern(pattern: str) -> str:
    found, at = [], 0
    while at < len(pattern):
        sign = pattern[at]
        end = pattern.find("]", at + 2) if sign == "[" else -1
        if sign == "[" and end < 0:
            raise re.error("no end of a class")
        if sign == "[":
            found.append(pattern[at : end + 1].replace("[^", "(?!/)[^", 1))
            at = end
        elif sign == "\\" and at + 1 < len(pattern):
            at += 1
            found.append(re.escape(pattern[at]))
        else:
            found.append({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)))
        at += 1
    return "".join(found)
