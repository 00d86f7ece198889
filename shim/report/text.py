"""A report as text: a table that fits 80 columns, and everything else in lines."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

from shim.report.model import Cell
from shim.report.places import place, told
from shim.report.status import LOOKS, cells_of, counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.report.model import Check, Finding, Report, Row, Status


class Terminal(Protocol):
    """What is asked of a terminal (`shim.cli.terminal.Terminal` is one). `width` is None where it is none."""

    width: int | None

    def style(self, text: str, *names: str) -> str:
        """Return a text in a style."""
        ...

    def wrapped(self, text: str, indent: int, dim_from: int | None = None) -> list[str]:
        """Break a text into lines."""
        ...


_WIDTH = 80  # of a table in a pipe or a file
_GAP = 2
_TALLEST = 4  # lines of a cell: one that is broken into more is harder to read than a list
_CHANGES = ("gained", "lost", "changed", "pending")
_LEVELS = {"error": ("error", "red"), "warning": ("warning", "yellow"), "note": ("note", "cyan")}


def text(report: Report, terminal: Terminal) -> str:
    """Return the whole report: title, summary, table, findings, failed checks, and what is missing."""
    blocks = [
        [terminal.style(report.title, "bold")],
        [line for sentence in report.summary for line in terminal.wrapped(sentence, 0)],
        table(report, terminal).splitlines(),
        [line for finding in report.findings for line in _finding(finding, terminal)],
        _checks(report, terminal),
        terminal.wrapped(f"interrupted: {report.interrupted}", 0) if report.interrupted else [],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def table(report: Report, terminal: Terminal) -> str:
    """Return the table and its legend, in at most the terminal's columns (80 where there is none), "" without rows.

    What is too wide for a table becomes a list: a heading a row, a line for each run of columns with the same cell.
    """
    if not report.rows:
        return ""
    width = terminal.width or _WIDTH
    indent = 2 if any(row.group for row in report.rows) else 0
    widths = _widths(report, width - indent)
    lines = _grid(report, widths, indent, terminal) if widths else _list(report, width, indent, terminal)
    legend = _legend(report, terminal)
    return "\n".join([*lines, "", *legend] if legend else lines)


def _widths(report: Report, width: int) -> list[int] | None:
    """Return the widths of the head and of each column, None where no choice of them fits."""
    heads = [[report.corner, *(row.head for row in report.rows)]]
    columns = [
        [title, *(_said(row.cells[at]) for row in report.rows if at < len(row.cells))]
        for at, title in enumerate(report.columns)
    ]
    wanted = [max(map(len, texts)) for texts in heads + columns]
    least = [max(len(word) for each in texts for word in (each.split(" "))) for texts in heads + columns]
    least = [max(low, 1) for low in least]
    room = width - _GAP * len(columns)
    if sum(least) > room:
        return None
    while sum(wanted) > room:
        at = max(range(len(wanted)), key=lambda at: (wanted[at] > least[at], wanted[at]))
        wanted[at] -= 1
    tallest = max(len(_broken(each, wanted[at])) for at, texts in enumerate(heads + columns) for each in texts)
    return wanted if tallest <= _TALLEST else None


def _grid(report: Report, widths: list[int], indent: int, terminal: Terminal) -> list[str]:
    titles = [_broken(each, widths[at]) for at, each in enumerate((report.corner, *report.columns))]
    tallest = max(map(len, titles))
    lines = [
        " " * indent + _line([title[at] if at < len(title) else "" for title in titles], widths, ["dim"], terminal)
        for at in range(tallest)
    ]
    for group, rows in itertools.groupby(report.rows, lambda row: row.group):
        lines += [terminal.style(group, "bold")] if group else []
        for row in rows:
            lines += (" " * indent + line for line in _row(row, widths, terminal))
    return [line.rstrip() for line in lines]


def _row(row: Row, widths: list[int], terminal: Terminal) -> list[str]:
    texts = [row.head, *(_said(cell) for cell in row.cells)]
    broken = [_broken(each, widths[at]) for at, each in enumerate(texts)]
    lines = []
    for number in range(max(map(len, broken))):
        parts = []
        for at, pieces in enumerate(broken):
            piece = pieces[number] if number < len(pieces) else ""
            styles = LOOKS[row.cells[at - 1].status].styles if at else ()
            parts.append(terminal.style(piece, *styles) + " " * (widths[at] - len(piece)))
        lines.append((" " * _GAP).join(parts))
    return lines


def _line(texts: list[str], widths: list[int], styles: list[str], terminal: Terminal) -> str:
    return (" " * _GAP).join(
        terminal.style(each, *styles) + " " * (width - len(each)) for each, width in zip(texts, widths, strict=True)
    )


def _list(report: Report, width: int, indent: int, terminal: Terminal) -> list[str]:
    """Rows of a group that say the same are told once, under all their heads."""
    alike: dict[tuple[str, tuple[tuple[str, Cell], ...]], list[str]] = {}
    for row in report.rows:
        alike.setdefault((row.group, tuple(_runs(report, row))), []).append(row.head)
    column = min(max((len(title) for _, runs in alike for title, _ in runs), default=0), width // 2)
    lines: list[str] = []
    for group, members in itertools.groupby(alike.items(), lambda item: item[0][0]):
        lines += [terminal.style(group, "bold")] if group else []
        for (_, runs), heads in members:
            said = _broken(", ".join(heads), width - indent)
            lines += (" " * indent + terminal.style(line, *([] if group else ["bold"])) for line in said)
            for title, cell in runs:
                lines += _run_lines(title, cell, column, width, indent + 2, terminal)
    return lines


def _run_lines(title: str, cell: Cell, column: int, width: int, indent: int, terminal: Terminal) -> Iterator[str]:
    heads, said = _broken(title, column), _broken(_said(cell), width - indent - column - _GAP)
    for head, piece in itertools.zip_longest(heads, said, fillvalue=""):
        styled = terminal.style(piece, *LOOKS[cell.status].styles)
        yield f"{' ' * indent}{head:<{column}}{' ' * _GAP}{styled}".rstrip()


def _runs(report: Report, row: Row) -> Iterator[tuple[str, Cell]]:
    """Return each run of columns that say the same. Two changes are one only where they are the same change."""
    pairs = zip(report.columns, row.cells, strict=False)
    for (status, label, _), group in itertools.groupby(pairs, lambda pair: _same(pair[1])):
        titles = [title for title, _cell in group]
        yield _run(titles, len(report.columns)), Cell(label=label, status=status)


def _same(cell: Cell) -> tuple[Status, str, str]:
    return cell.status, cell.label, cell.detail if cell.status in _CHANGES else ""


def _run(titles: list[str], of: int) -> str:
    if len(titles) == 1:
        return titles[0]
    if len(titles) == of:
        return f"all {of}"
    return f"{titles[0]} to {titles[-1]} ({len(titles)})"


def _said(cell: Cell) -> str:
    """Return a cell in words: its sign stands before them, so that nothing depends on colour."""
    sign = LOOKS[cell.status].sign
    return f"{sign} {cell.label}".rstrip() if sign else cell.label


def _legend(report: Report, terminal: Terminal) -> list[str]:
    said = [
        f"{LOOKS[status].sign} {LOOKS[status].meaning}" for status in counts(cells_of(report)) if LOOKS[status].sign
    ]
    return [terminal.style(line, "dim") for line in terminal.wrapped("; ".join(said), 0)] if said else []


def _finding(finding: Finding, terminal: Terminal) -> list[str]:
    word, colour = _LEVELS[finding.level]
    where = place(finding.file, finding.line)
    said = f"{where}: {told(finding)}" if where else told(finding)
    first, *rest = terminal.wrapped(f"{said} [{finding.rule}]", len(word) + 2, dim_from=len(said))
    return [f"{terminal.style(word, colour, 'bold')}: {first}", *(" " * (len(word) + 2) + line for line in rest)]


def _checks(report: Report, terminal: Terminal) -> list[str]:
    if not report.checks:
        return []
    failed = [check for check in report.checks if not check.passed]
    lines = [line for check in failed for line in _failed(check, terminal)]
    kept = f"{len(report.checks) - len(failed)} of {len(report.checks)} checks passed"
    return [*lines, terminal.style(kept, "red" if failed else "green")]


def _failed(check: Check, terminal: Terminal) -> list[str]:
    where = place(check.file, check.line)
    name = " / ".join(part for part in (check.suite, check.name) if part)
    said = f"{name} ({where})" if where else name
    lines = [f"{terminal.style('failed', 'red', 'bold')}: {said}"]
    for sentence in check.message.splitlines():
        lines += (f"  {line}" for line in terminal.wrapped(sentence, 2))
    return lines


def _broken(text: str, room: int) -> list[str]:
    """Break a text at spaces into lines of at most `room` characters; a longer word is cut."""
    lines = [""]
    for word in text.split(" "):
        rest = word
        if lines[-1] and len(lines[-1]) + 1 + len(rest) > room:
            lines.append("")
        while len(rest) > room:
            lines[-1], rest = rest[:room], rest[room:]
            lines.append("")
        lines[-1] += f" {rest}" if lines[-1] else rest
    return lines
