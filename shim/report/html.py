"""A report as one page for a browser, which needs nothing else: no network, no other file.

The table is plain HTML and stands without a script; what a click on a cell shows lies beside it as JSON, each step and
each list once. The page is made of page/page.html, page/page.css and page/page.js.
"""

from __future__ import annotations

import functools
import itertools
import json
from typing import TYPE_CHECKING, Any

import msgspec

from shim.report.differences import differences
from shim.report.places import place
from shim.report.status import LOOKS, Look, cells_of, counts
from shim.report.words import counted

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    import jinja2

    from shim.report.model import Cell, Detail, Report, Row, Status

_MANY_COLUMNS = 10  # beyond them the table begins with signs instead of words
_MANY_ROWS = 100  # beyond them it begins with those that change
_CONFINED = ("RuntimeDefault", "Localhost", "custom")  # what labels begin with where there is a filter
_FEW = 8  # findings and checks that are shown before the rest is folded
_MOST_DIFFERENCES = 200  # told under the table; every cell tells its own
_MOST_NAMED = 12
_CALM = {"same", "absent", "plain"}  # statuses of what does not change


class _Tile(msgspec.Struct, frozen=True):
    status: Status
    look: Look
    number: int


def render(report: Report) -> str:
    """Return the page."""
    numbers, data = _shared(report)
    changing = differences(report)
    statuses = counts(cells_of(report))
    page = _template().render(
        report=report,
        groups=[(group, list(rows)) for group, rows in itertools.groupby(report.rows, lambda row: row.group)],
        tiles=[_Tile(status, LOOKS[status], number) for status, number in statuses.items()],
        numbers=numbers,
        looks=LOOKS,
        failed=[check for check in report.checks if not check.passed],
        passed=[check for check in report.checks if check.passed],
        levels=_levels(report),
        differences=changing[:_MOST_DIFFERENCES],
        more_differences=max(0, len(changing) - _MOST_DIFFERENCES),
        signs_only=len(report.columns) > _MANY_COLUMNS,
        only_changes=len(report.rows) > _MANY_ROWS and not statuses.keys() <= _CALM,
        few=_FEW,
        most_named=_MOST_NAMED,
        data=_in_script(data),
    )
    return page.replace("\0", "�")  # which HTML has no way to write


def _levels(report: Report) -> dict[str, int]:
    found = {"error": 0, "warning": 0, "note": 0}
    for finding in report.findings:
        found[finding.level] += 1
    return {level: number for level, number in found.items() if number}


class _Once:
    """Values, each of them once; `number` says which one it is."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._numbers)


def _shared(report: Report) -> tuple[dict[str, int], dict[str, Any]]:
    """Return the number of each detail that a cell has, and the details as JSON-shaped values."""
    details, paths, steps = _Once(), _Once(), _Once()
    wanted = dict.fromkeys(cell.detail for cell in cells_of(report) if cell.detail in report.details)
    numbers = {key: details.number(report.details[key]) for key in wanted}
    told = [_told(detail, paths, steps) for detail in details]
    data = {
        "details": told,
        "paths": list(paths),
        "steps": [msgspec.to_builtins(step) for step in steps],
        "statuses": {status: {"word": look.word, "meaning": look.meaning} for status, look in LOOKS.items()},
    }
    return numbers, data


def _told(detail: Detail, paths: _Once, steps: _Once) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(detail, steps=(), steps_before=()))
    for name, path in (("steps", detail.steps), ("stepsBefore", detail.steps_before)):
        if path:
            told[name] = paths.number(tuple(steps.number(step) for step in path))
    return told


def _in_script(data: dict[str, Any]) -> str:
    """Return JSON for inside a script element, which nothing in it can end."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def _template() -> jinja2.Template:
    import jinja2  # noqa: PLC0415  slow to import, and most runs make no page

    loader = jinja2.PackageLoader("shim.report", "page")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["own"] = lambda name: loader.get_source(environment, name)[0]
    environment.filters["place"] = lambda told: place(told.file, told.line)
    environment.filters["count"] = counted
    environment.filters["padded"] = _padded
    environment.filters["look"] = _look
    return environment.get_template("page.html")


def _look(cell: Cell) -> str:
    """Return the classes of a cell: its status, and whether there is a filter where nothing is compared."""
    return f"{cell.status} confined" if cell.status == "plain" and cell.label.startswith(_CONFINED) else cell.status


def _padded(row: Row, columns: tuple[str, ...]) -> int:
    """Return how many fields a row has too few."""
    return max(0, len(columns) - len(row.cells))
