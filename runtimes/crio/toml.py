"""TOML with the types that CRI-O's configuration wants, and the words it finds for others.

Where the text itself is no TOML, the words after `toml: ` are this program's; a value of the wrong type is refused as
the daemon's library refuses it, or, where a map is wanted, passed over as that library does.
Source: vendored github.com/BurntSushi/toml, decode.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from runtimes.gojson import quote

if TYPE_CHECKING:
    from runtimes.crio.at import At

# Python's types -> how Go prints them, and our types -> Python's and how the library calls them.
_NAMES = ((bool, "bool"), (int, "int64"), (float, "float64"), (str, "string"), (dict, "map[string]{any}"))
_WANTED: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "string"),
    "bool": ((bool,), "boolean"),
    "integer": ((int,), "integer"),
    "duration": ((int, str), "integer"),
    "list": ((list,), "slice"),
}
_MAPS = ("map", "tables")
_INT64 = range(-(1 << 63), 1 << 63)


class TomlFault(Exception):
    """The library's complaint, "toml: line 3 (last key "crio.runtime.selinux"): ..."."""


class Document(msgspec.Struct, frozen=True):
    """A parsed file, its text, which tells the lines, and the words of a release for what is wrong with it."""

    values: dict[str, Any]
    text: str
    facts: At

    def line(self, dotted: str) -> int:
        """Return the line on which a key is set, as far as a reader of the text can tell; 0 where it cannot."""
        table, _, key = dotted.lower().rpartition(".")
        current = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
            if header:
                current = header[1].replace('"', "").lower()
                if current == dotted.lower():
                    return number
            found = re.match(r"\s*\"?([A-Za-z0-9_.-]+)\"?\s*=", line)
            if found and f"{current}.{found[1].lower()}".lstrip(".") in (f"{table}.{key}", key):
                return number
        return 0

    def fault(self, dotted: str, key: str, **details: str) -> TomlFault:
        """Return a complaint about a key in the words of the release, `key` of the facts."""
        line = self.line(dotted)
        place = f"line {line} (last key {quote(dotted)}): " if line else f"(last key {quote(dotted)}): "
        return TomlFault(self.facts.value(key).format(place=place, key=quote(dotted), **details))

    def name(self, value: Any) -> str:
        """Return the type of a value as the library prints it."""
        if isinstance(value, list):
            tables = value and all(isinstance(item, dict) for item in value)
            name = "[]map[string]{any}" if tables else "[]{any}"
        else:
            name = next((name for type_, name in _NAMES if isinstance(value, type_)), "time.Time")
        return name.replace("{any}", self.facts.value("toml-any"))


def parse(content: bytes, facts: At) -> Document:
    """Read a file. Raises `TomlFault`."""
    import tomllib  # noqa: PLC0415  only a daemon with a configuration needs it

    try:
        text = content.decode()
        return Document(tomllib.loads(text), text, facts)
    except (ValueError, RecursionError) as fault:  # tomllib's own, wrong UTF-8, a number of too many digits
        raise TomlFault(f"toml: {fault}") from None


def typed(value: Any, kind: str, dotted: str, document: Document) -> Any:
    """Return a value that has the type which its key wants, None for no map where one is wanted. Raises `TomlFault`."""
    if kind in _MAPS:
        if not isinstance(value, dict) or kind == "tables":
            return value if isinstance(value, dict) else None
        return {name: typed(text, "string", f"{dotted}.{name}", document) for name, text in value.items()}
    if kind == "table":
        return table(value, "config.Resources", dotted, document)
    wanted, destination = _WANTED[kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise document.fault(dotted, "toml-type-error", has=document.name(value), wanted=destination)
    if isinstance(value, int) and value not in _INT64:
        raise TomlFault(
            f"toml: line {document.line(dotted)}: Integer '{value}' is out of the range of 64-bit signed integers."
        )
    if isinstance(value, list):
        return [typed(item, "string", dotted, document) for item in value]
    return value


def table(value: Any, struct: str, dotted: str, document: Document) -> dict[str, Any]:
    """Return a table, which is decoded into a Go struct of that name. Raises `TomlFault`."""
    if not isinstance(value, dict):
        raise document.fault(dotted, "toml-table-error", has=document.name(value), struct=struct)
    return value


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
