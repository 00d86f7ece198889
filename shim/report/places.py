"""Where a finding stands, and texts that may be anything."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from shim.report.model import Finding

_NO_FILES = ("", "-", "standard input")
# What XML 1.0 has no way to write; the other formats are better off without it, too.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    r"""Return a text with each character that XML does not have written as an escape: "\x1b"."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004  of two digits, or of four


def place(file: str, line: int | None) -> str:
    """Return "pod.yaml:7", or as much of it as is known."""
    return ":".join(str(part) for part in (file, line) if part not in ("", None))


def told(finding: Finding) -> str:
    """Return a finding's subject and message, the subject once."""
    if not finding.subject or finding.message.startswith(finding.subject):
        return finding.message
    return f"{finding.subject}: {finding.message}"


def uri(file: str) -> str:
    """Return a file as a URI relative to the working directory, "" for what is no file.

    What lies outside the working directory is an absolute URI.
    """
    if file in _NO_FILES:
        return ""
    absolute = os.path.abspath(file)  # noqa: PTH100  pathlib is slow to import
    relative = os.path.relpath(absolute)
    if relative == os.pardir or relative.startswith(os.pardir + os.sep):
        return "file://" + _quoted(absolute)
    return _quoted(relative)


def _quoted(path: str) -> str:
    """Quote the bytes of a path; half of a surrogate pair, which stands for no byte, is a question mark."""
    try:
        return quote(os.fsencode(path))
    except UnicodeEncodeError:
        return quote(path.encode("utf-8", "replace"))
