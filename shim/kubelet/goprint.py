"""Go values as Go prints them, for error texts that quote a structure."""

from __future__ import annotations

from typing import Any

import msgspec

# Where a pointer points to differs from call to call; every pointer that is set is shown with this address.
ADDRESS = "0xc000000000"


class Pointer(msgspec.Struct, frozen=True):
    """A pointer to a value of a Go type, nil where the value is None."""

    type: str
    value: Any


class Struct(msgspec.Struct, frozen=True):
    """A struct with its fields in their order."""

    type: str
    fields: dict[str, Any]


def quoted(text: str) -> str:
    """Return a text as %q shows it."""
    from runtimes.gojson import quote  # noqa: PLC0415  for the refusals that need it

    return quote(text)


def as_go(value: Any) -> str:
    """Return a value as %#v shows it."""
    if isinstance(value, Struct):
        fields = ", ".join(f"{name}:{as_go(each)}" for name, each in value.fields.items())
        return f"{value.type}{{{fields}}}"
    if isinstance(value, Pointer):
        return f"(*{value.type})({'nil' if value.value is None else ADDRESS})"
    return quoted(value) if isinstance(value, str) else str(value)


def as_json(value: Any) -> str:
    """Return a value as encoding/json writes it."""
    from runtimes.gojson.encode import dumps  # noqa: PLC0415  for the rare text that needs it

    return dumps(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return {name: _plain(each) for name, each in value.fields.items()}
    if isinstance(value, Pointer):
        return _plain(value.value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value
