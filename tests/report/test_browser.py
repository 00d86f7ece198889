"""`--report` in a real Chromium: what a person sees, clicks, types and prints. Skipped where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from shim.cli.outputs import write
from shim.report.html import render
from shim.report.model import Cell, Detail, Report, Row
from shim.report.status import LOOKS
from tests.report import fleet
from tests.report.browser import Browser, chromium
from tests.report.test_html import hostile

HERE = "const active = document.activeElement;"
WHERE = f"{HERE} return active.tagName === 'TD' ? [active.parentElement.rowIndex, active.cellIndex] : active.id;"


@pytest.fixture(scope="module")
def session() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(session: Browser) -> Iterator[Browser]:
    """A browser as it was before the first test. Its console has nothing to say at the end."""
    session.resize(1280, 900)
    session.scheme("light")
    yield session
    assert session.complaints() == []


Open = Callable[[Report], None]


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Open:
    def show(report: Report) -> None:
        path = tmp_path / "report.html"
        write(str(path), render(report))
        browser.go(path)
        browser.run("document.documentElement.style.scrollBehavior = 'auto'")

    return show


def text(browser: Browser, selector: str) -> str:
    found: str = browser.run("return document.querySelector(arguments[0]).innerText", selector)
    return found


def style(browser: Browser, selector: str, name: str, pseudo: str | None = None) -> str:
    script = (
        "return getComputedStyle(document.querySelector(arguments[0]), arguments[2]).getPropertyValue(arguments[1])"
    )
    found: str = browser.run(script, selector, name, pseudo)
    return found


def cell(row: int, column: int) -> str:
    """Return the selector of a cell of the fleet's table, whose groups count as rows."""
    return f"#grid tr[data-at='{row}'] td:nth-of-type({column})"


def numbered(browser: Browser) -> None:
    """Number the rows, so that selectors can name them."""
    browser.run("[...grid.rows].forEach((row, at) => row.dataset.at = at)")


def wide(rows: int, columns: int) -> Report:
    statuses = list(LOOKS)
    details = {f"d{at}": Detail(title=f"detail {at}", changes=(f"+ call_{at}",)) for at in range(100)}
    return Report(
        verb="matrix",
        title="A large matrix",
        corner="workload",
        columns=tuple(f"containerd 2.{at}.0" for at in range(columns)),
        rows=tuple(
            Row(
                head=f"workload-{row}",
                group=f"namespace-{row // 25}",
                cells=tuple(
                    Cell(
                        label="RuntimeDefault",
                        status=statuses[(row * 7 + column * 3) % len(statuses)],
                        detail=f"d{(row + column) % 100}",
                    )
                    for column in range(columns)
                ),
            )
            for row in range(rows)
        ),
        details=details,
    )


def test_it_loads_without_a_request_and_without_a_complaint(browser: Browser, show: Open) -> None:
    show(fleet.report())
    assert browser.run("return document.title") == fleet.report().title
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


def test_a_click_on_a_cell_tells_why(browser: Browser, show: Open) -> None:
    report = fleet.report()
    show(report)
    numbered(browser)
    browser.click(cell(3, 6))
    detail = report.details[report.rows[1].cells[5].detail]
    panel = text(browser, "#panel")
    assert detail.before == "RuntimeDefault of containerd 2.0.9"
    for told in (detail.before, detail.after, detail.digest, *detail.changes, *(s.because for s in detail.steps)):
        assert told in panel
    assert "+ socket(AF_ALG)" in panel
    assert "fetcher · containerd 2.1.9" in panel
    fresh = [step.because for step in detail.steps if step not in detail.steps_before]
    marked = browser.run("return [...document.querySelectorAll('.fresh')].map((each) => each.innerText)")
    assert sum("new" in each for each in marked) == len(fresh) > 0


def test_another_click_tells_of_another_cell(browser: Browser, show: Open) -> None:
    show(fleet.report())
    numbered(browser)
    browser.click(cell(3, 5))
    browser.click(cell(2, 5))
    assert "nginx · containerd 2.0.9" in text(browser, "#panel-title")
    assert browser.run("return document.querySelectorAll('td.open').length") == 1
    browser.click("#close")
    assert browser.run(WHERE) == [2, 5]
    assert browser.run("return [panel.hidden, document.querySelectorAll('td.open').length]") == [True, 0]


def test_a_way_by_keys_alone(browser: Browser, show: Open) -> None:
    show(fleet.report())
    for _ in range(30):
        browser.press("Tab")
        if browser.run(f"{HERE} return active.tagName") == "TD":
            break
    assert browser.run(WHERE) == [2, 1]
    browser.press("Right", "Right", "Down")
    assert browser.run(WHERE) == [3, 3]
    browser.press("Down")
    assert browser.run(WHERE) == [5, 3], "the head of a group is no stop"
    browser.press("Up", "Up", "Up", "Up")
    assert browser.run(WHERE) == [2, 3]
    browser.press("End")
    assert browser.run(WHERE) == [2, 7]
    browser.press("Right")
    assert browser.run(WHERE) == [2, 7]
    browser.press("Control+End")
    assert browser.run(WHERE) == [14, 7]
    browser.press("Control+Home")
    assert browser.run(WHERE) == [2, 1]
    browser.press("Enter")
    assert browser.run(WHERE) == "panel"
    browser.press("Escape")
    assert browser.run(WHERE) == [2, 1]
    assert browser.run("return panel.hidden")
    browser.press(" ")
    assert browser.run(WHERE) == "panel"
    browser.press("Tab")
    assert browser.run(WHERE) == "close"
    browser.press("Enter")
    assert browser.run(WHERE) == [2, 1]


def test_one_cell_can_be_reached_by_tab_and_is_seen_when_it_is(browser: Browser, show: Open) -> None:
    show(fleet.report())
    tabs = "return [...document.querySelectorAll('td[tabindex]')].map((each) => each.tabIndex)"
    assert browser.run(tabs) == [0]
    browser.run("document.querySelector('td').focus()")
    browser.press("Down", "Right")
    assert browser.run(tabs) == [0]
    assert browser.run(f"{HERE} return active.matches(':focus-visible')")
    assert browser.run(f"{HERE} return getComputedStyle(active).outlineStyle") == "solid"


def test_a_cell_that_is_reached_is_not_behind_the_head_or_the_first_column(browser: Browser, show: Open) -> None:
    show(wide(120, 60))
    browser.run("document.querySelector('td').focus()")
    uncovered = f"""{HERE}
        const at = active.getBoundingClientRect();
        return document.elementFromPoint(at.left + at.width / 2, at.top + at.height / 2) === active"""
    for keys in (["Control+End"], ["Home"], ["Up"] * 40, ["End"], ["Left"] * 45, ["Control+Home"]):
        browser.press(*keys)
        assert browser.run(uncovered), keys


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize(
    "report", [fleet.report(), wide(10, 60), hostile("long" * 200)], ids=["fleet", "60 columns", "long words"]
)
def test_the_page_is_never_wider_than_the_window(
    browser: Browser, show: Open, report: Report, *, signs: bool, opened: bool
) -> None:
    show(report)
    browser.run("if (signs.checked !== arguments[0]) signs.click()", signs)
    if opened:
        browser.run("document.querySelector('td[data-d]').click()")
    for width in (1280, 1000, 390):
        browser.resize(width, 900)
        assert browser.run("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("rows", [3, 500])
def test_the_head_and_the_first_column_stay(browser: Browser, show: Open, rows: int) -> None:
    show(wide(rows, 60))
    script = """
        const box = document.querySelector('.scroll');
        box.scrollTo(400, 300);
        const frame = box.getBoundingClientRect();
        const head = grid.rows[0].cells[50].getBoundingClientRect();
        const first = [...grid.querySelectorAll('tbody th[scope=row]')].pop().getBoundingClientRect();
        return [head.top - frame.top, first.left - frame.left, box.scrollLeft]"""
    top, left, scrolled = browser.run(script)
    assert scrolled == 400
    assert 0 <= top < 20
    assert 0 <= left < 20


def luminance(colour: str) -> float:
    """Return a colour's relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_that_wcag_asks_for(browser: Browser, show: Open, scheme: str) -> None:
    """1.4.3, level AA: 4.5 to 1."""
    browser.scheme(scheme)
    show(replace(fleet.report(), rows=(*fleet.report().rows, *wide(1, 8).rows), columns=("c",) * 8))
    numbered(browser)
    browser.click(cell(3, 5))
    found = browser.run("""
        const found = {};
        for (const element of document.querySelectorAll('body *')) {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!own || !element.checkVisibility()) continue;
            let behind = element;
            while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
            const colours = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
            found[colours.join(' on ')] ??= [...colours, element.outerHTML.slice(0, 80)];
        }
        return Object.values(found)""")
    assert len(found) > 12
    assert [each for each in found if contrast(*each[:2]) < 4.5] == []


def test_a_status_is_never_a_colour_alone(browser: Browser, show: Open) -> None:
    show(wide(1, 8))
    for status, look in LOOKS.items():
        if look.mark:
            for element in ("td", "i"):
                assert style(browser, f"{element}.{status}", "content", "::before").startswith(f'"{look.mark}"')
    browser.click("#signs")
    # Where nothing is compared the first letter of the label says what there is.
    assert style(browser, "td.plain", "font-size", "::first-letter") == "14px"
    assert style(browser, "td.plain", "font-size") == "0px"


def test_what_a_screen_reader_is_told(browser: Browser, show: Open) -> None:
    show(fleet.report())
    browser.run("document.querySelector('td').focus()")
    browser.press("Right", "Right", "Right", "Enter")
    nodes = browser.cdp("Accessibility.getFullAXTree")["nodes"]
    told = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")]
    roles = [role for role, _ in told]
    report = fleet.report()
    assert ("grid", "9 rows, 7 columns") in told
    assert roles.count("gridcell") == 9 * 7
    assert [name for role, name in told if role == "columnheader"] == [report.corner, *report.columns]
    heads = [name for role, name in told if role == "rowheader"]
    assert [head for head in heads if "/" not in head] == [row.head for row in report.rows]
    assert ("gridcell", "may do less: RuntimeDefault") in told
    assert ("gridcell", "refused: refused") in told
    assert ("dialog", "nginx · seccompDefault on") in told
    assert ("searchbox", "Filter rows") in told


def test_dark_is_what_the_machine_prefers_or_what_is_chosen(browser: Browser, show: Open) -> None:
    show(fleet.report())
    assert luminance(style(browser, "body", "background-color")) > 0.8
    browser.scheme("dark")
    assert luminance(style(browser, "body", "background-color")) < 0.05
    browser.click("#theme")
    assert text(browser, "#theme") == "Theme: light"
    assert luminance(style(browser, "body", "background-color")) > 0.8
    browser.click("#theme")
    browser.scheme("light")
    assert text(browser, "#theme") == "Theme: dark"
    assert luminance(style(browser, "body", "background-color")) < 0.05
    browser.click("#theme")
    assert text(browser, "#theme") == "Theme: auto"
    assert luminance(style(browser, "body", "background-color")) > 0.8


SHOWN = """
    const rows = [...grid.querySelectorAll('tbody tr:not(.group)')].filter((row) => row.checkVisibility());
    return rows.map((row) => row.cells[0].innerText)"""


def test_rows_are_filtered_by_words_of_their_heads_and_groups(browser: Browser, show: Open) -> None:
    show(fleet.report())
    browser.run("document.querySelector('td').focus()")
    browser.press("/")
    browser.write("LEDGER wa")
    assert browser.run(SHOWN) == ["wal"]
    assert text(browser, "#table-title") == "1 of 9 rows, 7 columns"
    assert browser.run("return shown.textContent") == "1 of 9 rows are shown"
    browser.write("zzz")
    assert browser.run(SHOWN) == []
    assert text(browser, "#nothing") == "No row is like that."
    browser.press("Escape")
    assert len(browser.run(SHOWN)) == 9
    assert not browser.run("return document.querySelector('#nothing').checkVisibility()")


def test_many_rows_begin_with_those_that_change(browser: Browser, show: Open) -> None:
    calm = tuple(Row(head=f"calm-{at}", cells=(Cell(label="x", status="same"),)) for at in range(150))
    stirred = Row(head="stirred", cells=(Cell(label="x", status="lost"),))
    show(Report(verb="plan", title="t", columns=("c",), rows=(*calm, stirred)))
    assert browser.run(SHOWN) == ["stirred"]
    assert text(browser, "#table-title") == "1 of 151 rows, 1 column"
    browser.click("#only")
    assert len(browser.run(SHOWN)) == 151
    show(Report(verb="plan", title="t", columns=("c",), rows=calm))
    assert len(browser.run(SHOWN)) == 150


def test_arrows_lead_along_the_rows_that_are_shown(browser: Browser, show: Open) -> None:
    show(fleet.report())
    browser.run("search.focus()")
    browser.write("node-agent")
    browser.press("Tab", "Tab", "Tab")
    assert browser.run(f"{HERE} return active.parentElement.cells[0].innerText") == "agent"
    browser.press("Down", "Down", "Down", "Down")
    assert browser.run(f"{HERE} return active.parentElement.cells[0].innerText") == "probe"


def test_rows_are_filtered_by_what_they_have(browser: Browser, show: Open) -> None:
    report = fleet.report()
    show(report)
    browser.click("button.tile[data-status=refused]")
    assert browser.run(SHOWN) == ["buildkit"]
    browser.click("button.tile[data-status=gained]")
    assert browser.run(SHOWN) == [
        row.head for row in report.rows if {cell.status for cell in row.cells} & {"refused", "gained"}
    ]
    browser.click("button.tile[data-status=gained]")
    browser.click("button.tile[data-status=refused]")
    browser.click("#only")
    assert browser.run(SHOWN) == [
        row.head for row in report.rows if not {cell.status for cell in row.cells} <= {"same", "plain", "absent"}
    ]


def test_paper_has_all_that_matters_and_no_buttons(browser: Browser, show: Open) -> None:
    report = fleet.report()
    show(report)
    numbered(browser)
    browser.click(cell(3, 5))
    folded = browser.run("return document.querySelectorAll('main details:not([open])').length")
    assert folded > 0
    browser.scheme("dark")
    browser.media("print")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    page = text(browser, "body")
    for row in report.rows:
        assert row.head in page
    for finding in report.findings:
        assert finding.message in page
    for check in report.checks:
        assert check.name in page
    for detail in report.details.values():
        assert all(line in page for line in detail.changes)
    hidden = "return [...arguments].map((each) => document.querySelector(each).checkVisibility())"
    assert browser.run(hidden, "#panel", "#search", "#theme", "#keys") == [False] * 4
    assert luminance(style(browser, "body", "background-color")) > 0.8
    assert browser.run(
        "return document.querySelector('.scroll').scrollHeight <= document.querySelector('.scroll').clientHeight + 1"
    )
    browser.run("dispatchEvent(new Event('afterprint'))")
    browser.media("")
    assert browser.run("return document.querySelectorAll('main details:not([open])').length") == folded


@pytest.mark.parametrize("report", [fleet.report(), wide(20, 60)], ids=["fleet", "60 columns"])
def test_it_can_be_printed(browser: Browser, show: Open, report: Report) -> None:
    show(report)
    made = browser.printed()
    assert made.startswith(b"%PDF-")
    assert made.rstrip().endswith(b"%%EOF")


def test_sixty_columns_fit_on_paper(browser: Browser, show: Open) -> None:
    """A sheet of A4 across, 297 mm less two margins of 12 mm, is 1032 pixels of CSS wide."""
    show(wide(3, 60))
    browser.media("print")
    browser.resize(1032, 700)
    assert browser.run("return grid.getBoundingClientRect().right") <= 1032
    browser.media("")


def test_five_hundred_rows_of_sixty_columns(browser: Browser, show: Open) -> None:
    show(wide(500, 60))
    assert browser.run("return grid.querySelectorAll('td').length") == 30_000
    browser.run("document.querySelector('td').focus()")
    browser.press("Control+End", "Enter")
    assert "workload-499 · containerd 2.59.0" in text(browser, "#panel-title")
    assert f"call_{(499 + 59) % 100}" in text(browser, "#panel-body")
    browser.press("Escape", "/")
    browser.write("workload-47")
    assert len(browser.run(SHOWN)) == 11


@pytest.mark.parametrize(
    "wicked", ["</script><script>window.hacked = 1</script>", "<img src=x onerror='window.hacked = 1'>", "<!--<script>"]
)
def test_what_is_written_in_a_report_is_never_run(browser: Browser, show: Open, wicked: str) -> None:
    show(hostile(wicked))
    browser.run("document.querySelector('td[data-d]').click()")
    assert browser.run("return window.hacked === undefined")
    assert text(browser, "h1") == wicked
    assert wicked in text(browser, "#panel-body")


def test_a_report_with_nothing_in_it(browser: Browser, show: Open) -> None:
    show(Report(verb="plan", title="Nothing to see"))
    assert text(browser, "h1") == "Nothing to see"
    browser.click("#theme")
    browser.press("/", "Escape")


def test_a_long_list_of_calls_is_folded_and_whole(browser: Browser, show: Open) -> None:
    names = [f"call_{number}" for number in range(60)]
    detail = Detail(title="t", changes=(f"+ {', '.join(names)} where arg0 == 1",))
    rows = (Row(head="r", cells=(Cell(label="x", status="gained", detail="d"),)),)
    show(Report(verb="v", title="t", columns=("c",), rows=rows, details={"d": detail}))
    browser.click("td")
    assert "call_59" not in text(browser, "#panel-body")
    browser.click("#panel-body .changes summary")
    told = text(browser, "#panel-body .changes")
    assert all(name in told for name in names)
    assert "where arg0 == 1" in told
