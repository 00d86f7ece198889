"""A report as Markdown, fit for a comment on a pull request, which GitHub cuts off at 65,536 characters."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from shim.report.differences import differences
from shim.report.places import place, printable
from shim.report.status import LOOKS, cells_of, counts
from shim.report.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shim.report.differences import Difference, Kind
    from shim.report.model import Cell, Check, Finding, Report

LIMIT = 65_536  # characters of a comment; GitHub counts UTF-16 units at worst

_RESERVED = 600  # for what is always said: closing tags, and what was left out
_LONG_TEXT = 4_000
_MANY_ROWS, _MANY_COLUMNS = 20, 10  # a table beyond them is folded
_MOST_NAMED = 6
_MARKS = {"error": "❌ error", "warning": "⚠️ warning", "note": "ℹ️ note"}  # noqa: RUF001  the sign for information
_SPECIAL = re.compile(r"[\\`*_\[\]~|]")
_AT_START = re.compile(r"^(\s*)([-+#>=:]|\d+(?=[.)](?:\s|$)))")
_MENTION = re.compile(r"(?<![\w])(@|#)(?=\w)")


def render(report: Report) -> str:
    """Return the report: summary, failed checks, findings, the table, and the reasons behind what changed."""
    page = _Page(LIMIT - _RESERVED)
    page.add(f"### {escaped(report.title)}", "")
    page.items("sentences", [f"- {escaped(sentence)}" for sentence in report.summary])
    if report.interrupted:
        page.add("", f"> **Interrupted:** {escaped(report.interrupted)}")
    _checks(report, page)
    _findings(report.findings, page)
    _table(report, page)
    _differences(report, page)
    return page.text()


def escaped(text: str) -> str:
    """Return a text so that it is shown as it is, on one line, in a table, too; and that nobody is called by it."""
    lines = [_escaped(line) for line in printable(text[: 2 * _LONG_TEXT]).splitlines()]
    return "<br>".join(line for line in lines if line)


def _escaped(line: str) -> str:
    cut = line if len(line) <= _LONG_TEXT else line[:_LONG_TEXT] + "…"
    safe = " ".join(cut.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = _SPECIAL.sub(r"\\\g<0>", safe)
    safe = _MENTION.sub(r"\1<!-- -->", safe).replace("$", "&#36;")
    return _AT_START.sub(lambda found: f"{found[1]}{_shielded(found[2])}", safe)


def _shielded(start: str) -> str:
    """Keep what would start a list, a heading or a quote from doing so."""
    return f"{start[:-1]}&#{ord(start[-1])};" if start.isdigit() else f"\\{start}"


class _Page:
    """Lines, as many as there is room for. What finds none is counted by its kind."""

    def __init__(self, room: int) -> None:
        self.room, self.lines, self.left_out = room, list[str](), dict[str, int]()

    def fits(self, *lines: str) -> bool:
        return sum(_length(line) + 1 for line in lines) <= self.room

    def add(self, *lines: str) -> None:
        self.room -= sum(_length(line) + 1 for line in lines)
        self.lines += lines

    def items(self, kind: str, items: list[str]) -> int:
        """Add as many items as fit; return how many did."""
        for number, item in enumerate(items):
            if not self.fits(item):
                self.left_out[kind] = self.left_out.get(kind, 0) + len(items) - number
                return number
            self.add(item)
        return len(items)

    def text(self) -> str:
        if self.left_out:
            told = ", ".join(f"{number} {kind}" for kind, number in self.left_out.items())
            self.lines += ["", f"_Left out, for a comment has no more room: {told}. `--json` and `--report` have all._"]
        return "\n".join(self.lines) + "\n"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _checks(report: Report, page: _Page) -> None:
    if not report.checks:
        return
    failed = [check for check in report.checks if not check.passed]
    kept = f"{len(report.checks) - len(failed)} of {len(report.checks)} checks passed"
    page.add("", f"#### {'❌' if failed else '✅'} {kept}")
    if failed:
        page.add("")
        page.items("failed checks", [_failed(check) for check in failed])


def _failed(check: Check) -> str:
    name = " / ".join(part for part in (check.suite, check.name) if part)
    where = place(check.file, check.line)
    told = f"- **{escaped(name)}**" + (f" ({escaped(where)})" if where else "")
    first, _, rest = check.message.partition("\n")
    more = f"<details><summary>more</summary>{escaped(rest)}</details>" if rest.strip() else ""
    return (f"{told}: {escaped(first)}" if first else told) + more


def _findings(findings: tuple[Finding, ...], page: _Page) -> None:
    if not findings:
        return
    page.add("", "#### Findings", "", "| | where | what |", "|---|---|---|")
    page.items("findings", [_finding(finding) for finding in findings])


def _finding(finding: Finding) -> str:
    where = [escaped(part) for part in (finding.subject, place(finding.file, finding.line)) if part]
    return f"| {_MARKS[finding.level]} | {'<br>'.join(where)} | {escaped(finding.message)} ({escaped(finding.rule)}) |"


def _table(report: Report, page: _Page) -> None:
    if not report.rows:
        return
    found = counts(cells_of(report))
    said = [f"{LOOKS[each].mark} {number} {LOOKS[each].meaning}" for each, number in found.items() if LOOKS[each].mark]
    folded = len(report.rows) > _MANY_ROWS or len(report.columns) > _MANY_COLUMNS
    size = f"{counted(len(report.rows), 'row')}, {counted(len(report.columns), 'column')}"
    page.add("", f"Of {counted(sum(found.values()), 'cell')}: {'; '.join(said)}." if said else size, "")
    if folded:
        page.add(f"<details><summary>The table: {size}</summary>", "")
    head = _row([report.corner, *report.columns])
    if page.fits(head, "", _row(["---"] * (1 + len(report.columns)))):
        page.add(head, "|" + "---|" * (1 + len(report.columns)))
        page.items("rows", _rows(report))
    else:
        page.left_out["rows"] = len(report.rows)
    if folded:
        page.lines += ["", "</details>"]


def _rows(report: Report) -> list[str]:
    """A heading stands in one piece with the first of its rows: none is left over alone."""
    rows: list[str] = []
    for group, members in itertools.groupby(report.rows, lambda row: row.group):
        head = f"| **{escaped(group)}** |" + " |" * len(report.columns) + "\n" if group else ""
        for row in members:
            cells = [*map(_cell, row.cells), *[""] * (len(report.columns) - len(row.cells))]
            rows.append(head + f"| {escaped(row.head)} | " + " | ".join(cells) + " |")
            head = ""
    return rows


def _row(texts: Iterable[str]) -> str:
    return "| " + " | ".join(escaped(text) for text in texts) + " |"


def _cell(cell: Cell) -> str:
    mark = LOOKS[cell.status].mark
    return f"{mark} {escaped(cell.label)}".strip()


def _differences(report: Report, page: _Page) -> None:
    blocks = [_difference(each, kind) for each in differences(report) for kind in each.kinds]
    if blocks:
        page.add("", f"<details><summary>What changes: {counted(len(blocks), 'difference')}</summary>", "")
        page.items("differences", blocks)
        page.lines += ["", "</details>"]


def _difference(difference: Difference, kind: Kind) -> str:
    sides = " → ".join(f"**{escaped(side)}**" for side in (difference.before, difference.after) if side)
    names = ", ".join(escaped(row) for row in kind.rows[:_MOST_NAMED])
    more = f" and {len(kind.rows) - _MOST_NAMED} more" if len(kind.rows) > _MOST_NAMED else ""
    lines = [printable(line) for line in kind.changes]
    fence = "`" * max(3, 1 + max(len(run) for run in re.findall("`*", "".join(lines))))
    return "\n".join([f"{sides} ({names}{more})", "", f"{fence}diff", *lines, fence, ""])
