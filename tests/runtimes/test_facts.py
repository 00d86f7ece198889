"""Facts and profile rules: the reader of the data files."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.facts import Facts
from runtimes.profile import _rule
from runtimes.release import parse

RECORDS: list[dict[str, Any]] = [
    {
        "fact": "security-profile-field",
        "group": "decision",
        "says": "the CRI field is\n  honoured",
        "since": ["1.5.0"],
        "source": "containerd#4808",
    },
    {
        "fact": "oci-version",
        "group": "persona",
        "says": "the ociVersion of every spec",
        "source": "specs-go/version.go",
        "values": [
            {"value": "1.0.1-dev"},
            {"value": "1.0.2-dev", "since": ["1.4.0"]},
            {"value": "1.1.0", "since": ["1.7.12", "2.0.0"], "source": "elsewhere"},
        ],
    },
]


@pytest.mark.parametrize(
    ("release", "holds", "version"),
    [
        ("1.3.10", False, "1.0.1-dev"),
        ("1.5.0", True, "1.0.2-dev"),
        ("1.7.11", True, "1.0.2-dev"),
        ("1.7.12", True, "1.1.0"),
        ("2.1.0", True, "1.1.0"),
    ],
)
def test_facts(release: str, holds: bool, version: str) -> None:
    """A fact holds or has a value; of the values that hold, the one listed last counts."""
    facts = Facts(RECORDS)
    assert (parse(release) in facts["security-profile-field"]) is holds
    assert facts.value("oci-version", parse(release)) == version
    assert facts["security-profile-field"].says == "the CRI field is honoured"
    assert [fact.name for fact in facts] == ["security-profile-field", "oci-version"]
    with pytest.raises(KeyError):
        facts["no-such-fact"]


def test_rule_at_a_release() -> None:
    """A rule has the names that hold for a release, in the order of the file; a name that moved stands twice."""
    rule = _rule(
        {
            "rule": "base",
            "names": [
                "accept",
                {"timerfd_create": {"until": ["1.4.0"]}},
                "timer_create",
                {"timerfd_create": {"since": ["1.4.0"]}},
            ],
            "until": ["3.0.0"],
            "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}],
        }
    )
    before, after = rule.at(parse("1.3.0")), rule.at(parse("1.4.0"))
    assert before is not None
    assert after is not None
    assert before.names == ("accept", "timerfd_create", "timer_create")
    assert after.names == ("accept", "timer_create", "timerfd_create")
    assert after.args[0].value_two == 0
    assert rule.at(parse("3.0.0")) is None
