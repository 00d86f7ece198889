"""`--report`: the page as a file. What a browser makes of it is in test_browser.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given

from shim.report.html import render
from shim.report.model import Cell, Check, Detail, Finding, Report, Row
from tests.report import fleet
from tests.report.strategies import reports

VOID = {"meta", "input", "br", "link", "img"}


class Page(HTMLParser):
    """A page as its elements, its cells and what is in its script of data. Refuses what is not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[tuple[dict[str, str | None], str]] = []
        self.script: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "td":
            self.cells.append((dict(attrs), ""))
        if tag == "script":
            self.script.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "td":
            attributes, text = self.cells[-1]
            self.cells[-1] = (attributes, text + data)
        if self._open and self._open[-1] == "script":
            self.script[-1] += data

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.script[0])
        return found


def test_every_cell_is_there_with_its_status_and_its_detail() -> None:
    report = fleet.report()
    page = Page(render(report))
    cells = [cell for row in report.rows for cell in row.cells]
    assert [((attributes["class"] or "").split()[0], text) for attributes, text in page.cells] == [
        (c.status, c.label) for c in cells
    ]
    for cell, (attributes, _) in zip(cells, page.cells, strict=True):
        told = page.data["details"][int(attributes["data-d"] or "")]
        detail = report.details[cell.detail]
        assert told["title"] == detail.title
        assert tuple(told.get("changes", ())) == detail.changes
        for name, steps in (("steps", detail.steps), ("stepsBefore", detail.steps_before)):
            path = page.data["paths"][told[name]] if name in told else []
            assert [page.data["steps"][at]["because"] for at in path] == [step.because for step in steps]


def test_a_filter_is_seen_where_nothing_is_compared() -> None:
    labels = ("Unconfined", "RuntimeDefault", "Localhost a.json", "custom 1234", "now")
    row = Row(head="r", cells=tuple(Cell(label=label) for label in labels))
    page = Page(render(Report(verb="v", title="t", columns=labels, rows=(row,))))
    confined = "plain confined"
    assert [a["class"] for a, _ in page.cells] == ["plain", confined, confined, confined, "plain"]


def test_nothing_is_said_twice() -> None:
    data = Page(render(fleet.report())).data
    for name in ("details", "paths", "steps"):
        values = [json.dumps(value, sort_keys=True) for value in data[name]]
        assert len(values) == len(set(values)) > 0, name


def test_the_page_asks_for_nothing() -> None:
    text = render(fleet.report())
    page = Page(text)
    for _tag, attributes in page.elements:
        assert not {"src", "srcset", "style", "onclick"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert [tag for tag, _ in page.elements if tag in ("link", "img", "iframe", "base", "object", "form")] == []
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|localStorage", text)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'")


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>window.hacked = 1</script>",
        "<!--<script>",
        "<img src=x onerror=hacked()>",
        "\" onfocus=hacked() x=\"' onfocus=hacked() '",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;u&gt; &amp;",
        "nul \0 half \ud800 end",
    ],
)
def test_what_is_written_in_a_report_stays_text(text: str) -> None:
    page = Page(render(hostile(text)))
    assert len(page.script) == 2
    assert [tag for tag, _ in page.elements if tag in ("img", "u")] == []
    assert not any(name.startswith("on") and name != "onfocus" for _, a in page.elements for name in a)
    assert not any("onfocus" in attributes for _, attributes in page.elements)
    (told,) = page.data["details"]
    assert told["title"] == text
    assert page.cells[0][1] == text.replace("\0", "\ufffd")


def hostile(text: str) -> Report:
    """A report with one text in every place."""
    return Report(
        verb=text,
        title=text,
        summary=(text,),
        corner=text,
        columns=(text,),
        rows=(Row(head=text, group=text, cells=(Cell(label=text, status="gained", detail=text),)),),
        details={text: Detail(title=text, before=text, after=text, digest=text, changes=(text,))},
        findings=(Finding(level="error", rule=text, message=text, subject=text, file=text, line=1),),
        checks=(
            Check(suite=text, name=text, passed=False, message=text, file=text, line=1),
            Check(suite=text, name=text, passed=True),
        ),
        interrupted=text,
    )


def test_many_columns_begin_as_signs() -> None:
    wide = Report(verb="v", title="t", columns=("c",) * 30, rows=(Row(head="r", cells=(Cell(label="x"),) * 30),))
    for report, signs in ((wide, True), (fleet.report(), False)):
        page = Page(render(report))
        (table,) = [attributes for tag, attributes in page.elements if tag == "table"]
        (box,) = [attributes for _, attributes in page.elements if attributes.get("id") == "signs"]
        assert (table.get("class") == "signs", "checked" in box) == (signs, signs)


def test_a_row_with_too_few_cells_is_filled_up() -> None:
    page = Page(render(Report(verb="v", title="t", columns=("a", "b"), rows=(Row(head="r", cells=()),))))
    assert [attributes["class"] for attributes, _ in page.cells] == ["plain", "plain"]


def test_a_large_report_is_a_few_megabytes() -> None:
    cells = tuple(Cell(label="RuntimeDefault", status="same", detail="d") for _ in range(60))
    rows = tuple(Row(head=f"workload-{number}", group=f"ns-{number // 10}", cells=cells) for number in range(500))
    detail = fleet.report().details[fleet.report().rows[0].cells[-1].detail]
    report = Report(verb="v", title="t", columns=("node",) * 60, rows=rows, details={"d": detail})
    text = render(report)
    assert len(text) < 3_000_000
    assert len(Page(text).data["details"]) == 1


def test_a_long_message_is_folded_and_whole() -> None:
    message = "\n".join(f"line {number}" for number in range(9))
    text = render(Report(verb="v", title="t", checks=(Check(suite="s", name="n", passed=False, message=message),)))
    assert "<pre>line 0\nline 1\nline 2</pre>" in text
    assert "<details><summary>6 more lines</summary><pre>line 3\n" in text
    assert "line 8</pre></details>" in text


def test_the_same_report_is_the_same_page() -> None:
    assert render(fleet.report()) == render(fleet.report())


def test_the_template_engine_is_imported_only_for_a_page() -> None:
    """Nobody waits for it who does not write one."""
    code = "import sys, shim.report.html, shim.cli.outputs; sys.exit('jinja2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(reports())
def test_every_report_is_a_page(report: Report) -> None:
    page = Page(render(report))
    assert len(page.cells) == sum(len(row.cells) for row in report.rows)
