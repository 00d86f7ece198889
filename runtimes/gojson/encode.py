"""Values -> JSON text, as Go's json.Marshal writes it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from runtimes.gojson.toolchain import Toolchain

# Marshal keeps its output safe inside HTML and JavaScript. None of these can stand outside a string.
_HTML = re.compile("[<>&\u2028\u2029]")
_ESCAPE = re.compile(r"\\.")
_LONG = {r"\b": r"\u0008", r"\f": r"\u000c"}
_NO_CHARACTER = re.compile("[\ud800-\udfff]")


def dumps(value: Any, toolchain: Toolchain = Toolchain.SHORT_ESCAPES) -> str:
    """Return what Marshal writes for JSON-shaped values: None, bool, int, str, list, tuple, dict, msgspec structs.

    Compact; the order of a dict is kept. Bytes that are no UTF-8 (surrogate escapes in a str) become U+FFFD.
    """
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        text = _with_bad_bytes(value, toolchain)
    if _HTML.search(text):
        text = _HTML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if toolchain is Toolchain.PATH and ("\\b" in text or "\\f" in text):
        text = _ESCAPE.sub(lambda found: _LONG.get(found[0], found[0]), text)
    return text


def _with_bad_bytes(value: Any, toolchain: Toolchain) -> str:
    import json  # noqa: PLC0415  seldom needed

    text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
    return _NO_CHARACTER.sub("\ufffd" if toolchain is Toolchain.JSONV2 else r"\\ufffd", text)
