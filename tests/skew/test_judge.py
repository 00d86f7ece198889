"""Expectations: what holds, and what a failed one says was there instead."""

from __future__ import annotations

import socket

import pytest

from shim.skew.constants import NUMBERS
from shim.skew.experiments.judge import judge
from tests.skew.playing import Played, experiment, played

HOST = '{arch: amd64, kernel: "6.1", seccomp: true, cgroup: 2, hostname: n, root: examples/skew/roots/node-a}'
HEAD = f"""
nodes:
  n1: {{host: {HOST}, kubelet: {{version: 1.33.5}}, runtime: {{name: containerd, version: 2.0.9}}}}
workloads:
  shop: |
    apiVersion: v1
    kind: Pod
    metadata: {{name: shop}}
    spec:
      containers:
        - {{name: free, image: i:1}}
        - {{name: default, image: i:1, securityContext: {{seccompProfile: {{type: RuntimeDefault}}}}}}
        - name: local
          image: i:1
          securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: profiles/audit.json}}}}
        - name: missing
          image: i:1
          securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: none.json}}}}
        - name: capable
          image: i:1
          securityContext:
            seccompProfile: {{type: RuntimeDefault}}
            capabilities: {{add: [SYS_ADMIN], drop: [KILL]}}
steps:
  - upgrade: {{runtime: 2.1.9}}
  - restart: {{container: capable}}
  - wait: 0
"""
# What upstream's own function gave at v2.0.9 and v2.1.9 for a container with the default capabilities.
OF_209, OF_219 = "410b8c52ee8441dd7464", "ec4ed55c398974f6f452"
AUDIT = "/var/lib/kubelet/seccomp/profiles/audit.json"

# What is expected after a step, and what is found instead: None where it holds.
ROWS: list[tuple[str, str, str | None]] = [
    # The kind
    ("1", "container: free, profile: Unconfined", None),
    ("1", "container: default, profile: RuntimeDefault", None),
    ("1", "container: default, profile: RuntimeDefault of containerd 2.0.9", None),
    (
        "1",
        "container: default, profile: RuntimeDefault of containerd 2.1.9",
        "profile RuntimeDefault of containerd 2.0.9",
    ),
    ("1", f"container: local, profile: Localhost {AUDIT}", None),
    ("1", "container: local, profile: Localhost", None),
    ("1", "container: local, profile: custom", f"profile Localhost {AUDIT}"),
    ("1", "container: free, profile: RuntimeDefault", "profile Unconfined"),
    ("1", "container: missing, profile: Localhost", "profile refused: CreateContainerError"),
    # The digest
    ("1", f"container: default, digest: {OF_209}", None),
    ("1", f"container: default, digest: {OF_219}", f"digest {OF_209}"),
    ("1", f"container: free, digest: {OF_209}", "digest of nothing: there is no filter"),
    # Capabilities
    ("1", "container: capable, capabilities: [SYS_ADMIN, CAP_CHOWN, '!KILL']", None),
    ("1", "container: capable, capabilities: KILL", "capabilities AUDIT_WRITE CHOWN "),
    ("1", "container: capable, capabilities: '!CAP_SYS_ADMIN'", "capabilities AUDIT_WRITE CHOWN "),
    # System calls
    ("1", "container: default, denies: ['socket(AF_ALG)', 'socket(AF_ALG):EPERM', 'clone3:ENOSYS', unshare]", None),
    ("1", "container: default, allows: ['socket(AF_UNIX)', read]", None),
    ("1", "container: default, allows: socket(AF_ALG)", "socket(AF_ALG) is denied (SCMP_ACT_ERRNO 1)"),
    ("1", "container: default, denies: read", "read is allowed"),
    ("1", "container: default, denies: 'socket(AF_ALG):ENOSYS'", "socket(AF_ALG):ENOSYS is denied (SCMP_ACT_ERRNO 1)"),
    ("1", "container: capable, allows: [unshare, 'clone(CLONE_NEWUSER)']", None),
    ("1", "container: local, allows: ptrace, denies: 'keyctl:EPERM'", None),
    ("1", "container: free, allows: [unshare, keyctl]", None),
    ("1", "container: missing, allows: read", "it is not there: refused: CreateContainerError"),
    # States
    ("1", "container: [free, default], state: Running", None),
    ("1", "container: missing, state: CreateContainerError, message: none.json", None),
    ("1", "container: missing, state: Running", "state CreateContainerError: rpc error: "),
    ("1", "container: missing, message: on fire", "message 'rpc error: "),
    ("1", "container: free, message: any", "no message"),
    ("1", "container: free, state: absent", "state Running"),
    # Before and after
    ("1", "container: free, unchanged: true", None),
    ("1", "container: default, unchanged: until-restart", None),
    ("1", "container: default, unchanged: false", "it is as before"),
    ("1", "container: free, unchanged: until-restart", "it is as before, and a restart would not change it"),
    ("2", "container: capable, unchanged: false", None),
    (
        "2",
        "container: capable, unchanged: true",
        "it was RuntimeDefault of containerd 2.0.9, and is RuntimeDefault of containerd 2.1.9",
    ),
    ("3", "container: '*', unchanged: true", None),
    # Reasons
    ("1", "container: default, because: 'kernel 6.1 is at least 4.8'", None),
    ("1", "container: default, because: magic", "none of its steps says so"),
    # Nodes
    ("1", "kubelet: running, runtime: running", None),
    ("1", "kubelet: on fire", "the kubelet: running"),
]


def with_expectation(step: str, expected: str) -> Played:
    """Play with one expectation more."""
    listed = HEAD.splitlines()
    at = next(n for n, line in enumerate(listed) if line == "steps:") + int(step)
    what = listed[at].removeprefix("  - ")
    listed[at] = f"  - {{{what}, expect: [{{{expected}}}]}}"
    return played(experiment("\n".join(listed)))


@pytest.mark.parametrize(("step", "expected", "found"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_what_is_expected_is_looked_at(step: str, expected: str, found: str | None) -> None:
    verdicts = with_expectation(step, expected).verdicts
    assert verdicts
    said = [verdict.found for verdict in verdicts]
    if found is None:
        assert not any(said)
    else:
        assert any(each.startswith(found) for each in said), said
        assert all(said)
    assert {verdict.step for verdict in verdicts} == {int(step)}


def test_each_container_that_matches_is_judged_for_itself() -> None:
    (verdicts,) = [with_expectation("1", "pod: shop, profile: Unconfined").verdicts]
    assert [(each.subject, bool(each.found)) for each in verdicts] == [
        ("shop/free on n1", False),
        ("shop/default on n1", True),
        ("shop/local on n1", True),
        ("shop/missing on n1", True),
        ("shop/capable on n1", True),
    ]
    assert verdicts[1].before
    assert verdicts[1].after


def test_who_is_not_there_at_that_time_fails_unless_that_was_expected() -> None:
    text = HEAD + "  - {delete: shop, expect: [{container: free, EXPECTED}]}\n"
    gone = played(experiment(text.replace("EXPECTED", "state: absent")))
    assert not gone.failed
    missed = played(experiment(text.replace("EXPECTED", "state: Running")))
    assert [verdict.found for verdict in missed.verdicts] == ["there is no such container then"]


def test_of_a_node_that_was_not_played_nothing_is_said() -> None:
    asked = experiment(HEAD + "expect:\n  - {node: n1, state: Running}\n  - {node: n1, kubelet: running}\n")
    assert judge(asked, {}) == ()


def test_constants_are_those_of_the_kernel_headers() -> None:
    """include/linux/socket.h and include/uapi/linux/sched.h; Python has the former from the C library."""
    families = {name: number for name, number in NUMBERS.items() if name.startswith("AF_")}
    known = {name: int(getattr(socket, name)) for name in families if hasattr(socket, name)}
    assert {"AF_UNIX", "AF_INET", "AF_NETLINK", "AF_ALG", "AF_VSOCK"} <= known.keys()
    assert {name: families[name] for name in known} == known
    assert NUMBERS["CLONE_NEWUSER"] == 0x10000000
