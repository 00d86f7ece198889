"""What changes in a whole table: each set of changes once, with the rows that it happens to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from shim.report.model import Report, Row


class Kind(msgspec.Struct, frozen=True):
    """One set of changes: its lines, the rows that it happens to, and the number of their cells."""

    changes: tuple[str, ...]
    rows: tuple[str, ...]
    cells: int


class Difference(msgspec.Struct, frozen=True):
    """What lies between two titles; it may be more than one set of changes, as capabilities differ."""

    before: str
    after: str
    kinds: tuple[Kind, ...]

    @property
    def cells(self) -> int:
        """How many cells it is about."""
        return sum(kind.cells for kind in self.kinds)


def differences(report: Report) -> list[Difference]:
    """Return what changes, that of most cells first."""
    found: dict[tuple[str, str], dict[tuple[str, ...], list[str]]] = {}
    for row in report.rows:
        for cell in row.cells:
            detail = report.details.get(cell.detail)
            # A cell that stays as it is may share the detail of the one before it.
            if detail is not None and detail.changes and cell.status != "same":
                kinds = found.setdefault((detail.before, detail.after), {})
                kinds.setdefault(detail.changes, []).append(named(row))
    made = [
        Difference(
            *sides, tuple(Kind(changes, tuple(dict.fromkeys(rows)), len(rows)) for changes, rows in kinds.items())
        )
        for sides, kinds in found.items()
    ]
    return sorted(made, key=lambda difference: -difference.cells)


def named(row: Row) -> str:
    """Name a row where its heading does not stand above it."""
    return f"{row.group}: {row.head}" if row.group else row.head
