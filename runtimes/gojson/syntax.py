"""JSON text -> values, with the same yes or no as Go's encoding/json.

Strict where Python's own reader is not (NaN, depth), and lenient where Go is: invalid UTF-8 and lone surrogates in
strings become U+FFFD, one for each byte or escape. No recursion: depth has Go's limit, not Python's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runtimes.gojson import fault
from runtimes.gojson.fault import STRING_BODY

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.gojson.toolchain import Toolchain

MAX_DEPTH = 10000

_SPACE = re.compile(rb"[ \t\r\n]*")
_TOKEN = re.compile(
    rb"[ \t\r\n]*+(?:"
    rb'"(' + STRING_BODY + rb')"'
    rb"|(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++|(?!\.))(?:[eE][+-]?[0-9]++|(?![eE])))"
    rb"|(true|false|null)"
    rb"|([\[{])"
    rb"|([\]}])"
    rb"|([:,]))"
)
_STRING, _NUMBER, _LITERAL, _OPEN, _CLOSE, _SEPARATOR = range(1, 7)
_LITERALS = {b"true": True, b"false": False, b"null": None}

# What the grammar waits for, and which signs and kinds of token each state takes.
_VALUE, _FIRST_VALUE, _KEY, _FIRST_KEY, _COLON, _ARRAY_REST, _OBJECT_REST, _END = range(8)
_SCALARS: list[int | bytes] = [_STRING, _NUMBER, _LITERAL]
_TAKES: dict[int, list[int | bytes]] = {
    _VALUE: [*_SCALARS, b"{", b"["],
    _FIRST_VALUE: [*_SCALARS, b"{", b"[", b"]"],
    _KEY: [_STRING],
    _FIRST_KEY: [_STRING, b"}"],
    _COLON: [b":"],
    _ARRAY_REST: [b",", b"]"],
    _OBJECT_REST: [b",", b"}"],
    _END: [],
}
_AFTER_SEPARATOR = {_COLON: _VALUE, _ARRAY_REST: _VALUE, _OBJECT_REST: _KEY}
_PLACES = {
    _KEY: "looking for beginning of object key string",
    _FIRST_KEY: "looking for beginning of object key string",
    _COLON: "after object key",
    _ARRAY_REST: "after array element",
    _OBJECT_REST: "after object key:value pair",
    _END: "after top-level value",
}

_ESCAPE = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\(.)")
_NO_CHARACTER = re.compile("[\ud800-\udfff]")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Number(str):
    """A number as the text spells it."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of an object in their order, every duplicate included."""

    __slots__ = ()


def parse(
    data: bytes,
    toolchain: Toolchain,
    *,
    make_object: Callable[[list[tuple[str, Any]]], Any] = Members,
    make_number: Callable[[str], Any] = Number,
) -> Any:
    """Read one JSON text. Raises `GoJsonFault`."""
    enclosing: list[tuple[list[Any], str | None]] = []
    items: list[Any] = []  # of the array or object that is open; at the top, of the text itself
    key: str | None = None  # None in an array
    waits, at = _VALUE, 0
    while token := _token(data, at, waits):
        kind, at = token.lastindex, token.end()
        text = token[kind or 0]
        if kind == _SEPARATOR:
            waits = _AFTER_SEPARATOR[waits]
        elif kind == _STRING and waits in (_KEY, _FIRST_KEY):
            key, waits = unquote(text), _COLON
        elif kind == _OPEN:
            if len(enclosing) == MAX_DEPTH:
                raise fault.depth(data, at - 1, toolchain)
            enclosing.append((items, key))
            items, key, waits = [], None, _FIRST_VALUE if text == b"[" else _FIRST_KEY
        else:
            if kind == _CLOSE:
                value = items if text == b"]" else make_object(items)
                items, key = enclosing.pop()
            else:
                value = make_number(text.decode()) if kind == _NUMBER else _scalar(kind, text)
            items.append(value if key is None else (key, value))
            waits = _END if not enclosing else _ARRAY_REST if key is None else _OBJECT_REST
    at = _skip_space(data, at)
    if waits == _END and at == len(data):
        return items[0]
    raise _fault(data, at, waits, toolchain)


def _token(data: bytes, at: int, waits: int) -> re.Match[bytes] | None:
    token = _TOKEN.match(data, at)
    if token is None or token.lastindex is None:
        return None
    kind = token.lastindex
    return token if (token[kind] if kind >= _OPEN else kind) in _TAKES[waits] else None


def _scalar(kind: int | None, text: bytes) -> str | bool | None:
    return unquote(text) if kind == _STRING else _LITERALS[text]


def _skip_space(data: bytes, at: int) -> int:
    space = _SPACE.match(data, at)
    return space.end() if space else at


def _fault(data: bytes, at: int, waits: int, toolchain: Toolchain) -> fault.GoJsonFault:
    if waits in (_VALUE, _FIRST_VALUE):
        return fault.value(data, at, toolchain)
    if waits in (_KEY, _FIRST_KEY) and data[at : at + 1] == b'"':
        return fault.string(data, at, toolchain)
    return fault.character(data, at, _PLACES[waits], toolchain)


def unquote(text: bytes) -> str:
    """Return what stands between the quotes of a string that is known to be well-formed."""
    found = text.decode("utf-8", "surrogateescape")
    if not found.isascii():
        found = _NO_CHARACTER.sub("\ufffd", found)
    return _ESCAPE.sub(_unescape, found) if "\\" in found else found


def _unescape(found: re.Match[str]) -> str:
    high, low, unit, short = found.groups()
    if short:
        return _SHORT.get(short, short)
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    code = int(unit, 16)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)
