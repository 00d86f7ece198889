"""The data of the kubelet is whole: known releases, sources, no gaps, no overlaps; and code holds no release."""

from __future__ import annotations

import io
import itertools
import re
import tokenize
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtimes.facts import Fact, load
from runtimes.release import Span, parse
from shim.kubelet import gates
from shim.kubelet.releases import releases

ROOM = Path(gates.__file__).parent
KNOWN = [known.release for known in releases()]
FACTS = list(load("shim.kubelet"))
RECORDS: list[dict[str, Any]] = yaml.safe_load((ROOM / "facts.yaml").read_text())
GATES: dict[str, dict[str, str]] = yaml.safe_load((ROOM / "gates.yaml").read_text())
# Facts that have a value in some releases only.
PARTIAL = {"gate.SeccompDefault", "cri-connection-words", "profile-root-flag-deprecated", "annotation-warning"}


def test_releases_are_in_order_and_have_a_day() -> None:
    assert sorted(KNOWN) == KNOWN
    assert len(set(KNOWN)) == len(KNOWN)
    for known in releases():
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", known.date)
        assert re.fullmatch(r"(20\d\d-\d\d-\d\d)?", known.line_end)
    for line in {release.branch for release in KNOWN}:
        days = [known.date for known in releases() if known.release.branch == line]
        assert sorted(days) == days
    assert sorted({release.branch for release in KNOWN}) == [(1, minor) for minor in range(18, 37)]


def test_names_of_facts_are_unique() -> None:
    names = [record["fact"] for record in RECORDS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("record", RECORDS, ids=[record["fact"] for record in RECORDS])
def test_a_record_is_complete(record: dict[str, Any]) -> None:
    assert set(record) <= {"fact", "group", "says", "source", "since", "until", "values"}
    assert record["group"] in {"decision", "configuration", "api", "agent"}
    assert record["says"][0].islower() or record["says"].startswith(("Localhost", "API"))
    assert not record["says"].rstrip().endswith(".")
    assert re.search(r"kubernetes#\d+|v1\.\d+\.\d+|pkg/", record["source"])
    assert not ("values" in record and ("since" in record or "until" in record))
    for value in record.get("values", ()):
        assert set(value) <= {"value", "source", "since", "until"}


@pytest.mark.parametrize("fact", FACTS, ids=[fact.name for fact in FACTS])
def test_a_fact_begins_and_ends_with_known_releases(fact: Fact) -> None:
    for span in (fact.span, *(value.span for value in fact.values)):
        for each in (*span.since, *span.until):
            assert each in KNOWN, f"{fact.name}: {each}"
        assert list(span.since) == sorted(span.since)
        assert list(span.until) == sorted(span.until)


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact.values], ids=lambda fact: fact.name)
def test_values_have_no_gaps_and_follow_each_other(fact: Fact) -> None:
    found = [fact.at(release) for release in KNOWN]
    if fact.name not in PARTIAL:
        assert None not in found
    # Every entry counts somewhere: none is wholly hidden by those that follow it.
    assert all(value in found for value in fact.values)
    changes = [value for number, value in enumerate(found) if number == 0 or value != found[number - 1]]
    backported = any(len(value.span.since) > 1 for value in fact.values)
    assert backported or len(changes) <= len(fact.values) + 2


def test_every_fact_that_the_code_asks_for_is_there_and_asked_for() -> None:
    names = {fact.name for fact in FACTS}
    text = "\n".join(path.read_text() for path in ROOM.glob("*.py"))
    assert {name for name in names if f'"{name}"' not in text} == set()


@pytest.mark.parametrize("name", GATES)
def test_a_gate_has_stages_in_order(name: str) -> None:
    lines = [parse(f"{line}.0") for line in GATES[name]]
    words = list(GATES[name].values())
    assert lines == sorted(lines)
    assert all(line in KNOWN for line in lines)
    assert words[0] != "removed"
    assert all(first != second for first, second in itertools.pairwise(words))
    for word in words:
        assert re.fullmatch(r"removed|(alpha|beta|GA|deprecated) (on|off)( locked)?", word)
    assert f"gate.{name}" not in {fact.name for fact in FACTS}


@pytest.mark.parametrize(
    ("name", "version", "gate"),
    [
        ("SeccompDefault", "1.21.14", None),
        ("SeccompDefault", "1.22.0", gates.Gate("alpha", default=False)),
        ("SeccompDefault", "1.25.0", gates.Gate("beta", default=True)),
        ("SeccompDefault", "1.28.15", gates.Gate("GA", default=True, locked=True)),
        ("SeccompDefault", "1.29.0", None),
        ("GracefulNodeShutdown", "1.19.0", None),
        ("GracefulNodeShutdown", "1.20.0", gates.Gate("alpha", default=False)),
        ("GracefulNodeShutdown", "1.36.3", gates.Gate("beta", default=True)),
        ("SidecarContainers", "1.33.0", gates.Gate("GA", default=True, locked=True)),
        ("ContextualLogging", "1.24.0", gates.Gate("alpha", default=False)),
        ("CustomCPUCFSQuotaPeriod", "1.30.0", gates.Gate("alpha", default=False)),
        ("CPUCFSQuotaPeriod", "1.30.0", None),
        ("RouteExternalCertificate", "1.36.3", None),
        ("AllAlpha", "1.18.0", gates.Gate("alpha", default=False)),
        ("AllBeta", "1.36.3", gates.Gate("beta", default=False)),
    ],
)
def test_gates_of_a_release(name: str, version: str, gate: gates.Gate | None) -> None:
    assert gates.find(name, parse(version)) == gate


@pytest.mark.parametrize(
    ("feature", "version", "wanted", "on"),
    [
        ("EphemeralContainers", "1.22.17", {}, False),
        ("EphemeralContainers", "1.22.17", {"EphemeralContainers": True}, True),
        ("EphemeralContainers", "1.22.17", {"AllAlpha": True}, True),
        ("EphemeralContainers", "1.22.17", {"AllAlpha": True, "EphemeralContainers": False}, False),
        ("EphemeralContainers", "1.23.0", {}, True),
        ("EphemeralContainers", "1.23.0", {"AllBeta": False}, False),
        ("EphemeralContainers", "1.36.3", {}, True),
        ("SidecarContainers", "1.27.0", {}, False),
        ("Nonsense", "1.36.3", {}, False),
    ],
)
def test_whether_a_feature_works(feature: str, version: str, wanted: dict[str, bool], on: bool) -> None:
    assert gates.on(feature, parse(version), wanted) is on


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_code_holds_no_release(path: Path) -> None:
    """Docstrings and comments name sources; code asks the facts."""
    source = path.read_text()
    found = []
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NL, tokenize.COMMENT):
            continue
        docstring = token.type == tokenize.STRING and previous in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if not docstring and token.type in (tokenize.STRING, tokenize.NUMBER):
            found += re.findall(r"(?<![\d.])1\.(?:1[89]|2\d|3\d)(?!\d)", token.string)
        previous = token.type
    assert found == []


def test_every_branch_of_a_backport_is_named_from_its_first_release() -> None:
    span = Span.read({"since": ["1.24.14", "1.25.10", "1.26.5", "1.27.2"]})
    assert load("shim.kubelet")["localhost-profile-required"].span == span
    having = [release for release in KNOWN if release in span]
    assert len([release for release in having if release.branch == (1, 24)]) == 4
    assert all(release in having for release in KNOWN if release.branch >= (1, 28))
    assert not any(release in having for release in KNOWN if release.branch < (1, 24))
