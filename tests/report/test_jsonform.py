"""`--json`: the report as its schema says, the same bytes for the same report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
from hypothesis import given
from msgspec.structs import replace

from runtimes.decision import Step
from shim.report.jsonform import render
from shim.report.model import Cell, Check, Detail, Finding, Report, Row
from tests.report import fleet
from tests.report.strategies import reports

SCHEMA = json.loads((Path(__file__).parent.parent.parent / "shim/schemas/report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_report_of_real_decisions_is_as_the_schema_says() -> None:
    VALIDATOR.validate(json.loads(render(fleet.report())))


@given(reports())
def test_every_report_is_as_the_schema_says_and_can_be_read_again(report: Report) -> None:
    read = json.loads(render(report))
    VALIDATOR.validate(read)
    assert msgspec.convert(read, Report) == report


def test_the_schema_names_what_the_model_has() -> None:
    steps = SCHEMA["$defs"]["steps"]["items"]
    named = {Report: SCHEMA, Step: steps, **{kind: SCHEMA["$defs"][kind.__name__.lower()] for kind in KINDS}}
    for kind, said in named.items():
        fields = msgspec.structs.fields(kind)
        assert set(said["properties"]) == {field.encode_name for field in fields}, kind
        assert set(said["required"]) == {field.encode_name for field in fields if field.required}, kind


KINDS: tuple[Any, ...] = (Row, Cell, Detail, Finding, Check)


def test_the_order_in_which_details_were_found_does_not_count() -> None:
    report = fleet.report()
    turned = replace(report, details=dict(reversed(report.details.items())))
    assert list(turned.details) != list(report.details)
    assert render(turned) == render(report)


def test_it_is_ascii_whatever_the_terminal_is() -> None:
    assert render(Report(verb="v", title="naïve \ud800")).isascii()
