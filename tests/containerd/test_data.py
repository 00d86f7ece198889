"""The data files hold together: releases known, facts sourced and asked for, nothing listed twice or in vain."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtimes.containerd import model
from runtimes.containerd.known import Known, every
from runtimes.persona import SITUATIONS
from runtimes.release import Release, Span, parse

ROOM = Path(__file__).parents[2] / "runtimes" / "containerd"
RELEASES = [known.release for known in model.releases()]
KNOWN = set(RELEASES)


def data(name: str) -> Any:
    return yaml.safe_load((ROOM / f"{name}.yaml").read_text())


def spans() -> list[tuple[str, dict[str, Any]]]:
    """Return every record of every file that names releases, with where it stands."""
    found: list[tuple[str, dict[str, Any]]] = []
    for record in data("facts"):
        found.append((record["fact"], record))
        found += [(f"{record['fact']}[{at}]", value) for at, value in enumerate(record.get("values", ()))]
    for kind, records in data("api").items():
        found += [(f"{kind} {name}", record) for name, record in records.items()]
        found += [(f"{kind} {name}", {"since": r["implemented"]}) for name, r in records.items() if "implemented" in r]
    for struct, settings in data("settings").items():
        for setting in settings:
            found.append((f"{struct}.{setting['json']}", setting))
            default = setting.get("default")
            if isinstance(default, list) and default and isinstance(default[0], dict):
                found += [(f"{struct}.{setting['json']} default", each) for each in default]
    profile = data("profile")
    found += [(f"architectures {each['arch']}", each) for each in profile["architectures"]]
    for rule in profile["rules"]:
        found.append((rule["rule"], rule))
        found += [
            (f"{rule['rule']}: {name}", record)
            for entry in rule["names"]
            if isinstance(entry, dict)
            for name, record in entry.items()
        ]
    return found


def named(record: dict[str, Any], key: str) -> list[Release]:
    return [parse(text) for text in record.get(key) or ()]


def test_spans_name_known_releases_one_a_branch_in_order() -> None:
    for where, record in spans():
        for key in ("since", "until"):
            releases = named(record, key)
            assert set(releases) <= KNOWN, where
            assert releases == sorted(releases), where
            assert max(Counter(release.branch for release in releases).values(), default=1) == 1, where


def test_every_span_holds_for_some_release() -> None:
    for where, record in spans():
        span = Span.read(record)
        never = named(record, "until") == [RELEASES[0]]  # a field that no release here has
        assert never or any(release in span for release in RELEASES), where


def test_no_value_of_a_fact_is_out_of_reach() -> None:
    for fact in every():
        reached = {id(fact.at(release)) for release in RELEASES}
        assert all(id(value) in reached for value in fact.values), fact.name


def test_a_fact_with_values_has_one_for_every_release() -> None:
    only_later = {"cgroup-v1-deprecated", "base-spec-refusal", "last-compiled-capability", "config-drop-in-too-new"}
    for fact in every():
        if fact.values and fact.name not in only_later:
            assert all(fact.at(release) for release in RELEASES), fact.name


def test_every_fact_is_told_and_sourced_once() -> None:
    names = Counter(record["fact"] for record in data("facts"))
    assert not [name for name, count in names.items() if count > 1]
    for fact in every():
        assert fact.says, fact.name
        assert fact.source, fact.name
        assert fact.group in ("decision", "profile", "configuration", "persona"), fact.name


def test_every_fact_is_asked_for() -> None:
    code = "\n".join(path.read_text() for path in ROOM.glob("*.py"))
    base = (ROOM.parent / "persona.py").read_text()
    for record in data("facts"):
        name = record["fact"]
        assert name in SITUATIONS or f'"{name}"' in code or f'"{name}"' in base, name


def test_profile_rules_are_named_once_and_sourced() -> None:
    rules = data("profile")["rules"]
    assert len({rule["rule"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["source"], rule["rule"]
        for entry in rule["names"]:
            if isinstance(entry, dict):
                ((name, record),) = entry.items()
                assert record["source"], name


def test_no_system_call_stands_twice_in_one_rule_of_a_release() -> None:
    for rule in data("profile")["rules"]:
        names = [next(iter(entry.items())) if isinstance(entry, dict) else (entry, {}) for entry in rule["names"]]
        for release in RELEASES:
            present = Counter(name for name, record in names if release in Span.read(record))
            twice = [name for name, count in present.items() if count > 1]
            # The oldest profiles did list one call twice.
            assert twice in ([], ["alarm"]), (rule["rule"], release)


def test_releases_are_in_order_and_dated() -> None:
    releases = model.releases()
    assert [known.release for known in releases] == sorted(known.release for known in releases)
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", known.date) for known in releases)
    by_branch: dict[tuple[int, int], list[str]] = {}
    for known in releases:
        by_branch.setdefault(known.release.branch, []).append(known.date)
    assert all(dates == sorted(dates) for dates in by_branch.values())


def test_no_release_number_stands_in_code() -> None:
    release = re.compile(r"(?<![\w.])[12]\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?(?![\w.])")
    for path in ROOM.glob("*.py"):
        code = re.sub(r'"""(?:.|\n)*?"""|#[^\n]*', "", path.read_text())
        code = re.sub(r'"cniVersion": "0\.3\.1"|"CNIVersion": "0\.3\.1"', "", code)
        assert not release.findall(code), path.name


@pytest.mark.parametrize(
    ("spelled", "fact", "value"),
    [
        ("1.7.24", "oci-version", "1.1.0"),
        ("1.7.24~ds1", "oci-version", "1.2.0"),
        ("1.6.20~ds1-1+deb12u3", "golang", "go1.19.8"),
        ("1.6.20", "golang", "go1.19.7"),
        ("1.6.21~ds1", "golang", "go1.19.9"),
    ],
)
def test_debian_builds_show_their_own(spelled: str, fact: str, value: str) -> None:
    assert Known(parse(spelled)).value(fact) == value
