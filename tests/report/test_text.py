"""Reports as text: what fits a terminal, and what is said without colour."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shim.cli.terminal import Terminal
from shim.report.model import Cell, Check, Finding, Report, Row
from shim.report.text import table, text
from tests.report import fleet

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def terminal(width: int | None = None, *, colour: bool = False) -> Terminal:
    made = Terminal()
    made.width, made.colour = width, colour
    return made


def of(columns: str, *rows: tuple[str, str], **given: Any) -> Report:
    """A report whose cells are words, "+word" for one that gained."""
    return Report(
        verb="v",
        title="t",
        columns=tuple(columns.split()),
        rows=tuple(Row(head=head, cells=tuple(map(cell, cells.split()))) for head, cells in rows),
        **given,
    )


def cell(word: str) -> Cell:
    return Cell(label=word[1:], status="gained") if word.startswith("+") else Cell(label=word)


def test_a_small_report_is_a_table() -> None:
    made = table(of("before after", ("web", "Unconfined +RuntimeDefault"), ("db", "a b")), terminal())
    assert made.splitlines() == [
        "     before      after",
        "web  Unconfined  + RuntimeDefault",
        "db   a           b",
        "",
        "+ may do more than before",
    ]


def test_a_wide_report_is_a_list_with_a_line_for_each_run_of_columns() -> None:
    columns = " ".join(f"release-{number}" for number in range(20))
    made = table(of(columns, ("web", "a " * 12 + "+b " * 7 + "a"), ("db", "a " * 20)), terminal())
    assert made.splitlines()[:6] == [
        "web",
        "  release-0 to release-11 (12)  a",
        "  release-12 to release-18 (7)  + b",
        "  release-19                    a",
        "db",
        "  all 20                        a",
    ]


def test_rows_of_a_group_that_say_the_same_are_told_once() -> None:
    columns = " ".join(f"release-{number}" for number in range(20))
    report = of(columns, ("web", "a " * 20), ("db", "b " * 20), ("log", "a " * 20))
    assert table(report, terminal()).splitlines() == ["web, log", "  all 20  a", "db", "  all 20  b"]


def test_two_changes_are_one_only_where_they_are_the_same_change() -> None:
    cells = [Cell(label="x" * 30, status="lost", detail=detail) for detail in ("one", "other", "other")]
    made = table(
        Report(verb="v", title="t", columns=("a", "b", "c"), rows=(Row(head="r", cells=tuple(cells)),)), terminal()
    )
    assert re.findall(r"^  (\S.*?)  ", made, re.MULTILINE) == ["a", "b to c (2)"]


def test_without_rows_there_is_no_table() -> None:
    assert table(Report(verb="v", title="t"), terminal()) == ""


words = st.text("abcdefgh", min_size=1, max_size=12)
labels = st.lists(words, min_size=1, max_size=4).map(" ".join)


@given(
    st.lists(labels, min_size=1, max_size=12),
    st.lists(st.tuples(labels, st.lists(labels, min_size=12, max_size=12)), min_size=1, max_size=5),
    st.integers(40, 120),
    st.booleans(),
)
def test_no_line_is_wider_than_the_terminal(
    columns: list[str], rows: list[tuple[str, list[str]]], width: int, grouped: bool
) -> None:
    report = Report(
        verb="v",
        title="t",
        columns=tuple(columns),
        rows=tuple(
            Row(
                head=head,
                group="group" if grouped else "",
                cells=tuple(Cell(label=label, status="changed") for label in cells[: len(columns)]),
            )
            for head, cells in rows
        ),
    )
    made = table(report, terminal(width))
    assert max(map(len, made.splitlines())) <= width
    assert not any(line.endswith(" ") for line in made.splitlines())


@pytest.mark.parametrize("width", [None, 80, 200])
def test_colour_adds_nothing_but_colour(width: int | None) -> None:
    plain, coloured = (text(fleet.report(), terminal(width, colour=colour)) for colour in (False, True))
    assert "\x1b" not in plain
    assert coloured != plain
    assert ESCAPE.sub("", coloured) == plain


def test_the_table_of_real_decisions_fits_80_columns_in_a_pipe() -> None:
    made = table(fleet.report(), terminal())
    assert max(len(line) for line in made.splitlines()[:-1]) <= 80
    assert "  CRI-O 1.36                             ~ RuntimeDefault" in made


def test_everything_is_told_the_table_in_the_midst() -> None:
    report = of(
        "c",
        ("web", "a"),
        summary=("One sentence.",),
        findings=(
            Finding(level="error", rule="unconfined", message="no filter", subject="shop/web", file="a.yaml", line=3),
        ),
        checks=(
            Check(suite="step 2", name="denied", passed=False, message="allowed\nby a", file="exp.yaml", line=7),
            Check(suite="step 2", name="running", passed=True),
        ),
        interrupted="2 of 9 nodes were looked at",
    )
    assert text(report, terminal()).splitlines() == [
        "t",
        "",
        "One sentence.",
        "",
        "     c",
        "web  a",
        "",
        "error: a.yaml:3: shop/web: no filter [unconfined]",
        "",
        "failed: step 2 / denied (exp.yaml:7)",
        "  allowed",
        "  by a",
        "1 of 2 checks passed",
        "",
        "interrupted: 2 of 9 nodes were looked at",
    ]


def test_what_is_not_there_is_not_told() -> None:
    report = replace(fleet.report(), summary=(), findings=(), checks=(), rows=())
    assert text(report, terminal()) == report.title
