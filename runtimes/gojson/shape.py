"""Go types, as far as a decoder sees them."""

from __future__ import annotations

import msgspec


class Text(msgspec.Struct, frozen=True):
    """A string, or a named type of one: Text("specs.Arch")."""

    type: str = "string"


class Bool(msgspec.Struct, frozen=True):
    """A bool."""

    type: str = "bool"


class Unsigned(msgspec.Struct, frozen=True):
    """uint, uint32, uint64..., `bits` wide; uint has 64 on the machines that count here."""

    type: str = "uint"
    bits: int = 64


class Signed(msgspec.Struct, frozen=True):
    """int, int32, int64..."""

    type: str = "int"
    bits: int = 64


class Pointer(msgspec.Struct, frozen=True):
    """A pointer: null sets it to nil, anything else is decoded into what it points to."""

    to: Shape

    @property
    def type(self) -> str:
        """Its Go type."""
        return f"*{self.to.type}"


class Slice(msgspec.Struct, frozen=True):
    """A slice; nil is None."""

    of: Shape

    @property
    def type(self) -> str:
        """Its Go type."""
        return f"[]{self.of.type}"


class Map(msgspec.Struct, frozen=True):
    """A map with string keys; nil is None."""

    of: Shape

    @property
    def type(self) -> str:
        """Its Go type."""
        return f"map[string]{self.of.type}"


class Record(msgspec.Struct, frozen=True):
    """A struct: its type ("specs.LinuxSeccomp") and its fields by JSON key, in the order of the struct."""

    type: str
    fields: dict[str, Shape]

    @property
    def name(self) -> str:
        """Its type without the package."""
        return self.type.rpartition(".")[2]


Shape = Text | Bool | Unsigned | Signed | Pointer | Slice | Map | Record
