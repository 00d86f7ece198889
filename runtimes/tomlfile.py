"""Tables -> the text of a TOML file, which the standard library only reads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(table: dict[str, Any]) -> str:
    """Return the text that `tomllib` reads as this table."""
    return "".join(f"{line}\n" for line in _lines(table, ()))


def at(table: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return a table inside of a table, made where there is none."""
    for key in path:
        if not isinstance(table.get(key), dict):
            table[key] = {}
        table = table[key]
    return table


def _lines(table: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Write the values of a table, then the tables in it."""
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if path and (values or not table):
        yield f"[{'.'.join(map(_key, path))}]"
    for key, value in values.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _lines(value, (*path, key))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if hasattr(value, "isoformat"):  # a date, a time
        return str(value.isoformat())
    return str(value).lower() if isinstance(value, bool) else str(value)  # inf, nan and 1e+16 are as in TOML


def _text(text: str) -> str:
    """Write a text as JSON does, whose escapes are TOML's; TOML has one more character that needs one."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
