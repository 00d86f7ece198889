"""What the statuses of cells look like and mean, in one table for every format. A colour never stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shim.report.model import Cell, Report, Status


class Look(msgspec.Struct, frozen=True):
    """`sign` in ASCII, `mark` where there are more characters, `word` in short, `meaning` in a legend.

    `styles` are those of a terminal.
    """

    sign: str
    mark: str
    word: str
    meaning: str
    styles: tuple[str, ...] = ()


# Those that matter most come first: a legend, and whatever else goes through them, has this order.
LOOKS: dict[Status, Look] = {
    "refused": Look("x", "✕", "refused", "not made: refused", ("red", "bold")),
    "gained": Look("+", "+", "may do more", "may do more than before", ("yellow",)),
    "changed": Look("~", "±", "otherwise", "may do some things more, others less, or fails otherwise", ("yellow",)),
    "lost": Look("-", "−", "may do less", "may do less than before", ("cyan",)),  # noqa: RUF001  a minus sign is as wide as a plus sign
    "pending": Look(">", "↻", "at next restart", "changes at the next restart", ("cyan",)),
    "same": Look("=", "=", "as before", "as before", ("dim",)),
    "absent": Look(".", "·", "not there", "not there", ("dim",)),
    "plain": Look("", "", "", ""),
}


def styles_of(line: str) -> tuple[str, ...]:
    """Return the styles of a line of changes, which begins with its sign: "+ socket(AF_ALG)"."""
    return next((look.styles for look in LOOKS.values() if look.sign == line[0]), ())


def counts(cells: Iterable[Cell]) -> dict[Status, int]:
    """Return how many cells have each status that occurs, in the order of `LOOKS`."""
    found: dict[Status, int] = dict.fromkeys(LOOKS, 0)
    for cell in cells:
        found[cell.status] += 1
    return {status: number for status, number in found.items() if number}


def cells_of(report: Report) -> Iterable[Cell]:
    """Go through all cells of a table."""
    return (cell for row in report.rows for cell in row.cells)
