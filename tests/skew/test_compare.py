"""Laws of comparing sections, and lines about releases of which it was published what changed in them."""

from __future__ import annotations

import functools
import re
import socket
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import CapacityExceeded
from runtimes.host import Host
from runtimes.model import find, known
from runtimes.verdict import Filter, Verdict
from shim.builtin import builtin_profile
from shim.skew.compare import EVERYTHING_ELSE, Change, compare, less_confined, lines, more_confined
from shim.skew.constants import called
from tests.skew import strategies

SECTIONS = st.one_of(st.none(), strategies.ORDERLY, strategies.ANY)
SWAPPED = {"gained": "lost", "lost": "gained", "other": "other"}


def concerns(change: Change, call: str, args: dict[int, int]) -> bool:
    """Whether a change speaks of a call. What is written in `where` is Python's spelling, too: Python judges it."""
    named = {f"arg{index}": args.get(index, 0) for index in range(6)}
    return change.syscall == call and bool(eval(compiled(change.where), {}, named))  # noqa: S307


@functools.cache
def compiled(where: str) -> CodeType:
    return compile(where or "True", "where", "eval")


@given(SECTIONS)
def test_a_section_differs_from_itself_in_nothing(section: dict[str, Any] | None) -> None:
    assert compare(section, section) == ()


@given(strategies.ANY)
def test_the_order_of_names_in_a_rule_is_no_difference(section: dict[str, Any]) -> None:
    turned = [{**rule, "names": rule["names"][::-1]} for rule in section["syscalls"]]
    assert compare(section, {**section, "syscalls": turned}) == ()


@given(SECTIONS, SECTIONS)
def test_the_way_back_loses_what_was_gained(before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    there, back = compare(before, after), compare(after, before)
    assert [(each.syscall, each.where, each.before, each.after) for each in there] == [
        (each.syscall, each.where, each.after, each.before) for each in back
    ]
    assert [SWAPPED[each.direction] for each in there] == [each.direction for each in back]
    assert less_confined(there) == more_confined(back)


@given(SECTIONS, SECTIONS, st.data())
def test_what_differs_is_told_and_what_is_told_differs(
    before: dict[str, Any] | None, after: dict[str, Any] | None, data: st.DataObject
) -> None:
    """Evaluated at arguments that are drawn from the numbers of both sections, and from any others."""
    changes, old, new = compare(before, after), Filter(before), Filter(after)
    compared = [arg for call in strategies.CALLS for read in (old, new) for arg in read.conditions(call)]
    near = [value + step & 2**64 - 1 for arg in compared for value in (arg.value, arg.value_two) for step in (-1, 0, 1)]
    values = st.one_of(strategies.LARGE, st.sampled_from(near)) if near else strategies.LARGE
    for _ in range(8):
        args = data.draw(st.dictionaries(st.integers(0, 5), values, max_size=3))
        for call in (*strategies.CALLS, "uname"):
            was, now = old.of(call, args), new.of(call, args)
            told = [each for each in changes if concerns(each, call, args)]
            if not told and (was, now) == (old.default, new.default):
                told = [each for each in changes if each.syscall == EVERYTHING_ELSE]
            assert [(each.before, each.after) for each in told] == ([(was, now)] if was != now else []), (call, args)


@given(strategies.ANY)
def test_to_take_a_filter_away_is_never_to_confine(section: dict[str, Any]) -> None:
    assert not more_confined(compare(section, None))
    assert not less_confined(compare(None, section))


def test_too_many_kinds_of_arguments_are_a_limit_that_is_told() -> None:
    args = [{"index": index, "value": value, "op": "SCMP_CMP_EQ"} for index in range(6) for value in range(9)]
    rules = [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [each]} for each in args]
    with pytest.raises(CapacityExceeded, match="kinds of arguments"):
        compare({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}, {"defaultAction": "SCMP_ACT_ERRNO"})


def section_of(build: str, *, add: tuple[str, ...] = (), arch: str = "amd64") -> dict[str, Any]:
    family, _, release = build.partition("@")
    model = find(family)
    host = Host(arch=arch, kernel="6.1.0", seccomp=True)
    section = builtin_profile(model, known(model, release), host, add=add).section
    assert section is not None
    return section


PUBLISHED = [
    ("AF_ALG is open again on the 2.1 branch: containerd#13327 has no back-port there",
     "containerd@2.0.9", "containerd@2.1.9", {}, {"+ socket(AF_ALG)"}),
    ("AF_ALG was closed in 2.2.4, a patch release: containerd#13327",
     "containerd@2.2.3", "containerd@2.2.4", {}, {"- socket(AF_ALG) (EPERM)"}),
    ("2.3.0 was cut before it was closed there",
     "containerd@2.2.4", "containerd@2.3.0", {}, {"+ socket(AF_ALG)"}),
    ("AF_ALG was closed in 1.7.32 on the old branch",
     "containerd@1.7.31", "containerd@1.7.32", {}, {"- socket(AF_ALG) (EPERM)"}),
    ("AF_VSOCK was closed in 1.7.0: containerd#7442",
     "containerd@1.6.9", "containerd@1.7.0", {},
     {"- socket(AF_VSOCK) (EPERM)", "+ ..., process_vm_readv, process_vm_writev"}),
    ("io_uring left the profile in 2.0.0: containerd#9320",
     "containerd@1.7.24", "containerd@2.0.0", {}, {"- io_uring_enter, io_uring_register, io_uring_setup (EPERM)"}),
    ("clone3 answers ENOSYS from 1.4.10 on, so that a libc falls back: containerd#6014",
     "containerd@1.4.9", "containerd@1.4.10", {}, {"~ clone3 (EPERM -> ENOSYS)"}),
    ("ptrace is for everybody from 1.6.7 on, where the kernel is new enough: containerd#7171",
     "containerd@1.6.6", "containerd@1.6.7", {}, {"+ ptrace"}),
    ("the memory policy needs CAP_SYS_NICE from 1.6.16 on",
     "containerd@1.6.15", "containerd@1.6.16", {"add": ("SYS_NICE",)},
     {"+ get_mempolicy, mbind, pkey_alloc, pkey_free, pkey_mprotect, set_mempolicy"}),
    ("CRI-O 1.29.9 denies clone with namespaces, in a patch release",
     "cri-o@1.29.8", "cri-o@1.29.9", {},
     {"- clone where arg0 & CLONE_NEW* != 0 (EPERM)", "- clone3 (ENOSYS)"}),
    ("and so does 1.30.6: up to 1.30.5 an upgrade from 1.29.9 opens them again",
     "cri-o@1.29.9", "cri-o@1.30.5", {}, {"+ clone where arg0 & CLONE_NEW* != 0, clone3"}),
    ("with CAP_SYS_ADMIN nothing changed about it",
     "cri-o@1.29.8", "cri-o@1.29.9", {"add": ("SYS_ADMIN",)}, set()),
    ("on s390x the flags of clone are its second argument",
     "cri-o@1.30.5", "cri-o@1.30.6", {"arch": "s390x"},
     {"- clone where arg1 & CLONE_NEW* != 0 (EPERM)", "- clone3 (ENOSYS)"}),
    ("CRI-O 1.35.1 closes AF_VSOCK for whoever is filtered, with every capability, too",
     "cri-o@1.35.0", "cri-o@1.35.1", {"add": ("ALL",)}, {"- socket(AF_VSOCK) (EPERM)"}),
    ("and gives perf_event_open back to CAP_SYS_ADMIN",
     "cri-o@1.35.0", "cri-o@1.35.1", {"add": ("SYS_ADMIN",)}, {"+ perf_event_open", "- socket(AF_VSOCK) (EPERM)"}),
    ("what CRI-O does not name is answered with ENOSYS from 1.22.0 on",
     "cri-o@1.21.7", "cri-o@1.22.0", {}, {"~ everything else (EPERM -> ENOSYS)", "+ ..."}),
    ("CRI-O 1.31.0 forgets CAP_SYS_ADMIN where it lists perf_event_open",
     "cri-o@1.30.6", "cri-o@1.31.0", {"add": ("SYS_ADMIN",)}, {"- perf_event_open, ... (ENOSYS)"}),
    ("the audit netlink needs CAP_AUDIT_WRITE from CRI-O 1.19.2 on",
     "cri-o@1.19.1", "cri-o@1.19.2", {}, {"- socket(AF_NETLINK, *, NETLINK_AUDIT) (EINVAL)"}),
]  # fmt: skip


@pytest.mark.parametrize(("description", "before", "after", "where", "expected"), PUBLISHED)
def test_what_was_published_about_releases_is_what_the_lines_say(
    description: str, before: str, after: str, where: dict[str, Any], expected: set[str]
) -> None:
    """Sources: what is named, and both families' own files at these tags. "..." stands for other calls or lines."""
    said = lines(compare(section_of(before, **where), section_of(after, **where)))
    for line in expected:
        pattern = re.escape(line).replace(re.escape("..."), ".+")
        assert any(re.fullmatch(pattern, each) for each in said), (description, line, said)
    assert len(said) == len(expected) or any("..." in line for line in expected), (description, said)


def test_a_line_has_a_sign_and_says_what_becomes_of_a_call() -> None:
    allow, eperm, kill = Verdict("SCMP_ACT_ALLOW"), Verdict("SCMP_ACT_ERRNO", 1), Verdict("SCMP_ACT_KILL_PROCESS")
    changes = [
        Change("clone3", "", eperm, Verdict("SCMP_ACT_ERRNO", 38)),
        Change("bpf", "", allow, kill),
        Change("read", "", eperm, Verdict("SCMP_ACT_LOG")),
        Change("write", "", Verdict("SCMP_ACT_TRACE", 5), Verdict("SCMP_ACT_ERRNO", 99999)),
        Change("*", "", kill, allow),
    ]
    assert lines(changes) == (
        "+ read (SCMP_ACT_LOG)",
        "+ everything else",
        "- bpf (SCMP_ACT_KILL_PROCESS)",
        "~ clone3 (EPERM -> ENOSYS)",
        "~ write (SCMP_ACT_TRACE 5 -> errno 99999)",
    )


@pytest.mark.parametrize(
    ("syscall", "where", "expected"),
    [
        ("socket", "arg0 == 38", "socket(AF_ALG)"),
        ("socket", "arg0 == 38 or arg0 == 40", "socket(AF_ALG), socket(AF_VSOCK)"),
        ("socket", "arg0 == 16 and arg2 == 9", "socket(AF_NETLINK, *, NETLINK_AUDIT)"),
        ("socket", "arg0 != 40", "socket where arg0 != AF_VSOCK"),
        ("socket", "arg0 == 38 or arg0 >= 41", "socket where arg0 == AF_ALG or arg0 >= 41"),
        ("socket", "arg0 == 99", "socket where arg0 == 99"),
        ("personality", "arg0 == 131080", "personality(UNAME26|PER_LINUX32)"),
        ("clone", "arg0 & 0x7e020000 == 0x0", "clone where arg0 & CLONE_NEW* == 0"),
        ("clone", "arg1 & 0x10000000 != 0x0", "clone where arg1 & CLONE_NEWUSER != 0"),
        ("clone", "arg0 & 0x30000000 != 0x0", "clone where arg0 & (CLONE_NEWUSER|CLONE_NEWPID) != 0"),
        ("clone", "arg0 & 0x10000001 != 0x0", "clone where arg0 & 0x10000001 != 0x0"),
        ("clone", "arg0 & 0x10000000 == 0x10000000", "clone where arg0 & 0x10000000 == 0x10000000"),
        ("read", "arg0 == 38", "read where arg0 == 38"),
        ("read", "", "read"),
    ],
)
def test_numbers_that_have_names_are_called_by_them(syscall: str, where: str, expected: str) -> None:
    assert called(syscall, where) == expected


@pytest.mark.parametrize("name", "AF_UNSPEC AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_CAN AF_TIPC "
                                 "AF_ALG AF_VSOCK".split())  # fmt: skip
def test_address_families_have_the_numbers_of_this_machine(name: str) -> None:
    number = getattr(socket, name, None)
    if number is None:
        pytest.skip(f"this Python was built without {name}")
    assert called("socket", f"arg0 == {int(number)}") == f"socket({name})"


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("sched.h", "CLONE_NEWNS CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET"),
        ("personality.h", "UNAME26 PER_LINUX32"),
        ("netlink.h", "NETLINK_AUDIT"),
    ],
)
def test_flags_have_the_numbers_of_the_kernels_headers(header: str, names: str) -> None:
    path = Path("/usr/include/linux", header)
    if not path.exists():
        pytest.skip(f"this machine has no {path} to compare with")
    for name in names.split():
        found = re.search(rf"\b{name}\s*=?\s*(0x[0-9a-f]+|\d+)", path.read_text())
        assert found, name
        number = int(found[1], 0)
        if header == "sched.h":
            assert called("clone", f"arg0 & {number:#x} != 0x0") == f"clone where arg0 & {name} != 0"
        elif header == "personality.h":
            assert called("personality", f"arg0 == {number}") == f"personality({name})"
        else:
            assert called("socket", f"arg0 == 16 and arg2 == {number}") == f"socket(AF_NETLINK, *, {name})"
