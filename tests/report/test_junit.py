"""`--junit`: checks as test cases, in the elements and attributes that consumers know.

Evidence: `ELEMENTS` is what Jenkins' schema allows (jenkinsci/xunit-plugin, junit-10.xsd), written down as a table; the
XML is read by expat.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from shim.report.junit import render
from shim.report.model import Check, Finding, Report
from tests.report import fleet
from tests.report.strategies import reports

# An element: the attributes that it must have, those that it may have besides, and its children.
ELEMENTS: dict[str, tuple[str, str, str]] = {
    "testsuites": ("", "name time tests failures errors", "testsuite"),
    "testsuite": (
        "name tests failures errors",
        "group time skipped timestamp hostname id package file log url",
        "testsuite properties testcase system-out system-err",
    ),
    "testcase": ("name", "time classname group", "skipped error failure system-out system-err"),
    "failure": ("", "type message", ""),
    "error": ("", "type message", ""),
    "system-out": ("", "", ""),
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")

CONTROL = "esc \x1b nul \x00 half \ud800 none \ufffe"


def read(report: Report) -> ET.Element:
    """Read a document, and hold it against the schema and against its own numbers."""
    root = ET.fromstring(render(report).encode())  # noqa: S314  it is our own
    assert root.tag == "testsuites"
    for element in root.iter():
        must, may, children = (set(names.split()) for names in ELEMENTS[element.tag])
        assert must <= set(element.attrib) <= must | may, element.tag
        assert {child.tag for child in element} <= children
        assert TIME.fullmatch(element.get("time", "0"))
        if element.tag in ("testsuites", "testsuite"):
            cases = list(element.iter("testcase"))
            assert element.get("tests") == str(len(cases))
            for tag, attribute in (("failure", "failures"), ("error", "errors")):
                assert element.get(attribute) == str(sum(case.find(tag) is not None for case in cases))
    return root


def cases(report: Report) -> list[tuple[str, str, str]]:
    """Return each case's suite, name and what became of it."""
    return [
        (suite.attrib["name"], case.attrib["name"], case[0].tag if len(case) else "passed")
        for suite in read(report)
        for case in suite
    ]


def check(suite: str, name: str, message: str = "", *, passed: bool = False) -> Check:
    return Check(suite=suite, name=name, passed=passed, message=message, file="exp.yaml", line=3)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param(
            Report(
                verb="skew run",
                title="t",
                checks=(check("a", "x", passed=True), check("b", "y"), check("a", "z", "found")),
                findings=(Finding(level="error", rule="r", message="m"),),
            ),
            [("a", "x", "passed"), ("a", "z", "failure"), ("b", "y", "failure")],
            id="checks are cases, a suite each; findings are not where something is checked",
        ),
        pytest.param(
            Report(
                verb="plan",
                title="t",
                findings=(
                    Finding(level="error", rule="would-fail-to-start", message="m", subject="shop/web"),
                    Finding(level="warning", rule="less-confined", message="m"),
                    Finding(level="note", rule="unconfined", message="m"),
                ),
            ),
            [
                ("plan", "would-fail-to-start: shop/web", "failure"),
                ("plan", "less-confined", "failure"),
                ("plan", "unconfined", "system-out"),
            ],
            id="findings fail where nothing is checked, a note passes",
        ),
        pytest.param(
            Report(verb="matrix", title="t"), [("matrix", "nothing to report", "passed")], id="no document is empty"
        ),
        pytest.param(
            Report(verb="v", title="t", checks=(check("a", "x"), check("a", "x"), check("b", "x"))),
            [("a", "x", "failure"), ("a", "x (2)", "failure"), ("b", "x", "failure")],
            id="cases of one name are told apart",
        ),
        pytest.param(
            Report(verb="v", title="t", interrupted="2 of 9 steps", checks=(check("a", "x", passed=True),)),
            [("a", "x", "passed"), ("v", "interrupted", "error")],
            id="what was cut short is an error",
        ),
    ],
)
def test_cases(report: Report, expected: list[tuple[str, str, str]]) -> None:
    assert cases(report) == expected


def test_a_failure_says_where_and_what() -> None:
    root = read(Report(verb="v", title="t", checks=(check("a", "x", "socket is allowed\nand more"),)))
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.attrib == {"type": "expectation-failed", "message": "socket is allowed"}
    assert failure.text == "exp.yaml:3: socket is allowed\nand more"
    assert root[0].get("file") == "exp.yaml"


def test_a_release_in_a_name_makes_no_packages() -> None:
    """Jenkins takes what stands before the last dot for a package."""
    root = read(Report(verb="skew run", title="t", checks=(check("upgrade runtime to 2.0.9", "x"),)))
    case = root.find(".//testcase")
    assert case is not None
    assert case.attrib["classname"].rpartition(".")[0::2] == ("crishim.skew-run", "upgrade runtime to 2_0_9")


def test_what_xml_cannot_write_is_an_escape() -> None:
    root = read(Report(verb="v", title="t", checks=(check(CONTROL, CONTROL, CONTROL),)))
    assert root[0].get("name") == "esc \\x1b nul \\x00 half \\ud800 none \\ufffe"


def test_a_report_of_real_decisions_fails_where_its_check_does() -> None:
    assert [case[2] for case in cases(fleet.report())] == ["passed", "failure", "passed"]


@given(reports())
def test_every_report_is_a_document(report: Report) -> None:
    read(report)
