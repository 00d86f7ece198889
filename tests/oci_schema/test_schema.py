"""The schema refuses what is no spec."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oci_schema import check

GOOD: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/"},
    "root": {"path": "rootfs"},
    "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}},
}


def test_a_small_spec_is_one() -> None:
    check(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"ociVersion": "2"},
        {"linux": {"seccomp": {}}},
        {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [1], "action": "x"}]}}},
        {"linux": {"namespaces": [{"type": "hostname"}]}},
        {"process": {"cwd": "/", "user": {"uid": 0, "gid": 0}}},
        {"process": {"user": {"uid": -1, "gid": 0}, "cwd": "/"}},
        {"nothing": 1},
    ],
)
def test_others_are_not(change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check({**GOOD, **change})
