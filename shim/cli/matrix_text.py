"""The report of a matrix in a terminal: a small table for each group, with columns of its own.

One table for all would have a column wherever any container changes, which no terminal is wide enough for.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from msgspec.structs import replace

from shim.report import text as whole
from shim.report.model import Row

if TYPE_CHECKING:
    from shim.cli.terminal import Terminal
    from shim.report.model import Report


def text(report: Report, terminal: Terminal) -> str:
    """Return the report, its table in parts."""
    table = whole.table(report, terminal)
    if not table:
        return whole.text(report, terminal)
    before, _, after = whole.text(report, terminal).partition(table)
    groups = [(name, tuple(rows)) for name, rows in itertools.groupby(report.rows, lambda row: row.group)]
    parts = [f"{terminal.style(name, 'bold')}\n{_small(report, rows, terminal)}" for name, rows in groups]
    _, _, legend = table.rpartition("\n\n")
    return before + "\n\n".join([*parts, *([legend] if legend != table else [])]) + after


def _small(report: Report, rows: tuple[Row, ...], terminal: Terminal) -> str:
    """Return the table of a group, where columns that are alike in it are one."""
    every = list(zip(*(row.cells for row in rows), strict=True))
    runs = [
        list(run)
        for _, run in itertools.groupby(
            range(len(report.columns)), lambda at: [(cell.label, cell.status) for cell in every[at]]
        )
    ]
    small = replace(
        report,
        columns=tuple(_joined(report.columns[run[0]], report.columns[run[-1]]) for run in runs),
        rows=tuple(Row(head=row.head, cells=tuple(row.cells[run[0]] for run in runs)) for row in rows),
    )
    listed = _table(small, terminal)
    if _is_grid(listed, report):
        return listed
    # Too wide: the longest word there is may be broken.
    table = _table(replace(small, rows=tuple(_with_shorter_words(row) for row in small.rows)), terminal)
    return table if _is_grid(table, report) else listed


def _is_grid(table: str, report: Report) -> bool:
    """Whether it was narrow enough for a grid, which begins with its corner; a list begins with a row's head."""
    return report.corner.partition(" ")[0] in table.partition("\n")[0]


def _table(report: Report, terminal: Terminal) -> str:
    return whole.table(report, terminal).partition("\n\n")[0]  # the legend is told once, for all of them


def _with_shorter_words(row: Row) -> Row:
    return replace(
        row,
        cells=tuple(replace(cell, label=cell.label.replace("RuntimeDefault", "Runtime Default")) for cell in row.cells),
    )


def _joined(first: str, last: str) -> str:
    """Return the releases from the first ones to the last ones."""
    begin, end = first.partition("..")[0], last.rpartition("..")[2]
    return begin if begin == end else f"{begin}..{end}"
