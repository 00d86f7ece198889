"""TOML with the types that CRI-O's configuration wants, and the words it finds for others.

Where the text itself is no TOML, the words after `toml: ` are this program's; a value of the wrong type is refused as
the daemon's library refuses it.
Source: vendored github.com/BurntSushi/toml, decode.go.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from runtimes.errors import BadInput

_NAMES = ((bool, "bool"), (int, "int64"), (float, "float64"), (str, "string"), (list, "[]interface {}"))
# Our type -> Python's, and what the library calls the destination.
_WANTED: dict[str, tuple[type, str]] = {
    "string": (str, "string"),
    "bool": (bool, "boolean"),
    "integer": (int, "integer"),
    "list": (list, "slice"),
    "map": (dict, "map"),
    "table": (dict, "map"),
    "tables": (dict, "map"),
    "duration": (str, "string"),
}


_INT64 = range(-(1 << 63), 1 << 63)


class TomlFault(Exception):
    """The library's complaint, "toml: line 3 (last key "crio.runtime.selinux"): ..."."""


class Document(msgspec.Struct, frozen=True):
    """A parsed file and its text, which tells the lines."""

    values: dict[str, Any]
    text: str

    def line(self, dotted: str) -> int:
        """Return the line on which a key is set, as far as a reader of the text can tell; 0 where it cannot."""
        table, _, key = dotted.rpartition(".")
        current = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
            if header:
                current = header[1].replace('"', "").lower()
            found = re.match(r"\s*\"?([A-Za-z0-9_-]+)\"?\s*=", line)
            if found and found[1].lower() == key.lower() and current == table.lower():
                return number
        return 0


def parse(content: bytes) -> Document:
    """Read a file. Raises `TomlFault`."""
    import tomllib  # noqa: PLC0415  only a daemon with a configuration needs it

    try:
        text = content.decode()
        return Document(tomllib.loads(text), text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise TomlFault(f"toml: {fault}") from None


def typed(value: Any, kind: str, dotted: str, document: Document) -> Any:
    """Return a value that has the type which its key wants. Raises `TomlFault`."""
    wanted, destination = _WANTED[kind]
    found = value
    if isinstance(value, list) and wanted is list:
        wrong = [item for item in value if not isinstance(item, str)]
        if not wrong:
            return value
        destination, found = "string", wrong[0]
    elif isinstance(value, int) and not isinstance(value, bool) and wanted is int:
        if _INT64.start <= value < _INT64.stop:
            return value
    elif isinstance(value, wanted) and wanted is not int:
        return value
    line = document.line(dotted)
    place = f"line {line} (last key {_quoted(dotted)})" if line else f"(last key {_quoted(dotted)})"
    complaint = f"incompatible types: TOML value has type {_name(found)}; destination has type {destination}"
    raise TomlFault(f"toml: {place}: {complaint}")


def from_text(text: str, kind: str, how: str) -> Any:
    """Return what a flag or an environment variable says. Raises `BadInput`."""
    if kind == "bool":
        if text.lower() not in ("1", "t", "true", "0", "f", "false"):
            raise BadInput(f"{text!r} is no boolean", where=how, right="true or false")
        return text.lower() in ("1", "t", "true")
    if kind == "integer":
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise BadInput(f"{text!r} is no number", where=how)
        return int(text)
    return [item.strip() for item in text.split(",") if item.strip()] if kind == "list" else text


def _name(value: Any) -> str:
    return next((name for type_, name in _NAMES if isinstance(value, type_)), "map[string]interface {}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
