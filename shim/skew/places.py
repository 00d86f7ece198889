"""Where the fields of one user file stand, for faults that its schema does not know of."""

from __future__ import annotations

import msgspec

from runtimes.errors import BadInput
from shim.nodefile import reading
from shim.skew.experiment import Place


class Places(msgspec.Struct, frozen=True):
    """Where the fields of one file stand."""

    where: str
    places: reading.Places

    def of(self, field: str) -> Place:
        """Return the place of a field."""
        return Place(self.where, self.places.get(field, (None, None))[0])

    def fault(self, field: str, what: str, right: str = "") -> BadInput:
        """Return a fault with the place of its field."""
        line, column = self.places.get(field, (None, None))
        return BadInput(what, where=self.where, line=line, column=column, field=field, right=right)

    def blamed(self, field: str, fault: BadInput) -> BadInput:
        """Return a fault as it is where it knows its place, and with the place of a field otherwise."""
        if fault.where and (fault.line or fault.where != self.where):
            return fault
        return self.fault(f"{field}.{fault.field}" if fault.field else field, fault.what, fault.right)

    def below(self, field: str) -> reading.Places:
        """Return the places of what stands in a field, by their names there."""
        head = f"{field}."
        return {name.removeprefix(head): place for name, place in self.places.items() if name.startswith(head)}
