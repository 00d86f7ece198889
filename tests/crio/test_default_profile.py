"""The default profile of every release, beside what upstream's own code made of it.

`profile_digests.json` holds, for every distinct profile, its releases and the beginning of the sha256 of canonical JSON
(keys sorted, lists in their order) for each GOARCH and capability set, made by running the profile packages of each
tag; `runtime-tools` is the section that stands in a new spec before CRI-O looks at it.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.crio import default_profile, model, profiles
from runtimes.oci import Seccomp
from runtimes.release import Release, parse
from tests.crio.player import digest


@functools.cache
def recorded() -> Any:
    return json.loads(Path(__file__).with_name("profile_digests.json").read_text())


def capabilities(named: str) -> tuple[str, ...]:
    """Return a capability set by the name that the recordings give it."""
    sets: dict[str, list[str]] = recorded()["capabilities"]
    if named.startswith("only_"):
        return (named.replace("only_", "CAP_"),)
    first, _, more = named.partition("+")
    return (*sets.get(first, ()), *([f"CAP_{more}"] if more else ()))


def section(release: str, arch: str, bounding: tuple[str, ...]) -> dict[str, Any]:
    known = parse(release)
    found = profiles.compose(profiles.internal(known, arch), known, arch, bounding).json
    assert found
    return found


@pytest.mark.parametrize("group", recorded()["groups"], ids=lambda group: group["releases"][0])
def test_every_profile_is_upstreams(group: dict[str, Any]) -> None:
    expected = dict(zip(recorded()["keys"], group["digests"], strict=True))
    seen: dict[Any, dict[str, str]] = {}
    for release in map(parse, group["releases"]):
        for arch in ("amd64", "arm64", "ppc64le", "s390x"):
            # What is put together depends on nothing else, and most releases of a group have the same.
            parts = (arch, default_profile.default(release, arch), profiles.dialect(release).rule_per_name)
            if parts not in seen:
                seen[parts] = _digests(release, arch)
            assert seen[parts].items() <= expected.items(), (release, arch)
        assert _digest(profiles.runtime_tools(release, "amd64").json) == expected["amd64/runtime-tools"], release


def _digests(release: Release, arch: str) -> dict[str, str]:
    named = [key for key in recorded()["keys"] if key.startswith(f"{arch}/") and not key.endswith("/runtime-tools")]
    return {key: _digest(section(str(release), arch, capabilities(key.partition("/")[2]))) for key in named}


def _digest(found: dict[str, Any] | None) -> str:
    return str(digest(found))[:16]


def test_no_release_is_left_out() -> None:
    releases = [release for group in recorded()["groups"] for release in group["releases"]]
    assert sorted(releases) == sorted(str(known.release) for known in model.releases())
    assert len(releases) == 176


def test_the_keys_stand_in_the_order_of_the_spec() -> None:
    found = section("1.36.3", "amd64", ())
    assert json.dumps(found) == json.dumps(Seccomp.from_json(found).to_json())


def _calls(release: str, bounding: tuple[str, ...] = ()) -> dict[tuple[str, str], int | None]:
    """Return system calls with what happens to them -> their errno, None where the rule names none."""
    return {
        (name, rule["action"].removeprefix("SCMP_ACT_").lower()): rule.get("errnoRet")
        for rule in section(release, "amd64", bounding)["syscalls"]
        for name in rule["names"]
    }


@pytest.mark.parametrize(
    ("what", "having", "lacking"),
    [
        (("unshare", "allow"), ["1.18.0", "1.23.5"], ["1.24.0", "1.24.6", "1.36.3"]),
        (("clone3", "allow"), ["1.22.0", "1.29.8", "1.30.5"], ["1.21.7", "1.29.9", "1.30.6", "1.36.3"]),
        (("cachestat", "errno"), ["1.31.0"], ["1.30.14"]),
        (("nosuchcall", "allow"), [], ["1.36.3"]),
    ],
)
def test_what_users_ask_about(what: tuple[str, str], having: list[str], lacking: list[str]) -> None:
    for release in (*having, *lacking):
        assert (what in _calls(release)) == (release in having), release


@pytest.mark.parametrize(("release", "errno"), [("1.21.7", None), ("1.22.0", 38), ("1.36.3", 38)])
def test_what_an_unknown_call_gets(release: str, errno: int | None) -> None:
    assert section(release, "amd64", ()).get("defaultErrnoRet") == errno


def test_each_condition_is_told() -> None:
    release = parse("1.36.3")
    composed = profiles.compose(profiles.internal(release, "arm64"), release, "arm64", ("CAP_SYS_ADMIN",))
    told = {step.rule: step for step in composed.steps}
    assert "CAP_SYS_ADMIN is in the bounding set" in told["capability CAP_SYS_ADMIN"].because
    assert "CAP_BPF is not in the bounding set" in told["capability CAP_BPF"].because
    assert told["architecture arm64"].because.startswith("on arm64 ")
    assert all(step.source for step in composed.steps)


def test_an_architecture_that_is_nowhere_gets_none() -> None:
    assert "architectures" not in section("1.36.3", "riscv64", ())
    assert section("1.36.3", "s390x", ())["architectures"] == ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"]
