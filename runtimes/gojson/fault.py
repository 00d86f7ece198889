"""Go's own words for what is wrong with a JSON text.

Each function is called at the first byte that does not fit and says what encoding/json says there. Up to the rewrite on
top of encoding/json/v2 the end of input counted as a space, which shows when a number or literal is cut off; since
then it is always "unexpected end of JSON input". Source: Go's encoding/json, scanner.go and jsontext/decode.go;
recorded with both in tests/gojson.
"""

from __future__ import annotations

import re

from runtimes.gojson.quoting import quote
from runtimes.gojson.toolchain import Toolchain

_MARK = "'"
UNEXPECTED_END = "unexpected end of JSON input"
LITERALS = {ord("t"): "true", ord("f"): "false", ord("n"): "null"}

# What may stand inside a string: the longest run of it ends where the fault is.
STRING_BODY = rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*'
_STRING_BODY = re.compile(STRING_BODY)
# As far as a number goes that ends too early: at its sign, its point or its exponent.
_NUMBER = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:(?P<point>\.)[0-9]*)?(?:(?<=[0-9])(?P<exponent>[eE][+-]?))?)?")
_ESCAPE_PREFIX = re.compile(rb"\\(?:u[0-9a-fA-F]{0,4})?")
# Where the rewrite says less than its forerunner did.
_JSONV2 = {
    "in string literal": "in string",
    "after decimal point in numeric literal": "in numeric literal",
    "in exponent of numeric literal": "in numeric literal",
}


class GoJsonFault(Exception):
    """What encoding/json says is wrong; `str(fault)` is its text."""


def character(data: bytes, at: int, where: str, toolchain: Toolchain) -> GoJsonFault:
    """Say that the byte at `at` does not fit between values, or that there is none."""
    if at >= len(data):
        return GoJsonFault(UNEXPECTED_END)
    return _invalid(data, at, where, toolchain)


def value(data: bytes, at: int, toolchain: Toolchain) -> GoJsonFault:
    """Say what is wrong with the value that begins at `at`."""
    first = data[at : at + 1]
    if first == b'"':
        return string(data, at, toolchain)
    if first in (b"t", b"f", b"n"):
        return _literal(data, at, toolchain)
    if first and first in b"-0123456789":
        return number(data, at, toolchain)
    return character(data, at, "looking for beginning of value", toolchain)


def depth(data: bytes, at: int, toolchain: Toolchain) -> GoJsonFault:
    """Say that the array or object that begins at `at` is nested too deeply."""
    if toolchain is Toolchain.JSONV2:
        return GoJsonFault("exceeded max depth")
    return _invalid(data, at, "exceeded max depth", toolchain)


def number(data: bytes, at: int, toolchain: Toolchain) -> GoJsonFault:
    """Say what is wrong with the number that begins at `at`."""
    found = _NUMBER.match(data, at)
    assert found  # noqa: S101  it matches the empty text
    where = "in numeric literal"
    if found["exponent"]:
        where = "in exponent of numeric literal"
    elif found["point"]:
        where = "after decimal point in numeric literal"
    return _inside(data, found.end(), where, toolchain)


def string(data: bytes, at: int, toolchain: Toolchain) -> GoJsonFault:
    """Say what is wrong with the string that begins at `at`."""
    found = _STRING_BODY.match(data, at + 1)
    assert found  # noqa: S101  it matches the empty text
    end = found.end()
    if end >= len(data):
        return GoJsonFault(UNEXPECTED_END)
    if data[end] != ord("\\"):
        return _invalid(data, end, "in string literal", toolchain)
    if toolchain is Toolchain.JSONV2:
        return _escape_jsonv2(data, end)
    if data[end + 1 : end + 2] != b"u":
        return _inside(data, end + 1, "in string escape code", toolchain)
    prefix = _ESCAPE_PREFIX.match(data, end)
    assert prefix  # noqa: S101  there is a backslash
    return _inside(data, prefix.end(), r"in \u hexadecimal character escape", toolchain)


def _literal(data: bytes, at: int, toolchain: Toolchain) -> GoJsonFault:
    word = LITERALS[data[at]]
    step = next(i for i in range(len(word)) if data[at + i : at + i + 1] != word[i].encode())
    return _inside(data, at + step, f"in literal {word} (expecting '{word[step]}')", toolchain)


def _inside(data: bytes, at: int, where: str, toolchain: Toolchain) -> GoJsonFault:
    if at < len(data):
        return _invalid(data, at, where, toolchain)
    return GoJsonFault(UNEXPECTED_END) if toolchain is Toolchain.JSONV2 else _invalid(b" ", 0, where, toolchain)


def _invalid(data: bytes, at: int, where: str, toolchain: Toolchain) -> GoJsonFault:
    if toolchain is Toolchain.JSONV2:
        rune = _runes(data[at : at + 4])[0]
        return GoJsonFault(f"invalid character {quote(rune, _MARK)} {_JSONV2.get(where, where)}")
    return GoJsonFault(f"invalid character {quote(chr(data[at]), _MARK)} {where}")


def _escape_jsonv2(data: bytes, at: int) -> GoJsonFault:
    what = data[at : at + 6] if data[at + 1 : at + 2] == b"u" else data[at : at + 2]
    prefix = _ESCAPE_PREFIX.fullmatch(what)
    if prefix and at + len(what) == len(data):
        return GoJsonFault(UNEXPECTED_END)
    runes = _runes(what)
    plain = all(rune.isprintable() and rune not in "` \ufffd" for rune in runes)
    return GoJsonFault(f"invalid escape sequence {f'`{runes}`' if plain else quote(runes)} in string")


def _runes(data: bytes) -> str:
    """Return the characters of a text; each byte that is none is an escaped surrogate."""
    return data.decode("utf-8", "surrogateescape")
