"""The checks: that they hold where the facts say so, and what they say where they do not hold."""

from __future__ import annotations

import json
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import BadInput
from runtimes.verdict import Filter
from shim.testing import SeccompCheck, assert_seccomp, simulated_node
from shim.testing.calls import verdicts

RUNTIME_DEFAULT = {"type": "RuntimeDefault"}
CONSTANTS = {"AF_ALG": 38, "AF_VSOCK": 40}

# Verdicts that others have written down: a release, a call, and whether it is allowed under RuntimeDefault.
PUBLISHED = [
    ("containerd@1.7.31", "socket", "AF_ALG", True, "containerd#13406"),
    ("containerd@1.7.32", "socket", "AF_ALG", False, "containerd#13406"),
    ("containerd@2.0.8", "socket", "AF_ALG", True, "containerd#13407"),
    ("containerd@2.0.9", "socket", "AF_ALG", False, "containerd#13407"),
    ("containerd@2.1.9", "socket", "AF_ALG", True, "no branch 2.1 among containerd#13327's"),
    ("containerd@2.2.4", "socket", "AF_ALG", False, "containerd#13408"),
    ("containerd@2.3.0", "socket", "AF_ALG", True, "containerd#13409"),
    ("containerd@2.3.1", "socket", "AF_ALG", False, "containerd#13409"),
    ("containerd@1.6.39", "socket", "AF_VSOCK", True, "containerd#7510, not brought back to 1.6"),
    ("containerd@1.7.0", "socket", "AF_VSOCK", False, "containerd#7510"),
    ("containerd@1.7.0", "io_uring_setup", "", True, "containerd#9320"),
    ("containerd@2.0.0", "io_uring_setup", "", False, "containerd#9320"),
    ("cri-o@1.35.0", "socket", "AF_VSOCK", True, "cri-o 1.35.1, vendored pkg/seccomp"),
    ("cri-o@1.35.1", "socket", "AF_VSOCK", False, "cri-o 1.35.1, vendored pkg/seccomp"),
    ("cri-o@1.34.0", "socket", "AF_VSOCK", True, "cri-o 1.34, vendored pkg/seccomp"),
    ("cri-o@1.36.3", "socket", "AF_ALG", True, "container-libs#844"),
    ("cri-o@1.24.0", "unshare", "", False, "cri-o#5788"),
    ("cri-o@1.23.0", "unshare", "", True, "cri-o#5788"),
]


@pytest.mark.parametrize(
    ("node", "syscall", "family", "allowed", "source"), PUBLISHED, ids=[" ".join(row[:3]).strip() for row in PUBLISHED]
)
def test_what_others_have_published_holds(node: str, syscall: str, family: str, allowed: bool, source: str) -> None:
    args = {"arg0": CONSTANTS[family]} if family else {}
    with simulated_node(node, kubelet="1.26.0") as cri:
        check = assert_seccomp(cri.container(seccompProfile=RUNTIME_DEFAULT))
        right, wrong = (check.allows, check.denies) if allowed else (check.denies, check.allows)
        assert right(syscall, **args) is check, source
        with pytest.raises(AssertionError, match=f"is {'allowed' if allowed else 'denied'}.*, and should be"):
            wrong(syscall, **args)


@pytest.fixture(scope="module")
def default() -> Iterator[Any]:
    """A container with RuntimeDefault of containerd 2.0.9."""
    with simulated_node("containerd@2.0.9", kubelet="1.30.2", seccompDefault=True) as node:
        yield node.container()


@pytest.fixture(scope="module")
def unconfined() -> Iterator[Any]:
    with simulated_node("containerd@2.0.9", kubelet="1.30.2") as node:
        yield node.container()


@pytest.fixture(scope="module")
def refused() -> Iterator[Any]:
    with simulated_node("containerd@2.0.9", kubelet="1.30.2") as node:
        yield node.container(seccompProfile={"type": "Localhost", "localhostProfile": "gone.json"})


Check = Callable[[SeccompCheck], Any]


@pytest.mark.parametrize(
    ("held", "broken"),
    [
        (lambda c: c.is_default(), lambda c: c.is_not_default()),
        (lambda c: c.is_default(of="containerd@2.0.9"), lambda c: c.is_not_default(of="containerd@2.0.9")),
        (lambda c: c.is_not_default(of="containerd@2.1.9"), lambda c: c.is_default(of="containerd@2.1.9")),
        (lambda c: c.equals("RuntimeDefault"), lambda c: c.does_not_equal("RuntimeDefault")),
        (lambda c: c.equals("containerd@2.0.9"), lambda c: c.equals("cri-o@1.36.3")),
        (lambda c: c.does_not_equal(None), lambda c: c.equals(None)),
        (lambda c: c.does_not_equal("Unconfined"), lambda c: c.equals("Unconfined")),
        (lambda c: c.is_confined(), lambda c: c.is_unconfined()),
        (lambda c: c.filters_as("containerd@2.0.9"), lambda c: c.filters_as("containerd@2.1.9")),
        (lambda c: c.allows_no_more_than("containerd@2.1.9"), lambda c: c.allows_no_more_than({"defaultAction": "E"})),
        (lambda c: c.allows_no_more_than(None), lambda c: c.is_localhost()),
        (lambda c: c.allows("read", "write"), lambda c: c.allows("read", "reboot")),
        (lambda c: c.denies("reboot", "swapon"), lambda c: c.denies("reboot", "read")),
        (lambda c: c.denies("reboot", errno="EPERM"), lambda c: c.denies("reboot", errno="ENOSYS")),
        (lambda c: c.denies("reboot", errno=1), lambda c: c.denies("reboot", errno=13)),
        (lambda c: c.allows("socket", arg0=2), lambda c: c.allows("socket")),
        (lambda c: c.denies("socket", arg0=socket.AF_ALG), lambda c: c.denies("socket")),
        (lambda c: c.explains("seccompDefault is on"), lambda c: c.explains("seccompDefault is off")),
        (lambda c: c.explains("seccomp-default", "RUNTIMEDEFAULT"), lambda c: c.explains("no-such-rule")),
        (lambda c: c.does_not_explain("privileged"), lambda c: c.does_not_explain("seccompDefault is on")),
        (lambda c: c.does_not_explain("is off"), lambda c: c.warns()),
        (lambda c: c.is_confined(), lambda c: c.is_refused()),
    ],
)
def test_a_check_holds_or_raises(default: Any, held: Check, broken: Check) -> None:
    check = assert_seccomp(default)
    assert held(check) is check
    with pytest.raises(AssertionError) as failed:
        broken(check)
    assert str(failed.value).startswith("container main of pod default/plain (containerd 2.0.9, kubelet 1.30.2): ")


def test_digests_are_compared_by_their_beginning(default: Any) -> None:
    digest = default.digest
    assert_seccomp(default).equals(digest).equals(f"sha256:{digest}").equals(digest[:12])
    assert_seccomp(default).does_not_equal("0" * 12)
    with pytest.raises(AssertionError, match="is not sha256 000000000000"):
        assert_seccomp(default).equals("000000000000")


def test_a_file_may_hold_a_section_or_a_spec_or_what_crictl_printed(default: Any, tmp_path: Path) -> None:
    spec = default.inspected.spec
    for content in (default.section, spec, {"status": {}, "info": {"runtimeSpec": spec}}):
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content))
        assert_seccomp(default).equals(path).equals(str(path))
        assert_seccomp(content).equals(default)


def test_what_a_real_node_says_is_checked_in_the_same_way(default: Any) -> None:
    """Of a runtime that is not crishim there is the spec, and nobody who says which release wrote it."""
    real = {"status": {"id": "1"}, "info": {"pid": 1, "runtimeSpec": default.inspected.spec}}
    assert_seccomp(real).is_default(of="containerd@2.0.9").denies("socket", arg0=38).allows("read")
    with pytest.raises(BadInput, match="nobody knows which release made the container"):
        assert_seccomp(real).is_default()
    with pytest.raises(
        AssertionError, match=r"(?s)the container: is not RuntimeDefault of containerd 2.1.9.*- socket\(AF_ALG\)"
    ):
        assert_seccomp(real).is_default(of="containerd@2.1.9")
    with pytest.raises(AssertionError, match="there are no steps beside this section"):
        assert_seccomp(real).explains("anything")


def test_no_filter_allows_everything(unconfined: Any) -> None:
    check = assert_seccomp(unconfined)
    check.is_unconfined().allows("reboot", "socket").equals(None).explains("seccompDefault is off")
    with pytest.raises(AssertionError, match=r"(?s)is unconfined, and should not be.*no filter: unconfined"):
        check.is_confined()
    with pytest.raises(AssertionError, match=r"allows more than RuntimeDefault of containerd 2\.0\.9"):
        check.allows_no_more_than("RuntimeDefault")
    with pytest.raises(AssertionError, match=r"reboot\(\) is allowed, and should be denied"):
        check.denies("reboot")


def test_what_was_refused_has_no_filter_to_check(refused: Any) -> None:
    check = assert_seccomp(refused)
    check.is_refused().is_refused("CreateContainerError").is_refused(message="no such file or directory")
    check.explains("the container says Localhost")
    every: list[Check] = [
        lambda c: c.is_unconfined(),
        lambda c: c.allows("read"),
        lambda c: c.equals(None),
        lambda c: c.is_localhost(),
    ]
    for broken in every:
        with pytest.raises(AssertionError, match=r"(?s): was refused.*nothing: refused by the runtime: .*gone.json"):
            broken(check)
    with pytest.raises(AssertionError, match="was refused with CreateContainerError, not with RunContainerError"):
        check.is_refused("RunContainerError")
    with pytest.raises(AssertionError, match="and not with the words 'permission denied'"):
        check.is_refused(message="permission denied")


def test_a_difference_is_told_call_by_call_and_short(default: Any) -> None:
    with pytest.raises(AssertionError) as failed:
        assert_seccomp(default).equals("containerd@2.1.9")
    lines = str(failed.value).splitlines()
    assert re.fullmatch(r"  wanted      RuntimeDefault of containerd 2\.1\.9, sha256 [0-9a-f]{12}", lines[2])
    assert lines[3] == "  differs in  - socket(AF_ALG) (EPERM)"
    denied = {"names": ["read"], "action": "SCMP_ACT_ERRNO"}
    calls = [{**denied, "names": [f"call_{number}"], "errnoRet": number} for number in range(2, 60)]
    with pytest.raises(AssertionError, match=r"\.\.\. and \d+ lines more"):
        assert_seccomp(default).equals({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls})
    assert max(map(len, lines)) <= 120


def test_the_rules_of_a_call_are_told() -> None:
    """containerd#7510 and #13407: 2.0.9 lets no socket of AF_ALG (38) and AF_VSOCK (40) be made."""
    with simulated_node("containerd@2.0.9") as node:
        check = assert_seccomp(node.container(seccompProfile=RUNTIME_DEFAULT))
    with pytest.raises(AssertionError, match=r"its rules   - socket\(AF_ALG\), socket\(AF_VSOCK\) \(EPERM\)\n"):
        check.allows("socket")
    with pytest.raises(AssertionError, match=r"its rules   read is allowed, whatever its arguments\n"):
        check.denies("read")
    with pytest.raises(AssertionError, match=r"none names reboot, and what is not named is denied \(EPERM\)\n"):
        check.allows("reboot")


def test_flags_count_bit_by_bit() -> None:
    """containerd#3314: whoever may not make namespaces has clone without their flags, 0x7e020000."""
    new_user, thread = 0x1000_0000, 0x3D_0F00
    with simulated_node("containerd@2.0.9") as node:
        check = assert_seccomp(node.container(seccompProfile=RUNTIME_DEFAULT))
    check.allows("clone", arg0=thread).denies("clone", arg0=new_user | thread, errno="EPERM")
    with pytest.raises(
        AssertionError, match=r"clone\(\) should be allowed, and is allowed or denied \(EPERM\): it depends"
    ):
        check.allows("clone")


def test_sections_that_filter_alike_are_told_apart_by_their_writing(default: Any) -> None:
    first, *rest = default.section["syscalls"]
    turned = {**default.section, "syscalls": [{**first, "names": first["names"][::-1]}, *rest]}
    assert_seccomp(default).filters_as(turned).does_not_equal(turned)
    with pytest.raises(AssertionError, match=r"architectures: 1 of them, and here 3"):
        assert_seccomp(default).equals({**default.section, "architectures": ["SCMP_ARCH_X86_64"]})
    with pytest.raises(AssertionError, match=r'flags: \["SCMP_FILTER_FLAG_LOG"\], and here null'):
        assert_seccomp(default).equals({**default.section, "flags": ["SCMP_FILTER_FLAG_LOG"]})
    with pytest.raises(
        AssertionError, match=r"(?s)how it is written; no call is treated otherwise.*syscalls\[0\]\.names\[0\]"
    ):
        assert_seccomp(default).equals(turned)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (lambda c: c.equals("nonsense"), "'nonsense' holds no section (a section, a container, a digest, "),
        (lambda c: c.equals(38), "38 holds no section"),
        (lambda c: c.equals("gone.json"), "gone.json: cannot be read: No such file"),
        (lambda c: c.equals("docker@1.0"), "there is no runtime 'docker'"),
        (lambda c: c.equals("containerd@9.9.9"), "containerd 9.9.9 is not a known release"),
        (lambda c: c.denies("reboot", errno="EPREM"), "'EPREM' is no error (such as EPERM or ENOSYS)"),
        (lambda c: c.allows("socket", domain=2), "a system call has no argument domain (arg0 to arg5)"),
        (lambda c: c.allows("socket", arg0="AF_ALG"), "arg0 is 'AF_ALG' (a number, such as socket.AF_ALG)"),
    ],
)
def test_a_check_that_makes_no_sense_is_no_failure(default: Any, broken: Check, told: str) -> None:
    with pytest.raises(BadInput) as fault:
        broken(assert_seccomp(default))
    assert told in str(fault.value)


def test_a_call_that_nobody_knows_is_warned_of(default: Any) -> None:
    """Whatever is misspelled is denied by default, which a suite would take for an answer."""
    with pytest.warns(UserWarning, match=r"no profile names a system call 'unsahre' \(did you mean unshare\?\)"):
        assert_seccomp(default).denies("unsahre")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_seccomp(default).denies("keyctl", "userfaultfd", "nfsservctl")


ARGUMENTS = st.fixed_dictionaries(
    {}, optional={index: st.sampled_from([0, 1, 2, 37, 38, 39, 40]) for index in range(2)}
)
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "names": st.just(["socket"]),
            "action": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG"]),
            "args": st.lists(
                st.builds(
                    lambda index, value, op: {"index": index, "value": value, "op": op},
                    st.integers(0, 1),
                    st.integers(0, 41),
                    st.sampled_from(["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_GE"]),
                ),
                max_size=2,
            ),
        }
    ),
    max_size=4,
)


@given(rules=RULES, given_args=ARGUMENTS)
def test_no_verdict_is_overlooked(rules: list[dict[str, Any]], given_args: dict[int, int]) -> None:
    """A law: trying every value of what is left open finds the verdicts that were named, and no other."""
    section = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}
    read = Filter(section)
    choices = [[given_args[index]] if index in given_args else range(44) for index in range(2)]
    brute = {read.of("socket", {0: first, 1: second}) for first in choices[0] for second in choices[1]}
    assert set(verdicts(section, "socket", given_args)) == brute
