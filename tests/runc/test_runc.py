"""Compares with what runc itself said (scripts/reference/runc), and with what the daemons passed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtimes import runc
from runtimes.facts import load
from runtimes.release import parse

RECORDED = json.loads((Path(__file__).parent / "answers.json").read_text())
AGENT = "agent.sock"
ALLOW, ERRNO, NOTIFY = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"


@pytest.mark.parametrize("release", RECORDED["recorded"])
def test_as_recorded(release: str) -> None:
    """Every recorded section: taken or refused, and the very text."""
    said = [
        (answer["section"], answer["noNewPrivileges"], said["text"])
        for answer in RECORDED["answers"]
        for said in answer["said"]
        if release in said["releases"]
    ]
    wrong = [
        (section, got, text)
        for section, no_new_privileges, text in said
        if (
            got := runc.rejects(
                section, release=parse(release), no_new_privileges=no_new_privileges, listening=(AGENT,)
            )
        )
        != text
    ]
    assert sum(text is not None for *_, text in said) > 50
    assert sum(text is None for *_, text in said) > 50
    assert not wrong


# CRI-O 1.24.6 and 1.36.3 with runc 1.1.5: the profile, as CRI-O gave it to runc, and the message of CreateContainer.
DAEMONS = [
    (
        "an unknown action",
        {"defaultAction": ALLOW, "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_BOGUS"}]},
        "string SCMP_ACT_BOGUS is not a valid action for seccomp",
    ),
    (
        "an unknown operator",
        {
            "defaultAction": ALLOW,
            "syscalls": [
                {"names": ["mkdir"], "action": ERRNO, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_BOGUS"}]}
            ],
        },
        "string SCMP_CMP_BOGUS is not a valid operator for seccomp",
    ),
    (
        "no default action, but rules",
        {"defaultAction": "", "syscalls": [{"names": ["mkdir"], "action": ERRNO}]},
        "string  is not a valid action for seccomp",
    ),
    (
        "a flag",
        {"defaultAction": ALLOW, "flags": ["SECCOMP_FILTER_FLAG_LOG"]},
        "seccomp flags are not yet supported by runc",
    ),
    (
        "a rule that notifies nobody",
        {"defaultAction": ALLOW, "syscalls": [{"names": ["mkdir"], "action": NOTIFY}]},
        "unable to start container process: listenerPath is not set",
    ),
    (
        "a rule that notifies an agent who is not there",
        {
            "defaultAction": ALLOW,
            "listenerPath": "/run/nosuch-listener.sock",
            "syscalls": [{"names": ["mkdir"], "action": NOTIFY}],
        },
        (
            "unable to start container process: failed to connect with seccomp agent specified in the seccomp profile: "
            "dial unix /run/nosuch-listener.sock: connect: no such file or directory"
        ),
    ),
]


@pytest.mark.parametrize(("section", "text"), [row[1:] for row in DAEMONS], ids=[row[0] for row in DAEMONS])
def test_as_daemons_passed_on(section: dict[str, Any], text: str) -> None:
    assert runc.rejects(section) == text
    assert runc.log_line(text, "2026-01-02T03:04:05Z") == (
        f'time="2026-01-02T03:04:05Z" level=error msg="runc create failed: {text}"\n'
    )


@pytest.mark.parametrize("section", [None, {}, {"defaultAction": ""}, {"defaultAction": "", "flags": ["x"]}])
def test_nothing_to_install(section: dict[str, Any] | None) -> None:
    """Without a default action and rules there is no filter, whatever else stands there."""
    assert runc.rejects(section) is None


def test_byte_order_is_the_hosts() -> None:
    section = {"defaultAction": ALLOW, "architectures": ["SCMP_ARCH_S390X"]}
    refusal = runc.rejects(section)
    assert refusal is not None
    assert refusal.endswith("numerical argument out of domain")
    assert runc.rejects(section, big_endian=True) is None


def test_tuples_are_lists() -> None:
    """A section straight from `Seccomp.to_json` has tuples."""
    rule = {"names": ("mkdir",), "action": ERRNO, "args": ({"index": 6, "value": 1, "op": "SCMP_CMP_EQ"},)}
    refusal = runc.rejects({"defaultAction": ALLOW, "syscalls": (rule,)})
    assert refusal is not None
    assert refusal.endswith("syscalls only have up to 6 arguments (6 given)")


def test_log_line_quotes_as_go_does() -> None:
    assert runc.log_line('a "b"\n', "T").endswith('msg="runc create failed: a \\"b\\"\\n"\n')


def test_redundant_rules() -> None:
    """A rule that says what the default says does nothing; the errno belongs to the action."""
    rules = [
        {"names": ["mkdir"], "action": ERRNO},
        {"names": ["rmdir"], "action": ERRNO, "errnoRet": 1},
        {"names": ["acct"], "action": ERRNO, "errnoRet": 38},
        {"names": ["chdir"], "action": ALLOW},
    ]
    assert runc.redundant({"defaultAction": ERRNO, "syscalls": rules}) == (0, 1)
    assert runc.redundant({"defaultAction": ERRNO, "defaultErrnoRet": 38, "syscalls": rules}) == (2,)
    assert runc.redundant(
        {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": [], "action": "SCMP_ACT_KILL_THREAD"}]}
    ) == (0,)
    assert runc.redundant({"defaultAction": ALLOW}) == ()


def test_facts_are_sourced() -> None:
    for fact in load("runtimes", "runc"):
        assert fact.source
        assert fact.says
    assert str(runc.assumed_release()) in RECORDED["recorded"]
