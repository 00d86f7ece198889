"""The data files hold together: known releases, every fact sourced and asked for, nothing listed twice or in vain."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.crio import model
from runtimes.persona import SITUATIONS
from runtimes.release import Release, Span, parse

ROOM = Path(__file__).parents[2] / "runtimes" / "crio"
RELEASES = [known.release for known in model.releases()]
KNOWN = set(RELEASES)
PROFILES = ("profile", "runtime_tools")


def data(name: str) -> Any:
    return yaml.safe_load((ROOM / f"{name}.yaml").read_text())


def entries(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names of a rule with their records, {} for those that every release of the rule has."""
    for entry in rule["names"]:
        yield next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every record of every file that may name releases, with where it stands."""
    for fact in data("facts"):
        yield fact["fact"], fact
        yield from ((f"{fact['fact']}[{at}]", value) for at, value in enumerate(fact.get("values", ())))
    for table, keys in data("config").items():
        yield from ((f"{table}.{key['key']}", key) for key in keys)
    yield from ((each["name"], each) for each in data("annotations")["annotations"])
    for name in PROFILES:
        for each in data(name).get("defaultErrnoRet", ()):
            yield f"{name} defaultErrnoRet", each
        for rule in data(name)["rules"]:
            yield rule["rule"], rule
            yield from ((f"{rule['rule']}: {call}", record) for call, record in entries(rule))


def named(record: dict[str, Any], key: str) -> list[Release]:
    return [parse(text) for text in record.get(key) or ()]


def test_spans_name_known_releases_one_a_line_in_order() -> None:
    for where, record in records():
        for key in ("since", "until"):
            found = named(record, key)
            assert set(found) <= KNOWN, where
            assert found == sorted(found), where
            assert max(Counter(release.branch for release in found).values(), default=1) == 1, where


def test_every_span_holds_for_some_release_and_ends_what_began() -> None:
    for where, record in records():
        span = Span.read(record)
        if where == "pod-checkpoint-rpcs":  # no release has them yet
            assert not any(release in span for release in RELEASES)
            continue
        assert any(release in span for release in RELEASES), where
        if record.get("since"):
            assert RELEASES[0] not in span, where
        assert not record.get("until") or RELEASES[-1] not in span, where


def test_no_value_of_a_fact_is_out_of_reach() -> None:
    for fact in model.facts():
        reached = {id(fact.at(release)) for release in RELEASES}
        assert all(id(value) in reached for value in fact.values), fact.name


def test_a_fact_with_values_has_one_for_every_release() -> None:
    for fact in model.facts():
        if fact.values and fact.name != "built-in-handler-minimum-memory":  # the older ones have none of their own
            assert all(fact.at(release) for release in RELEASES), fact.name


def test_neighbouring_values_differ() -> None:
    for fact in model.facts():
        # One that ends may come back.
        values = [value.value for value in fact.values if not value.span.until]
        assert all(one != other for one, other in itertools.pairwise(values)), fact.name


def test_every_fact_is_told_and_sourced_once() -> None:
    names = Counter(record["fact"] for record in data("facts"))
    assert not [name for name, count in names.items() if count > 1]
    for fact in model.facts():
        assert fact.says, fact.name
        assert not fact.says.endswith("."), fact.name
        assert fact.source, fact.name
        assert fact.group in ("decision", "profile", "configuration", "spec", "persona"), fact.name


def test_every_fact_is_asked_for() -> None:
    code = "\n".join(path.read_text() for path in ROOM.glob("*.py"))
    code += (ROOM.parent / "persona.py").read_text()
    # Those of methods are asked for by the method's name.
    methods = {"PodSandboxStats", "ListPodSandboxStats", "CheckpointContainer", "GetContainerEvents", "RuntimeConfig"}
    methods |= {"ListMetricDescriptors", "ListPodSandboxMetrics", "UpdatePodSandboxResources"}
    for record in data("facts"):
        name = record["fact"]
        assert name in SITUATIONS or name in methods or f'"{name}"' in code, name


def test_every_situation_is_a_fact() -> None:
    assert set(SITUATIONS) <= {record["fact"] for record in data("facts")}


@pytest.mark.parametrize("name", PROFILES)
def test_rules_are_named_once_and_sourced(name: str) -> None:
    rules = data(name)["rules"]
    assert len({rule["rule"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["source"], rule["rule"]
        assert all(record["source"] for _, record in entries(rule) if record), rule["rule"]


@pytest.mark.parametrize("name", PROFILES)
def test_conditions_name_what_there_is(name: str) -> None:
    architectures = {each["arch"] for each in data(name)["architectures"]}
    for rule in data(name)["rules"]:
        for condition in (rule.get("when") or {}).values():
            assert set(condition) <= {"caps", "arches"}, rule["rule"]
            assert set(condition.get("caps", ())) <= set(KERNEL_CAPABILITIES), rule["rule"]
            known = architectures | {"arm", "ppc64le", "riscv64", "s390", "x32", "x86"}
            assert set(condition.get("arches", ())) <= known, rule["rule"]


@pytest.mark.parametrize("name", PROFILES)
def test_no_system_call_stands_twice_in_one_rule_of_a_release(name: str) -> None:
    for rule in data(name)["rules"]:
        for release in RELEASES:
            present = Counter(call for call, record in entries(rule) if release in Span.read(record))
            twice = {call for call, count in present.items() if count > 1}
            # Upstream lists one twice: CRI-O's edit adds it where the library has it already.
            assert twice <= {"writev"}, (rule["rule"], str(release))


def test_keys_of_the_configuration_are_listed_once() -> None:
    for table, keys in data("config").items():
        for release in RELEASES:
            present = Counter(key["key"] for key in keys if release in Span.read(key))
            assert max(present.values(), default=1) == 1, (table, str(release))
        fields = [key["field"] for key in keys if key.get("field") and RELEASES[-1] in Span.read(key)]
        assert len(set(fields)) == len(fields), table


def test_releases_are_in_order_and_dated() -> None:
    releases = model.releases()
    assert len(releases) == 176
    assert [known.release for known in releases] == sorted(known.release for known in releases)
    assert (str(releases[0].release), str(releases[-1].release)) == ("1.18.0", "1.36.3")
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", known.date) for known in releases)
    by_line: dict[tuple[int, int], list[str]] = {}
    for known in releases:
        by_line.setdefault(known.release.branch, []).append(known.date)
    assert all(dates == sorted(dates) for dates in by_line.values())


def test_no_release_number_stands_in_code() -> None:
    release = re.compile(r"(?<![\w.])1\.[123]\d\.\d+(?![\w.])")
    for path in ROOM.glob("*.py"):
        code = re.sub(r'"""(?:.|\n)*?"""|#[^\n]*', "", path.read_text())
        assert not release.findall(code), path.name
