"""Sections made at random, of the kinds for which libseccomp is known to do what it says."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

CALLS = ("socket", "clone", "personality", "read")
ORDERED = ["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT"]
SMALL = st.one_of(st.integers(0, 6), st.sampled_from([38, 40, 0x7E020000, 0xFFFFFFFF]))
LARGE = st.one_of(SMALL, st.integers(0, 2**64 - 1), st.sampled_from([2**32, 2**32 + 1, 5 * 2**32 + 3, 2**63]))
_ACTIONS: list[dict[str, Any]] = [
    {"action": "SCMP_ACT_ALLOW"},
    {"action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    {"action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    {"action": "SCMP_ACT_LOG"},
]
ACTIONS = st.sampled_from(_ACTIONS)
DEFAULTS = st.sampled_from([
    {"defaultAction": "SCMP_ACT_ERRNO"},
    {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38},
    {"defaultAction": "SCMP_ACT_ALLOW"},
    {"defaultAction": "SCMP_ACT_KILL_PROCESS"},
])  # fmt: skip


def _comparison(index: int, op: str, value: int, wanted: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": op} | ({"valueTwo": wanted} if op == "SCMP_CMP_MASKED_EQ" else {})


@st.composite
def args(draw: st.DrawFn, operators: list[str], values: st.SearchStrategy[int], most: int) -> list[dict[str, Any]]:
    """Comparisons of different arguments."""
    indexes = draw(st.lists(st.integers(0, 5), max_size=most, unique=True))
    return [_comparison(index, draw(st.sampled_from(operators)), draw(values), draw(values)) for index in indexes]


def _sections(
    actions: st.SearchStrategy[dict[str, Any]], args: st.SearchStrategy[list[dict[str, Any]]], most: int = 5
) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(st.sampled_from(CALLS), min_size=1, max_size=2, unique=True)
    rule = st.builds(lambda names, action, args: {"names": names, **action, "args": args}, names, actions, args)
    return st.builds(lambda default, rules: {**default, "syscalls": rules}, DEFAULTS, st.lists(rule, max_size=most))


def _first_only(section: dict[str, Any]) -> dict[str, Any]:
    """Leave each call its first rule."""
    left = set(CALLS)
    kept = []
    for rule in section["syscalls"]:
        kept.append({**rule, "names": [name for name in rule["names"] if name in left]})
        left -= set(rule["names"])
    return {**section, "syscalls": kept}


_EQUAL, _MASKED = "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"
_EVERY = [*ORDERED, _MASKED]

ONE_RULE_A_CALL = _sections(ACTIONS, args(_EVERY, LARGE, 3)).map(_first_only)
ONE_ACTION = ACTIONS.flatmap(lambda action: _sections(st.just(action), args(_EVERY, SMALL, 1)))
MASKS_OF_ONE_ACTION = ACTIONS.flatmap(lambda action: _sections(st.just(action), args([_EQUAL, _MASKED], SMALL, 3)))
EXACT_MATCHES = _sections(ACTIONS, args([_EQUAL], SMALL, 3))
ORDERLY = st.one_of(ONE_RULE_A_CALL, ONE_ACTION, MASKS_OF_ONE_ACTION, EXACT_MATCHES)
ANY = _sections(ACTIONS, args(_EVERY, LARGE, 2), most=3)
