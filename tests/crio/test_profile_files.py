"""Profile files as each release reads them: 38 files, and what CRI-O's own packages made of them.

`decoded.json` holds, for each file, the results as a Localhost profile and as the file of `seccomp_profile`, and which
of them each release gave, a digit for each of `releases`. The answers were made with one Go, whose encoding/json is
the youngest generation; which one a release is built with is a fact that tests/gojson looks at.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes import docker_format
from runtimes.crio import decoders, profiles
from runtimes.crio.at import at
from runtimes.docker_format import ProfileFault
from runtimes.gojson import GoJsonFault, Toolchain
from runtimes.release import Release, parse

# The capabilities that the recorder's containers had.
HELD = tuple(
    f"CAP_{name}" for name in "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETPCAP NET_BIND_SERVICE KILL".split()
)
DECODING = "ERR: decoding seccomp profile failed: "


@functools.cache
def recorded() -> Any:
    return json.loads(Path(__file__).with_name("decoded.json").read_text())


def localhost(data: bytes, release: Release) -> str:
    """Return what becomes of a Localhost file, told as it was recorded."""
    dialect = profiles.dialect(release)
    try:
        profile = docker_format.decode(data, dialect, Toolchain.JSONV2).profile
        section = docker_format.compose(profile, "amd64", HELD, dialect)
    except GoJsonFault as fault:
        return f"{DECODING}{fault}"
    except ProfileFault as fault:
        return ("PANIC: runtime error: " if fault.panics else "ERR: ") + str(fault)
    return json.dumps(section.to_json() if section else None, separators=(",", ":"))


def configured(data: bytes, release: Release) -> str:
    """Return what becomes of the file of `seccomp_profile`: "ok" or the refusal."""
    dialect, decoder = profiles.dialect(release), at(release).value("config-profile-decoder")
    try:
        if decoder != "encoding/json":
            decoders.check(data, docker_format.shape(dialect), decoder)
        docker_format.decode(data, dialect, Toolchain.JSONV2)
    except GoJsonFault as fault:
        return f"{DECODING}{fault}"
    return "ok"


@pytest.mark.parametrize("name", recorded()["files"])
def test_every_release_reads_a_localhost_file_as_upstream(name: str) -> None:
    told = recorded()["files"][name]
    for release, number in zip(recorded()["releases"]["localhost"], told["localhost_by"], strict=True):
        assert localhost(told["input"].encode("latin-1"), parse(release)) == told["localhost"][int(number)], release


@pytest.mark.parametrize("name", recorded()["files"])
def test_every_release_reads_a_configured_file_as_upstream(name: str) -> None:
    told = recorded()["files"][name]
    for release, number in zip(recorded()["releases"]["configured"], told["configured_by"], strict=True):
        expected, data = told["configured"][int(number)], told["input"].encode("latin-1")
        assert configured(data, parse(release)) == expected, release
        # With the Go that the release is built with, a file is taken or not all the same.
        try:
            profiles.configured(data, parse(release))
        except GoJsonFault:
            assert expected != "ok", release
        else:
            assert expected == "ok", release


def test_nothing_is_missing() -> None:
    assert {key: len(releases) for key, releases in recorded()["releases"].items()} == {
        "localhost": 13,
        "configured": 6,
    }
    assert len(recorded()["files"]) == 38


def _rule(**condition: Any) -> dict[str, Any]:
    rule = {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", **condition}
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}


def _warnings(profile: dict[str, Any], release: str = "1.36.3", bounding: tuple[str, ...] = ()) -> list[str]:
    known = parse(release)
    loaded = profiles.local(json.dumps(profile).encode(), known)
    composed = profiles.compose(loaded, known, "amd64", bounding)
    return [step.because for step in composed.steps if step.warns]


@pytest.mark.parametrize(
    ("what", "profile", "words"),
    [
        ("nothing in it means no seccomp", {}, "no default action and no rules"),
        ("a kernel in a condition", _rule(includes={"minKernel": "4.8"}), "syscalls[0].includes.minKernel"),
        ("a key of nobody's", _rule(excludes={"kernel": "4.8"}), "syscalls[0].excludes.kernel"),
        ("a slip of the pen", {"defaultAction": "SCMP_ACT_ERRNO", "syscall": []}, "`syscall`"),
    ],
)
def test_what_is_lost_is_told(what: str, profile: dict[str, Any], words: str) -> None:
    warnings = _warnings(profile)
    assert any(words in text for text in warnings), what


def test_a_good_profile_gets_no_warning() -> None:
    assert not _warnings(_rule(includes={"caps": ["CAP_BPF"]}, errno="EACCES", errnoRet=13, comment="x"))


@pytest.mark.parametrize(("release", "dropped"), [("1.20.2", True), ("1.36.3", False)])
def test_errno_names_are_read_by_some(release: str, *, dropped: bool) -> None:
    warnings = _warnings(_rule(errno="EACCES"), release)
    assert any("errno" in text for text in warnings) == dropped
