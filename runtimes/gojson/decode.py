"""JSON text -> a Go value of a known type: what json.Unmarshal leaves in it.

The rules that matter for a profile, all of them kept here:

- A key is matched exactly, else without regard to case; a key of no field is dropped (and reported).
- Decoding goes *into* what is there. A second `syscalls` overwrites the elements of the first one key by key, and even
  elements that a shorter list in between cut off come back when a later one is longer.
- null empties slices, maps and pointers and leaves everything else as it is.
- A value that does not fit is skipped; the first such mismatch is the error, once all else is decoded.

Source: Go's encoding/json, decode.go; recorded in tests/gojson.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from runtimes.gojson.fault import GoJsonFault
from runtimes.gojson.shape import Bool, Map, Pointer, Record, Shape, Signed, Slice, Text, Unsigned
from runtimes.gojson.syntax import Members, Number, parse
from runtimes.gojson.toolchain import Toolchain

# The only characters outside ASCII that fold to an ASCII letter: the Kelvin sign and the long s.
_FOLDS = str.maketrans({"\u212a": "K", "\u017f": "S"})
_KINDS = {bool: "bool", Number: "number", str: "string", Members: "object", list: "array"}


class Decoded(msgspec.Struct, frozen=True):
    """What decoding made: JSON-shaped values (a struct as a dict with every field, nil as None) and the paths of the
    keys that no field took, "syscalls[3].includes" for instance, in the order of the text.
    """

    value: Any
    dropped: tuple[str, ...] = ()


def decode(data: bytes, shape: Shape, toolchain: Toolchain = Toolchain.SHORT_ESCAPES) -> Decoded:
    """Unmarshal a text into a new value of a type. Raises `GoJsonFault` with Go's text, for a mismatch as well."""
    decoder = _Decoder(shape, toolchain)
    value = decoder.into(zero(shape), shape, parse(data, toolchain), _Place())
    if decoder.mismatch:
        raise GoJsonFault(decoder.mismatch)
    return Decoded(_settled(value), tuple(decoder.dropped))


def loads(data: bytes, toolchain: Toolchain = Toolchain.SHORT_ESCAPES) -> Any:
    """Unmarshal a text into an `any`: a dict keeps the last of duplicate keys, a number is an int or a float.

    Raises `GoJsonFault`, for a number beyond the range of a float64 as well.
    """
    too_large: list[str] = []

    def number(text: str) -> int | float:
        found = float(text)
        if math.isinf(found):
            too_large.append(text)
        return int(text) if text.removeprefix("-").isdecimal() and not math.isinf(found) else found

    value = parse(data, toolchain, make_object=dict, make_number=number)
    if too_large:
        steps = _steps_to(too_large[0], parse(data, toolchain))
        raise GoJsonFault(_mismatch(f"number {too_large[0]}", "float64", "", _Place(steps=steps), toolchain))
    return value


def _steps_to(number: str, value: Any) -> tuple[str | int, ...]:
    """Return the way to the first number that is spelled so."""
    ahead: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while ahead:
        steps, value = ahead.pop()
        if isinstance(value, Number) and value == number:
            return steps
        inner = value if isinstance(value, Members) else enumerate(value) if isinstance(value, list) else ()
        ahead.extend(reversed([((*steps, step), item) for step, item in inner]))
    return ()


def zero(shape: Shape) -> Any:
    """Return the zero value of a type."""
    match shape:
        case Record():
            return {key: zero(field) for key, field in shape.fields.items()}
        case Text():
            return ""
        case Bool():
            return False
        case Unsigned() | Signed():
            return 0
        case _:
            return None


class _Place(msgspec.Struct, frozen=True):
    """Where the decoder is: the innermost struct and the fields on the way to it, and every step as the text has it."""

    struct: str = ""
    fields: tuple[str, ...] = ()
    steps: tuple[str | int, ...] = ()

    def field(self, struct: Record, key: str, spelled: str) -> _Place:
        return _Place(struct.name, (*self.fields, key), (*self.steps, spelled))

    def step(self, step: str | int) -> _Place:
        return _Place(self.struct, self.fields, (*self.steps, step))

    def __str__(self) -> str:
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return text.removeprefix(".")


class _List(list[Any]):
    """A slice with what lies behind its end, in the array that backs it."""

    behind: list[Any]


class _Decoder:
    def __init__(self, root: Shape, toolchain: Toolchain) -> None:
        self.root, self.toolchain = root, toolchain
        self.mismatch = ""
        self.dropped: list[str] = []

    def into(self, old: Any, shape: Shape, given: Any, place: _Place) -> Any:
        """Return what becomes of `old` when `given` is decoded into it."""
        if given is None:
            return None if isinstance(shape, (Pointer, Slice, Map)) else old
        match shape:
            case Pointer():
                return self.into(zero(shape.to) if old is None else old, shape.to, given, place)
            case Record() if isinstance(given, Members):
                return self._record(old, shape, given, place)
            case Map() if isinstance(given, Members):
                return self._map(old, shape, given, place)
            case Slice() if type(given) is list:
                return self._slice(old, shape, given, place)
        return self._scalar(old, shape, given, place)

    def _scalar(self, old: Any, shape: Shape, given: Any, place: _Place) -> Any:
        match shape:
            case Text() if type(given) is str:
                return given
            case Bool() if isinstance(given, bool):
                return given
            case Unsigned() | Signed() if isinstance(given, Number):
                number = _integer(given, shape)
                if number is not None:
                    return number
                self._refuse(f"number {given}", shape, place)
            case _:
                self._refuse(_KINDS[type(given)], shape, place)
        return old

    def _record(self, old: dict[str, Any], shape: Record, given: Members, place: _Place) -> dict[str, Any]:
        folded = {_fold(key): key for key in reversed(shape.fields)}
        for spelled, value in given:
            key = spelled if spelled in shape.fields else folded.get(_fold(spelled))
            if key is None:
                self.dropped.append(str(place.step(spelled)))
            else:
                old[key] = self.into(old[key], shape.fields[key], value, place.field(shape, key, spelled))
        return old

    def _map(self, old: dict[str, Any] | None, shape: Map, given: Members, place: _Place) -> dict[str, Any]:
        found = {} if old is None else old
        for key, value in given:
            found[key] = self.into(zero(shape.of), shape.of, value, place.step(key))
        return found

    def _slice(self, old: _List | None, shape: Slice, given: list[Any], place: _Place) -> _List:
        there = [*old, *old.behind] if old is not None and given else []
        found = _List()
        for index, value in enumerate(given):
            before = there[index] if index < len(there) else zero(shape.of)
            found.append(self.into(before, shape.of, value, place.step(index)))
        found.behind = there[len(given) :]
        return found

    def _refuse(self, given: str, shape: Shape, place: _Place) -> None:
        if not self.mismatch:
            self.mismatch = _mismatch(given, shape.type, getattr(self.root, "name", ""), place, self.toolchain)


def _mismatch(given: str, type_: str, root: str, place: _Place, toolchain: Toolchain) -> str:
    into = "Go value"
    if toolchain is Toolchain.JSONV2 and place.steps:
        pointer = ".".join(str(step).replace("~", "~0").replace("/", "~1") for step in place.steps)
        last = pointer.rpartition(".")[2]
        # It takes a number at the end for an index, whatever it is.
        is_index = last and all(digit in "0123456789" for digit in last)
        into = f"{'' if is_index else 'Go struct field '}{root}.{pointer}"
    elif toolchain is not Toolchain.JSONV2 and place.fields:
        into = f"Go struct field {place.struct}.{'.'.join(place.fields)}"
    return f"json: cannot unmarshal {given} into {into} of type {type_}"


def _integer(text: str, shape: Unsigned | Signed) -> int | None:
    """Read a number as strconv does: digits only, no sign for unsigned types, None where it is out of range."""
    digits = text.removeprefix("-") if isinstance(shape, Signed) else text
    if not digits.isdecimal() or len(digits) > len(str(2**64)):
        return None
    number = int(text)
    half = 2 ** (shape.bits - 1)
    low, high = (-half, half) if isinstance(shape, Signed) else (0, 2 * half)
    return number if low <= number < high else None


def _fold(key: str) -> str:
    """Fold a key as far as it can meet a field's, all of which are ASCII."""
    if key.isascii():
        return key.upper()
    return "".join(letter.upper() if letter.isascii() else letter for letter in key.translate(_FOLDS))


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items()}
    return [_settled(item) for item in value] if isinstance(value, list) else value
