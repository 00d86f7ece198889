"""`--sarif`: findings and failed checks, each with its line.

Evidence: sarif.json, which scripts/reference/sarif/record.py recorded from the standard's own schema.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from msgspec.structs import replace

from shim.report.model import Check, Finding, Report
from shim.report.rules import RULES
from shim.report.sarif import render
from tests.report import fleet
from tests.report.strategies import reports

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("sarif.json").read_text())


def standard() -> dict[str, Any]:
    """Put the recorded facts together to a schema again, which refuses what is not among them."""
    objects: dict[str, dict[str, Any]] = {}
    for name, fact in FACTS.items():
        kind, _, field = name.partition(".")
        record = objects.setdefault(
            kind.removesuffix("!"), {"type": "object", "additionalProperties": False, "properties": {}}
        )
        if field:
            record["properties"][field] = referring(fact)
        else:
            record |= fact
    root = objects.pop("sarifLog")
    return {"$schema": "http://json-schema.org/draft-04/schema#", **root, "definitions": objects}


def referring(fact: Any) -> Any:
    if isinstance(fact, str):
        return {"$ref": f"#/definitions/{fact.removeprefix('@')}"}
    return {key: referring(value) if key in ("items", "additionalProperties") else value for key, value in fact.items()}


VALIDATOR = jsonschema.Draft4Validator(standard(), format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


def results(report: Report) -> list[dict[str, Any]]:
    log = json.loads(render(report))
    VALIDATOR.validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    found: list[dict[str, Any]] = run["results"]
    return found


def finding(**given: Any) -> Finding:
    return Finding(**{"level": "error", "rule": "less-confined", "message": "m", **given})


def of(*findings: Finding, **given: Any) -> Report:
    return Report(verb="plan", title="t", findings=findings, **given)


def test_the_facts_refuse_what_the_standard_refuses() -> None:
    """So that the tests below can fail."""
    log = json.loads(render(of(finding(file="a.yaml", line=1))))
    for spoil in ("level", "message", "locations"):
        spoiled = json.loads(json.dumps(log))
        spoiled["runs"][0]["results"][0][spoil] = "nonsense"
        assert not VALIDATOR.is_valid(spoiled), spoil
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    assert not VALIDATOR.is_valid(log)


def test_a_subject_is_told_once() -> None:
    found = results(of(finding(subject="shop/web", message="shop/web fails"), finding(subject="a", message="m")))
    assert [result["message"]["text"] for result in found] == ["shop/web fails", "a: m"]


def test_a_finding_stands_where_it_was_found() -> None:
    (result,) = results(of(finding(file="deploy/shop.yaml", line=17, subject="shop/web")))
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "deploy/shop.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 17},
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": "shop/web"}]
    assert result["level"] == "error"
    assert result["message"] == {"text": "shop/web: m"}


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        pytest.param("a b.yaml", "a%20b.yaml", id="a space"),
        pytest.param("50%.yaml", "50%25.yaml", id="a percent sign"),
        pytest.param("c:d.yaml", "c%3Ad.yaml", id="a colon is no scheme"),
        pytest.param("a#b?.yaml", "a%23b%3F.yaml", id="what begins a fragment or a query"),
        pytest.param("dröße.yaml", "dr%C3%B6%C3%9Fe.yaml", id="letters outside of ASCII"),
        pytest.param("x/../y.yaml", "y.yaml", id="a way that leads back"),
        pytest.param("./y.yaml", "y.yaml", id="a dot"),
        pytest.param("latin\udce9.yaml", "latin%E9.yaml", id="a name that is no UTF-8"),
        pytest.param("half\ud800.yaml", "half%3F.yaml", id="what is no name of a file"),
    ],
)
def test_a_path_becomes_a_uri(file: str, uri: str) -> None:
    (result,) = results(of(finding(file=file)))
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_an_absolute_path_is_relative_inside_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inside, outside = results(of(finding(file=str(tmp_path / "in side.yaml")), finding(file="../out side.yaml")))
    assert inside["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "in%20side.yaml"
    artifact = outside["locations"][0]["physicalLocation"]["artifactLocation"]
    assert "uriBaseId" not in artifact
    parsed = urlparse(artifact["uri"])
    assert (parsed.scheme, unquote(parsed.path)) == ("file", str(tmp_path.parent / "out side.yaml"))


@pytest.mark.parametrize("file", ["", "-", "standard input"])
def test_what_is_in_no_file_has_no_physical_place(file: str) -> None:
    (result,) = results(of(finding(file=file, line=3, subject="shop/web")))
    assert result["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "shop/web"}]}]
    (result,) = results(of(finding(file=file)))
    assert "locations" not in result


def test_a_fingerprint_outlives_lines_and_words() -> None:
    (before,) = results(of(finding(file="a.yaml", line=1, message="old words", subject="s")))
    (after,) = results(of(finding(file="a.yaml", line=9, message="new words", subject="s")))
    assert before["partialFingerprints"] == after["partialFingerprints"]


def test_a_fingerprint_tells_findings_apart() -> None:
    first = finding(file="a.yaml", subject="s")
    others = (first, finding(file="b.yaml", subject="s"), finding(file="a.yaml", subject="t"), replace(first, rule="x"))
    prints = [next(iter(result["partialFingerprints"].values())) for result in results(of(first, *others))]
    assert len(set(prints)) == 5


def test_a_failed_check_is_a_result() -> None:
    checks = (
        Check(suite="s", name="n", passed=False, message="found", file="exp.yaml", line=4),
        Check(suite="s", name="o", passed=True),
    )
    (result,) = results(of(checks=checks))
    assert result["ruleId"] == "expectation-failed"
    assert result["message"] == {"text": "s: n: found"}
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 4}


def test_a_message_is_no_template_and_no_link() -> None:
    """3.11.5: braces are doubled; 3.11.6: a text in brackets with an address behind it would be a link."""
    (result,) = results(of(finding(message="{0} [here](http://x) [not] (this)")))
    assert result["message"]["text"] == "{{0}} \\[here](http://x) [not] (this)"


def test_every_kind_of_finding_has_a_help_text() -> None:
    kinds = [*RULES, "CreateContainerError", "of-another-kind"]
    log = json.loads(render(of(*(finding(rule=rule) for rule in kinds))))
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == kinds
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"].endswith(".") for rule in rules)
    assert [rule["shortDescription"]["text"] for rule in rules[-2:]] == [
        "A pod or container is refused: CreateContainerError.",
        "Of another kind.",
    ]
    assert [rule["name"] for rule in rules[-2:]] == ["CreateContainerError", "OfAnotherKind"]


def test_what_was_cut_short_was_no_success() -> None:
    log = json.loads(render(of(interrupted="2 of 9 nodes")))
    VALIDATOR.validate(log)
    (invocation,) = log["runs"][0]["invocations"]
    assert not invocation["executionSuccessful"]
    assert "2 of 9 nodes" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_a_report_of_real_decisions() -> None:
    found = results(fleet.report())
    assert [result["level"] for result in found] == ["error", "warning", "note", "error"]


@given(reports())
def test_every_report_is_a_log(report: Report) -> None:
    results(report)
