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
    found, at = [], 0
    while at < len(pattern):
        part = _PART.match(pattern, at)
        if part is None:
            return False
        found.append(_class(part) if part["ranges"] else _SIGNS.get(part[0]) or re.escape(part[0][-1]))
        at = part.end()
    return re.fullmatch("".join(found), text, re.DOTALL) is not None


_ONE = r"(?:\\.|[^\\\]-])"
_RANGE = re.compile(rf"({_ONE})(?:-({_ONE}))?", re.DOTALL)
_PART = re.compile(rf"\[(?P<but>\^|(?!\^))(?P<ranges>(?:{_ONE}(?:-{_ONE})?)+)\]|\\.|[^\[\\]", re.DOTALL)
_SIGNS = {"*": "[^/]*", "?": "[^/]"}


def _class(part: re.Match[str]) -> str:
    ranges = [(low[-1], (high or low)[-1]) for low, high in _RANGE.findall(part["ranges"])]
    shown = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges if low <= high)
    if not shown:
        return "." if part["but"] else "(?!)"
    return f"[{part['but']}{shown}]"
