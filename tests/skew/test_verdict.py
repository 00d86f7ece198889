"""What a section makes of a call, compared with the filter that the real libseccomp makes of it, run instruction by
instruction (see libseccomp.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runtimes.errors import Refused
from runtimes.host import Host
from runtimes.model import find
from runtimes.oci import Arg
from runtimes.verdict import Filter, Verdict, comparison, holds, opposite
from shim.builtin import builtin_profile
from tests.skew import libseccomp, strategies

needs_library = pytest.mark.skipif(
    libseccomp.library() is None, reason="this machine has no libseccomp to compare with"
)

CAPABILITIES = ((), ("ALL",), ("SYS_ADMIN",), ("AUDIT_WRITE", "BPF"), ("SYS_NICE", "PERFMON", "SYS_PTRACE"))
HOST = Host(arch="amd64", kernel="6.1.0", seccomp=True)


def distinct_profiles(family: str) -> dict[str, str]:
    """Every built-in profile of every release of a family, each once, and a release that has it."""
    model = find(family)
    found: dict[str, str] = {}
    for known in model.releases():
        for add in CAPABILITIES:
            try:
                section = builtin_profile(model, known.release, HOST, add=add).section
            except Refused:
                continue  # an old CRI-O does not know the capability
            found.setdefault(json.dumps(section), f"{family} {known.release} with {add}")
    return found


def words(section: dict[str, Any], call: str) -> dict[int, list[int]]:
    """Return values to try of every argument: on each side of whatever the rules of a call compare with."""
    found: dict[int, set[int]] = {index: {0, 1} for index in range(6)}
    for rule in section["syscalls"]:
        for arg in rule.get("args", ()) if call in (rule["names"] or ()) else ():
            value, wanted = arg["value"], arg.get("valueTwo", 0)
            bits = {wanted ^ (1 << bit) for bit in range(64) if value >> bit & 1}
            found[arg["index"]] |= {value - 1, value, value + 1, wanted, wanted ^ value, wanted | ~value, *bits}
    return {index: sorted(value % 2**64 for value in values) for index, values in found.items()}


def one_at_a_time(tried: dict[int, list[int]]) -> Iterator[dict[int, int]]:
    """Try all values of each argument while the others are 0."""
    return ({index: value} for index, values in tried.items() for value in values)


def assert_same(section: dict[str, Any], program: libseccomp.Program, call: str, args: dict[int, int]) -> None:
    number = libseccomp.number(call)
    assert number is not None
    verdict = Filter(section).of(call, args)
    assert program.run(number, args) == libseccomp.action(verdict.action, verdict.errno), (call, args, verdict)


@needs_library
@pytest.mark.parametrize("family", ["containerd", "cri-o"])
def test_every_built_in_profile_means_what_libseccomp_makes_of_it(family: str) -> None:
    if libseccomp.library().seccomp_arch_native() != libseccomp.X86_64:
        pytest.skip("the profiles are those of amd64, and this machine is another one")
    profiles = distinct_profiles(family)
    assert len(profiles) > 20
    for text, whose in profiles.items():
        section = json.loads(text)
        program, read = libseccomp.Program(section), Filter(section)
        for call in (*read.names, "io_uring_setup", "socket", "clone", "clone3"):
            number = libseccomp.number(call)
            if number is None:
                continue  # libseccomp leaves out what it does not know, as runc lets it
            for args in one_at_a_time(words(section, call)):
                verdict = read.of(call, args)
                made = libseccomp.action(verdict.action, verdict.errno)
                assert program.run(number, args) == made, (whose, call, args, verdict)


def native(call: str) -> bool:
    return libseccomp.library() is not None and libseccomp.number(call) is not None


@needs_library
@pytest.mark.parametrize(
    ("kind", "sections"),
    [
        ("one rule a call, of any comparisons of 64 bits", strategies.ONE_RULE_A_CALL),
        ("rules of one action that look at one argument each", strategies.ONE_ACTION),
        ("rules of one action that look for values or bits in several arguments", strategies.MASKS_OF_ONE_ACTION),
        ("rules of several actions that look for values in several arguments", strategies.EXACT_MATCHES),
    ],
)
@given(data=st.data())
def test_sections_at_random_mean_what_libseccomp_makes_of_them(
    kind: str, sections: st.SearchStrategy[dict[str, Any]], data: st.DataObject
) -> None:
    section = data.draw(sections, label=kind)
    try:
        program = libseccomp.Program(section)
    except libseccomp.Rejected:
        assume(False)
    for call in filter(native, strategies.CALLS):
        tried = words(section, call)
        for args in one_at_a_time(tried):
            assert_same(section, program, call, args)
        args = {index: data.draw(st.sampled_from(values)) for index, values in tried.items()}
        assert_same(section, program, call, args)


SOCKET_38 = {"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}
ALLOW, EPERM, ENOSYS = (
    {"action": "SCMP_ACT_ALLOW"},
    {"action": "SCMP_ACT_ERRNO"},
    {"action": "SCMP_ACT_ERRNO", "errnoRet": 38},
)


def arg(op: str, value: int, wanted: int = 0, index: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": wanted, "op": f"SCMP_CMP_{op}"}


@needs_library
@pytest.mark.parametrize(
    ("description", "default", "rules", "args", "expected"),
    [
        ("a rule without arguments beats an earlier one with some", EPERM, [(ENOSYS, [arg("EQ", 1)]), (ALLOW, [])],
         {0: 1}, Verdict("SCMP_ACT_ALLOW")),
        ("of two rules without arguments the first counts", EPERM, [(ALLOW, []), (ENOSYS, [])],
         {}, Verdict("SCMP_ACT_ALLOW")),
        ("a rule that says what the default says is none", EPERM, [(EPERM, []), (ALLOW, [])],
         {}, Verdict("SCMP_ACT_ALLOW")),
        ("two comparisons of one argument: one of them is enough", EPERM, [(ALLOW, [arg("NE", 38), arg("NE", 40)])],
         {0: 38}, Verdict("SCMP_ACT_ALLOW")),
        ("comparisons of two arguments: both have to hold", EPERM, [(ALLOW, [arg("NE", 38), arg("NE", 40, index=1)])],
         {0: 38}, Verdict("SCMP_ACT_ERRNO", 1)),
        ("an exact value comes before a range, wherever it stands", EPERM,
         [(ALLOW, [arg("GT", 4)]), (ENOSYS, [arg("EQ", 38)])], {0: 38}, Verdict("SCMP_ACT_ERRNO", 38)),
        ("of two upper bounds the smaller comes first", EPERM, [(ALLOW, [arg("LT", 40)]), (ENOSYS, [arg("LT", 3)])],
         {0: 1}, Verdict("SCMP_ACT_ERRNO", 38)),
        ("a later argument comes before an earlier one", EPERM,
         [(ALLOW, [arg("EQ", 1)]), (ENOSYS, [arg("EQ", 2, index=1)])], {0: 1, 1: 2}, Verdict("SCMP_ACT_ERRNO", 38)),
        ("what a mask leaves out does not count on either side", EPERM, [(ALLOW, [arg("MASKED_EQ", 1, 9)])],
         {0: 3}, Verdict("SCMP_ACT_ALLOW")),
        ("a mask of nothing is no comparison", EPERM, [(ALLOW, [arg("MASKED_EQ", 0, 9)])],
         {0: 3}, Verdict("SCMP_ACT_ALLOW")),
        ("all 64 bits count", EPERM, [(ALLOW, [arg("EQ", 38)])], {0: 2**32 + 38}, Verdict("SCMP_ACT_ERRNO", 1)),
        ("an error number may be 0: the call does nothing and succeeds", {"action": "SCMP_ACT_ERRNO", "errnoRet": 0},
         [], {}, Verdict("SCMP_ACT_ERRNO", 0)),
    ],
)  # fmt: skip
def test_what_counts_where_rules_meet(
    description: str,
    default: dict[str, Any],
    rules: list[tuple[dict[str, Any], list[dict[str, Any]]]],
    args: dict[int, int],
    expected: Verdict,
) -> None:
    section: dict[str, Any] = {
        "defaultAction": default["action"],
        "syscalls": [{"names": ["socket"], **action, "args": conditions} for action, conditions in rules],
    }
    if "errnoRet" in default:
        section["defaultErrnoRet"] = default["errnoRet"]
    assert Filter(section).of("socket", args) == expected, description
    assert_same(section, libseccomp.Program(section), "socket", args)


def test_no_section_allows_everything() -> None:
    assert Filter(None).of("reboot") == Verdict("SCMP_ACT_ALLOW")
    assert Filter(None).names == ()


COMPARISONS = st.builds(
    Arg,
    index=st.just(0),
    value=strategies.LARGE,
    value_two=strategies.LARGE,
    op=st.sampled_from([*strategies.ORDERED, "SCMP_CMP_MASKED_EQ"]),
)


@given(COMPARISONS, st.data())
def test_what_is_written_of_a_comparison_is_true_where_it_holds(arg: Arg, data: st.DataObject) -> None:
    """The text is Python's spelling, too, so Python can judge it."""
    value = data.draw(st.one_of(strategies.LARGE, st.sampled_from([arg.value, arg.value_two])))
    written, denied = comparison(arg), opposite(arg)
    if not holds(arg, value):
        written, denied = denied, written
    assert eval(written, {"arg0": value}) is True  # noqa: S307
    assert eval(denied, {"arg0": value}) is False  # noqa: S307
