"""`--markdown`: read again by a parser of CommonMark with GitHub's tables, it says what the report says.

Evidence: markdown-it-py, which follows https://spec.commonmark.org; the limit of 65,536 characters is GitHub's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from shim.report.markdown import LIMIT, escaped, render
from shim.report.model import Cell, Check, Detail, Finding, Report, Row
from tests.report import fleet
from tests.report.strategies import reports

if TYPE_CHECKING:
    from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

printables = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=30)


def shown(inline: Token) -> str:
    """Return what a reader sees of a piece of text."""
    parts = []
    for token in inline.children or []:
        if token.type in ("html_inline", "html_block"):
            parts.append("\n" if token.content == "<br>" else "")
            assert token.content in ("<br>", "<!-- -->"), token.content
        else:
            assert token.type in ("text", "text_special", "strong_open", "strong_close", "softbreak"), token.type
            parts.append(token.content)
    return "".join(parts)


def tables(markdown: str) -> list[list[list[str]]]:
    """Return the rows of each table, as texts."""
    found: list[list[list[str]]] = []
    for token in PARSER.parse(markdown):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level >= 3 and found:
            found[-1][-1].append(shown(token))
    return found


def words(text: str) -> str:
    return " ".join(text.split())


@given(printables)
def test_any_text_in_a_cell_is_shown_as_it_is(text: str) -> None:
    ((head, row),) = tables(f"| {escaped(text)} | b |\n|---|---|\n| c | {escaped(text)} |\n")
    assert head == [words(text), "b"]
    assert row == ["c", words(text)]


@given(printables.filter(lambda text: text.split()))
def test_any_text_in_a_list_is_shown_as_it_is(text: str) -> None:
    opened, item, paragraph, inline, *_ = PARSER.parse(f"- {escaped(text)}\n")
    assert [opened.type, item.type, paragraph.type] == ["bullet_list_open", "list_item_open", "paragraph_open"]
    assert shown(inline) == words(text)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        pytest.param("@somebody", "@<!-- -->somebody", id="nobody is called"),
        pytest.param("see #38", "see #<!-- -->38", id="no issue is linked"),
        pytest.param("containerd@2.0.9", "containerd@2.0.9", id="a release is no name"),
        pytest.param("$x and $y", "&#36;x and &#36;y", id="no formula"),
        pytest.param("a\nb", "a<br>b", id="lines stay lines"),
        pytest.param("<script>", "&lt;script&gt;", id="no element"),
        pytest.param("a|b", "a\\|b", id="no end of a cell"),
        pytest.param("esc\x1b[0m", "esc\\\\x1b\\[0m", id="control characters are escapes"),
    ],
)
def test_what_would_mean_something_to_github(text: str, markdown: str) -> None:
    assert escaped(text) == markdown


def test_the_table_of_real_decisions_has_every_cell() -> None:
    report = fleet.report()
    _findings, (head, *rows) = tables(render(report))
    assert head == [report.corner, *report.columns]
    heads = [row for row in rows if any(row[1:])]
    assert [row[0] for row in heads] == [row.head for row in report.rows]
    for row, told in zip(report.rows, heads, strict=True):
        assert [cell.label for cell in row.cells] == [re.sub(r"^\W ", "", field) for field in told[1:]]


def test_it_begins_with_what_matters() -> None:
    text = render(fleet.report())
    order = ["### Upgrade", "- 9 containers", "❌ 2 of 3 checks passed", "#### Findings", "| container |", "```diff"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    folded = "<details><summary>more</summary>RuntimeDefault of containerd 2.1.9</details>"
    assert f"socket(AF\\_ALG) is allowed{folded}" in text
    assert "+ socket(AF_ALG)" in text


def test_what_changes_is_told_once_with_those_it_happens_to() -> None:
    made = render(fleet.report())
    assert made.count("+ socket(AF_ALG)\n") == 1
    title = "**RuntimeDefault of containerd 2.0.9** → **RuntimeDefault of containerd 2.1.9**"
    (line,) = [line for line in made.splitlines() if line.startswith(title)]
    assert "shop/Deployment web: nginx, shop/Deployment web: fetcher, shop/Deployment cart: app" in line


def test_a_long_table_is_folded_and_a_short_one_is_not() -> None:
    assert "<summary>The table" not in render(fleet.report())
    assert "<details><summary>The table: 81 rows, 7 columns</summary>" in render(fleet.report(9))


def large(rows: int, text: str = "RuntimeDefault of containerd") -> Report:
    cells = tuple(Cell(label=text, status="gained", detail=f"d{at}") for at in range(8))
    return Report(
        verb="plan",
        title="A large plan",
        corner="workload",
        columns=tuple(f"node {at}" for at in range(8)),
        rows=tuple(Row(head=f"web-{at}", group="shop", cells=cells) for at in range(rows)),
        details={f"d{at}": Detail(title=f"d{at}", changes=("+ socket",)) for at in range(8)},
        findings=tuple(Finding(level="warning", rule="less-confined", message=text) for _ in range(rows)),
        checks=tuple(Check(suite="s", name=text, passed=False) for _ in range(rows)),
    )


@pytest.mark.parametrize("text", ["RuntimeDefault", "\N{LOCK}" * 20, "x" * 100_000])
@pytest.mark.parametrize("rows", [1, 50, 1000])
def test_a_comment_is_never_too_long_and_says_what_was_left_out(rows: int, text: str) -> None:
    report = large(rows, text)
    made = render(report)
    assert len(made.encode("utf-16-le")) // 2 <= LIMIT
    assert made.count("<details>") == made.count("</details>")
    said = re.search(r"_Left out, for a comment has no more room: (.*)\. `--json`", made)
    if rows == 1000:
        assert said is not None
    left = {kind: number for number, kind in re.findall(r"(\d+) ([a-z ]+)", said[1] if said else "")}
    for kind, there in (
        ("failed checks", len(re.findall(r"^- \*\*s / ", made, re.MULTILINE))),
        ("findings", made.count("| ⚠️ warning |")),
        ("rows", len(re.findall(r"^\| web-", made, re.MULTILINE))),
    ):
        assert there + int(left.get(kind, 0)) == rows, kind


def test_a_fence_is_longer_than_any_in_it() -> None:
    cell = Cell(label="x", detail="d")
    report = Report(
        verb="v",
        title="t",
        columns=("c",),
        rows=(Row(head="r", cells=(cell,)),),
        details={"d": Detail(title="t", changes=("+ ````", "- b"))},
    )
    (fence,) = [token for token in PARSER.parse(render(report)) if token.type == "fence"]
    assert fence.info == "diff"
    assert fence.content == "+ ````\n- b\n"


@given(reports())
def test_every_report_can_be_written(report: Report) -> None:
    made = render(report)
    assert len(made.encode("utf-16-le", "surrogatepass")) // 2 <= LIMIT
    assert made.encode()
