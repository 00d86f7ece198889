"""Where the fields of one user file stand, for faults that its schema does not know of."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from shim.nodefile import reading
from shim.skew.experiments.experiment import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK = re.compile(r"\|[-+0-9]*\s*(#.*)?$")


class Places(msgspec.Struct, frozen=True):
    """Where the fields of one file stand, and which of them its schema found fault with."""

    where: str
    places: reading.Places
    faulty: frozenset[str] = frozenset()
    lines: tuple[str, ...] = ()

    def of(self, field: str) -> Place:
        """Return the place of a field."""
        return Place(self.where, *self.places.get(field, (None, None)), field)

    def fault(self, field: str, what: str, right: str = "") -> BadInput:
        """Return a fault with the place of its field."""
        line, column = self.places.get(field, (None, None))
        return BadInput(what, where=self.where, line=line, column=column, field=field, right=right)

    def numbered(self, field: str, values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        """Yield what a list holds with its fields, None in the place of what is faulty as a whole."""
        left = iter(values)
        for name in itertools.takewhile(self.places.__contains__, (f"{field}[{n}]" for n in itertools.count())):
            yield name, None if name in self.faulty else next(left)

    def is_faulty(self, field: str) -> bool:
        """Whether anything in a field is faulty."""
        return any(each == field or each.startswith((f"{field}.", f"{field}[")) for each in self.faulty)

    def above_block(self, field: str) -> int | None:
        """Return how many lines of the file stand above a text that is written as a block (|), None for other texts."""
        line, _ = self.places.get(field, (None, None))
        return line if line and _BLOCK.search(self.lines[line - 1]) else None

    def under(self, field: str, fault: BadInput) -> BadInput:
        """Return a fault in a part of this file, whose fields were named from that part's top, with its whole field."""
        if fault.where != self.where:
            return fault
        whole = f"{field}.{fault.field}" if fault.field else field
        return BadInput(
            fault.what, where=fault.where, line=fault.line, column=fault.column, field=whole, right=fault.right
        )

    def blamed(self, field: str, fault: BadInput) -> BadInput:
        """Return a fault as it is where it knows its place, and with the place of a field otherwise."""
        if fault.where and fault.line:
            return fault
        if fault.where and fault.where != self.where:
            return self.fault(field, str(fault))
        return self.fault(f"{field}.{fault.field}" if fault.field else field, fault.what, fault.right)

    def below(self, field: str) -> reading.Places:
        """Return the places of what stands in a field, by their names there."""
        head = f"{field}."
        return {name.removeprefix(head): place for name, place in self.places.items() if name.startswith(head)}
