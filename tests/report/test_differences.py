"""What changes in a whole table."""

from __future__ import annotations

from shim.report.differences import Difference, Kind, differences
from shim.report.model import Cell, Detail, Report, Row, Status


def row(head: str, *cells: tuple[str, Status], group: str = "") -> Row:
    return Row(head=head, group=group, cells=tuple(Cell(label="", status=status, detail=key) for key, status in cells))


def test_each_set_of_changes_is_told_once_that_of_most_cells_first() -> None:
    details = {
        "one": Detail(title="t", before="a", after="b", changes=("+ x",)),
        "again": Detail(title="another title", before="a", after="b", changes=("+ x",)),
        "wider": Detail(title="t", before="a", after="b", changes=("+ x", "+ y")),
        "other": Detail(title="t", before="b", after="c", changes=("- x",)),
        "none": Detail(title="t", before="c", after="d"),
    }
    rows = (
        row("web", ("other", "lost"), group="shop"),
        row("db", ("one", "gained"), ("again", "pending"), ("again", "same")),
        row("log", ("wider", "gained"), ("none", "changed"), ("gone", "lost"), ("", "lost")),
    )
    assert differences(Report(verb="v", title="t", rows=rows, details=details)) == [
        Difference("a", "b", (Kind(("+ x",), ("db",), 2), Kind(("+ x", "+ y"), ("log",), 1))),
        Difference("b", "c", (Kind(("- x",), ("shop: web",), 1),)),
    ]
