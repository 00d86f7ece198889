"""What is wrong with the file of `seccomp_profile`, in the words of the JSON library that a release reads it with.

Three libraries read that file over the years. They make the same values of a good one, so only their complaints are
told apart here: json-iterator's name the Go type and show the text around the fault, goccy/go-json's name the byte.
What neither complains about, but encoding/json does, is left to the decoder that makes the values, and so is a text
that is nested deeper than this program can follow.
Source: vendored json-iterator/go (iter*.go, reflect_struct_decoder.go, reflect_slice.go) and goccy/go-json; recorded.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, NoReturn

from runtimes.gojson import GoJsonFault, Pointer, Record, Shape, Slice, Text, Unsigned

if TYPE_CHECKING:
    from collections.abc import Callable

_SPACE = b" \t\r\n"
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPES = b'"\\/bfnrt'
_MAX_UINT64 = (1 << 64) - 1
# Go's name of a field, where it is not its JSON key with a capital.
_GO_NAMES = {"architecture": "Arch", "subArchitectures": "SubArches"}


def check(data: bytes, shape: Record, decoder: str) -> None:
    """Read a text as one of the libraries does. Raises `GoJsonFault`."""
    with contextlib.suppress(RecursionError):
        if decoder == "json-iterator":
            _JsonIterator(data).check(shape)
        elif decoder == "goccy":
            _Goccy(data).check(shape)


class _JsonIterator:
    """json-iterator, which goes on after a fault for as long as its callers do: only the first one is kept."""

    def __init__(self, data: bytes) -> None:
        self.data, self.head = data, 0

    def check(self, shape: Record) -> None:
        self.value(shape)
        if self.token():
            self.fault("Unmarshal", "there are bytes left after unmarshal")

    def token(self) -> bytes:
        """Return the next byte that is no space, b"" at the end."""
        while self.head < len(self.data) and self.data[self.head] in _SPACE:
            self.head += 1
        found = self.data[self.head : self.head + 1]
        self.head += len(found)
        return found

    def fault(self, operation: str, what: str) -> NoReturn:
        near = slice(max(self.head - 10, 0), self.head + 10)
        around = self.data[max(self.head - 50, 0) : self.head + 50]
        raise GoJsonFault(
            f"{operation}: {what}, error found in #{self.head - near.start} byte of ...|{_text(self.data[near])}|..., "
            f"bigger context ...|{_text(around)}|..."
        )

    def value(self, shape: Shape) -> None:
        match shape:
            case Pointer():
                if not self.null():
                    self.value(shape.to)
            case Record():
                self.record(shape)
            case Slice():
                self.prefixed(f"{shape.type}: ", lambda: self.items(shape))
            case Unsigned():
                if not self.null():
                    self.unsigned()
            case _:
                self.string()

    def prefixed(self, prefix: str, read: Callable[[], None]) -> None:
        try:
            read()
        except GoJsonFault as fault:
            raise GoJsonFault(f"{prefix}{fault}") from None

    def null(self) -> bool:
        found = self.token()
        if found == b"n":
            self.word(b"ull")
            return True
        self.head -= len(found)
        return False

    def record(self, shape: Record) -> None:
        first = self.token()
        if first == b"n":
            self.word(b"ull")
            return
        if first != b"{":
            self.fault("readObjectStart", f"expect {{ or n, but found {_shown(first)}")
        start = self.head
        if self.token() == b"}":
            return
        self.head = start
        hashed = all(key == key.lower() for key in shape.fields)
        after = b","
        while after == b",":
            self.prefixed(f"{shape.type}.", lambda: self.member(shape, hashed=hashed))
            after = self.token()
        if after != b"}" and hashed:
            self.prefixed(f"{shape.type}.", lambda: self._ended(after))
        elif after != b"}":
            self.fault("struct Decode", f"expect }}, but found {_shown(after)}")

    def _ended(self, after: bytes) -> None:
        self.fault("isObjectEnd", f"object ended prematurely, unexpected char {_shown(after)}")

    def member(self, shape: Record, *, hashed: bool) -> None:
        if hashed:
            key = self.hashed_key()
        else:
            key = self.string()
            colon = self.token()
            if colon != b":":
                self.fault("ReadObject", f"expect : after object field, but found {_shown(colon)}")
        found = next((each for each in shape.fields if each == key or each.lower() == key.lower()), None)
        if found is None:
            self.skip()
        else:
            name = _GO_NAMES.get(found, found[:1].upper() + found[1:])
            self.prefixed(f"{name}: ", lambda: self.value(shape.fields[found]))

    def hashed_key(self) -> str:
        quote = self.token()
        if quote != b'"':
            self.fault("readFieldHash", f'expect ", but found {_shown(quote)}')
        self.head -= 1
        key = self.string()
        colon = self.token()
        if colon != b":":
            self.fault("readFieldHash", f"expect :, but found {_shown(colon)}")
        return key

    def items(self, shape: Slice) -> None:
        first = self.token()
        if first == b"n":
            self.word(b"ull")
            return
        if first != b"[":
            self.fault("decode slice", f"expect [ or n, but found {_shown(first)}")
        start = self.head
        if self.token() == b"]":
            return
        self.head = start
        after = b","
        while after == b",":
            self.value(shape.of)
            after = self.token()
        if after != b"]":
            self.fault("decode slice", f"expect ], but found {_shown(after)}")

    def string(self) -> str:
        first = self.token()
        if first == b"n":
            self.word(b"ull")
            return ""
        if first != b'"':
            self.fault("ReadString", f'expects " or n, but found {_shown(first)}')
        start = self.head
        while self.head < len(self.data):
            byte = self.data[self.head]
            self.head += 1
            if byte == ord('"'):
                return _text(self.data[start : self.head - 1])
            if byte == ord("\\"):
                self.escape()
            elif byte < ord(" ") and b"\\" not in self.data[start : self.head]:
                self.head = start
                self.fault("ReadString", f"invalid control character found: {byte}")
        return self.fault("readStringSlowPath", "unexpected end of input")

    def escape(self) -> None:
        kind = self.data[self.head : self.head + 1]
        self.head += 1
        if kind == b"u":
            for _ in range(4):
                digit = self.data[self.head : self.head + 1]
                self.head += 1
                if digit not in (bytes([each]) for each in b"0123456789abcdefABCDEF"):
                    self.fault("readU4", f"expects 0~9 or a~f, but found {_shown(digit)}")
        elif not kind or kind not in _ESCAPES:
            self.fault("readEscapedChar", "invalid escape char after \\")

    def unsigned(self) -> None:
        first = self.token()
        if not first.isdigit():
            self.fault("readUint64", "unexpected character: \N{REPLACEMENT CHARACTER}")
        digits = first
        while first != b"0" and self.data[self.head : self.head + 1].isdigit():
            digits += self.data[self.head : self.head + 1]
            self.head += 1
            if int(digits) > _MAX_UINT64:
                self.head -= len(digits) - 1
                self.fault("readUint64", "overflow")
        if self.data[self.head : self.head + 1] == b".":
            self.fault("assertInteger", "can not decode float as int")

    def word(self, rest: bytes) -> None:
        for byte in rest:
            self.head += 1
            if self.data[self.head - 1 : self.head] != bytes([byte]):
                self.head = min(self.head, len(self.data))
                name = "skipThreeBytes" if len(rest) == len(b"ull") else "skipFourBytes"
                self.fault(name, f"expect {rest.decode()}")

    def skip(self) -> None:
        first = self.token()
        if first == b'"':
            self.head -= 1
            self.string()
        elif first in (b"n", b"t", b"f") and first:
            self.word({b"n": b"ull", b"t": b"rue", b"f": b"alse"}[first])
        elif first == b"[":
            self.skip_items()
        elif first == b"{":
            self.skip_members()
        else:
            number = _NUMBER.match(self.data, self.head - 1) if first else None
            if not number:
                self.fault("Skip", f"do not know how to skip: {first[0] if first else 0}")
            self.head = number.end()

    def skip_items(self) -> None:
        start = self.head
        if self.token() == b"]":
            return
        self.head = start
        after = b","
        while after == b",":
            self.skip()
            after = self.token()
        if after != b"]":
            self.fault("ReadArrayCB", f"expect ] in the end, but found {_shown(after)}")

    def skip_members(self) -> None:
        start = self.head
        first = self.token()
        if first == b"}":
            return
        if first != b'"':
            self.fault("ReadObjectCB", f'expect " after {{, but found {_shown(first)}')
        self.head = start
        after = b","
        while after == b",":
            self.string()
            colon = self.token()
            if colon != b":":
                self.fault("ReadObject", f"expect : after object field, but found {_shown(colon)}")
            self.skip()
            after = self.token()
        if after != b"}":
            self.fault("ReadObjectCB", "object not ended with }")


class _Goccy:
    """goccy/go-json: one complaint for every byte that does not begin a value, and one for every wrong type."""

    def __init__(self, data: bytes) -> None:
        self.data, self.head = data, 0

    def check(self, shape: Record) -> None:
        self.value(shape, "", "")
        if self.peek():
            raise GoJsonFault(f"invalid character '{_shown(self.peek())}' after top-level value")

    def peek(self) -> bytes:
        while self.head < len(self.data) and self.data[self.head] in _SPACE:
            self.head += 1
        return self.data[self.head : self.head + 1]

    def unexpected(self) -> NoReturn:
        byte = self.data[self.head : self.head + 1] or b"\0"
        raise GoJsonFault(f"invalid character '{byte.decode('latin-1')}' looking for beginning of value")

    def expect(self, byte: bytes) -> None:
        if self.peek() != byte:
            self.unexpected()
        self.head += 1

    def value(self, shape: Shape | None, struct: str, field: str) -> None:
        first = self.peek()
        if first == b"n":
            self.word(b"null")
            return
        match shape:
            case Pointer():
                self.value(shape.to, struct, field)
            case Record():
                self.members(shape)
            case Slice():
                self.items(shape.of, struct, field)
            case Text():
                if first.isdigit() or first == b"-":
                    raise GoJsonFault(
                        f"json: cannot unmarshal number into Go struct field {struct}.{field} of type string"
                    )
                self.string()
            case Unsigned():
                if first == b"-":
                    raise GoJsonFault(f"json: cannot unmarshal number - into Go value of type {shape.type}")
                self.number()
            case _:
                self.anything(first)

    def anything(self, first: bytes) -> None:
        if first == b"{":
            self.members(None)
        elif first == b"[":
            self.items(None, "", "")
        elif first == b'"':
            self.string()
        elif first in (b"t", b"f") and first:
            self.word(b"true" if first == b"t" else b"false")
        else:
            self.number()

    def members(self, shape: Record | None) -> None:
        self.expect(b"{")
        if self.peek() == b"}":
            self.head += 1
            return
        while True:
            key = self.string()
            self.expect(b":")
            fields = shape.fields if shape else {}
            found = next((each for each in fields if each.lower() == key.lower()), None)
            name = _GO_NAMES.get(found, found[:1].upper() + found[1:]) if found else ""
            self.value(fields[found] if found else None, shape.name if shape else "", name)
            if self.peek() != b",":
                break
            self.head += 1
        self.expect(b"}")

    def items(self, shape: Shape | None, struct: str, field: str) -> None:
        self.expect(b"[")
        if self.peek() == b"]":
            self.head += 1
            return
        while True:
            self.value(shape, struct, field)
            if self.peek() != b",":
                break
            self.head += 1
        self.expect(b"]")

    def string(self) -> str:
        self.expect(b'"')
        found = re.compile(rb'(?:[^"\\\x00]|\\.)*', re.DOTALL).match(self.data, self.head)
        end = found.end() if found else self.head
        text = _text(self.data[self.head : end])
        self.head = end
        self.expect(b'"')
        return text

    def number(self) -> None:
        found = _NUMBER.match(self.data, self.head)
        if not found:
            self.unexpected()
        self.head = found.end()

    def word(self, word: bytes) -> None:
        for byte in word:
            if self.data[self.head : self.head + 1] != bytes([byte]):
                self.unexpected()
            self.head += 1


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _shown(byte: bytes) -> str:
    return _text(byte) if byte else "\0"
