"""A report as JUnit XML: checks as test cases, or findings as failures where nothing was checked.

The elements and attributes are those of Jenkins' junit-10.xsd (the xunit plugin).
Nothing depends on the clock: the same report is the same file.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec

from shim.report.places import place, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shim.report.model import Report


class _Case(msgspec.Struct, frozen=True):
    """`tag` is "failure" or "error", "" for a case that passes; `kind` its type."""

    suite: str
    name: str
    tag: str = ""
    kind: str = ""
    message: str = ""
    file: str = ""
    line: int | None = None


def render(report: Report) -> str:
    """Return the document. A report without checks or findings is one case that passes: Jenkins wants one."""
    cases = list(_checks(report) if report.checks else _findings(report))
    if report.interrupted:
        cases.append(_Case(report.verb, "interrupted", "error", "interrupted", report.interrupted))
    cases = cases or [_Case(report.verb, "nothing to report")]
    root = ET.Element("testsuites", {"name": printable(report.title), **_counted(cases), "time": "0"})
    for suite, group in itertools.groupby(sorted(cases, key=_by_suite(cases)), lambda case: case.suite):
        _suite(root, report, suite, list(group))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _checks(report: Report) -> Iterable[_Case]:
    for check in report.checks:
        tag, kind = ("", "") if check.passed else ("failure", "expectation-failed")
        yield _Case(check.suite or report.verb, check.name, tag, kind, check.message, check.file, check.line)


def _findings(report: Report) -> Iterable[_Case]:
    """A note is something to know, not something that failed."""
    for finding in report.findings:
        tag = "" if finding.level == "note" else "failure"
        name = f"{finding.rule}: {finding.subject}" if finding.subject else finding.rule
        yield _Case(report.verb, name, tag, finding.rule, finding.message, finding.file, finding.line)


def _by_suite(cases: list[_Case]) -> Callable[[_Case], int]:
    order = {suite: number for number, suite in enumerate(dict.fromkeys(case.suite for case in cases))}
    return lambda case: order[case.suite]


def _counted(cases: list[_Case]) -> dict[str, str]:
    failures, errors = (sum(case.tag == tag for case in cases) for tag in ("failure", "error"))
    return {"tests": str(len(cases)), "failures": str(failures), "errors": str(errors)}


def _suite(root: ET.Element, report: Report, name: str, cases: list[_Case]) -> None:
    files = {case.file for case in cases}
    file = {"file": printable(files.pop())} if len(files) == 1 and "" not in files else {}
    element = ET.SubElement(
        root, "testsuite", {"name": printable(name), **_counted(cases), "skipped": "0", "time": "0", **file}
    )
    seen: dict[str, int] = {}
    for case in cases:
        seen[case.name] = seen.get(case.name, 0) + 1
        # Consumers tell cases apart by their names.
        distinct = case.name if seen[case.name] == 1 else f"{case.name} ({seen[case.name]})"
        _case(element, _class(report.verb, name), distinct, case)


def _class(verb: str, suite: str) -> str:
    """Name what consumers take for a class in a package: they split it at its last dot."""
    package = f"crishim.{verb.replace(' ', '-')}"
    return package if suite == verb else f"{package}.{suite.replace('.', '_')}"


def _case(suite: ET.Element, classname: str, name: str, case: _Case) -> None:
    element = ET.SubElement(
        suite, "testcase", {"name": printable(name), "classname": printable(classname), "time": "0"}
    )
    where = place(case.file, case.line)
    whole = printable(f"{where}: {case.message}" if where and case.message else where or case.message)
    if case.tag:
        first = printable(case.message.partition("\n")[0])
        ET.SubElement(element, case.tag, {"type": printable(case.kind), "message": first}).text = whole
    elif case.message:
        ET.SubElement(element, "system-out").text = whole
