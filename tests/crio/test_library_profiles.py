"""The default profile beside the libraries that it comes from, compiled and asked (scripts/reference/crio).

What CRI-O does to a library's profile is told here again, from DefaultProfile in internal/config/seccomp/seccomp.go: a
name that it takes away is overwritten by the last one of its rule, and rules are appended.
"""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.crio import profiles
from runtimes.release import parse

TOLD: dict[str, Any] = json.loads(gzip.decompress(Path(__file__).with_name("library_profiles.json.gz").read_bytes()))
ARCHITECTURES = ["amd64", "arm64", "s390x", "ppc64le"]
NINE = tuple(
    "CAP_" + name for name in "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETPCAP NET_BIND_SERVICE KILL".split()
)
CAPABILITIES = {"none": (), "default": NINE, "all": KERNEL_CAPABILITIES} | {
    name: (*NINE, name) for name in ("CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE")
}
# CLONE_NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWCGROUP
NAMESPACES = [0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x2000000]
ADMIN = {"caps": ["CAP_SYS_ADMIN"]}


def edited(profile: dict[str, Any], release: str, arch: str) -> dict[str, Any]:
    """Return a library's profile as CRI-O of a release has it."""
    found = copy.deepcopy(profile)
    if release < "1.24":
        return found
    tightened = release >= "1.31"
    gone = ["clone", "clone3", "unshare"] if tightened else ["unshare"]
    big = max(found["syscalls"], key=lambda rule: len(rule["names"]))["names"]
    for name in gone:
        big[big.index(name)] = big[-1]
    found["syscalls"].append({"names": gone, "action": "SCMP_ACT_ALLOW", "includes": ADMIN})
    if tightened:
        index = 1 if arch in ("s390", "s390x") else 0
        masked = {"index": index, "op": "SCMP_CMP_MASKED_EQ"}
        found["syscalls"] += [
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{**masked, "value": sum(NAMESPACES), "valueTwo": 0}],
            },
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 1,
                "args": [{**masked, "value": flag, "valueTwo": flag} for flag in NAMESPACES],
                "excludes": ADMIN,
            },
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": ADMIN},
        ]
    return found


@pytest.mark.parametrize("release", TOLD)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_profile_is_the_librarys_with_crios_edit(release: str, arch: str) -> None:
    known = parse(release)
    theirs = profiles.local(json.dumps(edited(TOLD[release]["profile"], release, arch)).encode(), known)
    ours = profiles.internal(known, arch)
    for name, held in CAPABILITIES.items():
        expected = profiles.compose(theirs, known, arch, held).json
        assert profiles.compose(ours, known, arch, held).json == expected, name


def test_the_libraries_are_those_of_every_profile() -> None:
    assert len(TOLD) == 11
    assert (
        len({json.dumps(each["profile"]) for each in TOLD.values()}) == 9
    )  # the first, and the eight changes that the facts know
