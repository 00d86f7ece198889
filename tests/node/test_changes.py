"""What changed between two releases, told from facts and profile rules."""

from __future__ import annotations

from runtimes.facts import Facts
from runtimes.oci import ALLOW, ERRNO, Arg
from runtimes.profile import Name, Rule
from runtimes.release import Span, parse
from shim.changes import Change, fact_changes, profile_changes

OLD, NEW = parse("1.0.0"), parse("2.0.0")
SINCE_2 = Span(since=(NEW,))
UNTIL_2 = Span(until=(NEW,))

FACTS = Facts(
    [
        {"fact": "came", "group": "decision", "says": "it is so", "since": ["2.0.0"], "source": "a"},
        {"fact": "went", "group": "persona", "says": "it was so", "until": ["2.0.0"], "source": "b"},
        {"fact": "stayed", "group": "persona", "says": "always", "source": "c"},
        {
            "fact": "valued",
            "group": "persona",
            "says": "the number",
            "source": "d",
            "values": [{"value": 1}, {"value": 2, "since": ["1.5.0"], "source": "e"}],
        },
    ]
)


def rule(name: str, names: tuple[Name, ...], **more: object) -> Rule:
    plain: dict[str, object] = {
        "action": ALLOW,
        "errno_ret": None,
        "args": (),
        "span": Span(),
        "when": {},
        "source": "profile",
    }
    return Rule(rule=name, names=names, **{**plain, **more})  # type: ignore[arg-type]


def test_facts_come_go_and_change() -> None:
    assert list(fact_changes(FACTS, OLD, NEW)) == [
        Change("decision", "came", "added", "it is so", "a"),
        Change("persona", "went", "removed", "it was so", "b"),
        Change("persona", "valued", "changed", "the number", "e", 1, 2),
    ]


def test_a_downgrade_is_the_other_way_round() -> None:
    assert [(change.name, change.what, change.after) for change in fact_changes(FACTS, NEW, OLD)] == [
        ("came", "removed", None),
        ("went", "added", None),
        ("valued", "changed", 1),
    ]


def test_between_equal_releases_nothing_changes() -> None:
    assert list(fact_changes(FACTS, NEW, NEW)) == []


def test_names_move_in_and_out_of_a_rule_each_with_its_source() -> None:
    base = rule(
        "base",
        (
            Name("read", Span()),
            Name("io_uring_setup", UNTIL_2, "#9320"),
            Name("cachestat", SINCE_2, "#9684"),
            Name("futex_wait", SINCE_2, "#9684"),
        ),
    )
    assert [(change.what, change.says, change.source) for change in profile_changes([base], OLD, NEW)] == [
        ("added", "allowed: cachestat, futex_wait", "#9684"),
        ("removed", "allowed: io_uring_setup", "#9320"),
    ]


def test_rules_come_and_go_with_their_conditions() -> None:
    rules = [
        rule("vsock", (Name("socket", Span()),), args=(Arg(index=0, value=40, op="SCMP_CMP_NE"),), span=SINCE_2),
        rule("clone", (Name("clone", Span()),), action=ERRNO, errno_ret=38, span=UNTIL_2),
        rule("admin", (Name("mount", SINCE_2),), when={"capability": "CAP_SYS_ADMIN"}),
        rule(
            "masked",
            (Name("clone", Span()),),
            args=(Arg(index=0, value=0x7E020000, value_two=0, op="SCMP_CMP_MASKED_EQ"),),
            span=SINCE_2,
        ),
    ]
    assert [(change.what, change.says) for change in profile_changes(rules, OLD, NEW)] == [
        ("added", "allowed: socket where arg0 != 40"),
        ("removed", "SCMP_ACT_ERRNO (errno 38): clone"),
        ("added", "allowed (capability CAP_SYS_ADMIN): mount"),
        ("added", "allowed: clone where arg0 & 0x7e020000 == 0x0"),
    ]
