"""The built-in profile of every release, beside what upstream's own function answered for each.

`profile_digests.json` holds, for every distinct profile, its releases and the beginning of the sha256 of canonical JSON
(keys sorted, lists in their order) for each GOARCH and capability set, made by running contrib/seccomp at each tag.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.containerd import model
from runtimes.containerd.capabilities import DEFAULT
from runtimes.containerd.default_profile import section
from runtimes.oci import Seccomp
from runtimes.release import parse
from tests.containerd.player import digest

NEW_KERNEL, OLD_KERNEL = "6.1.0-18-amd64", "4.7.9"


@functools.cache
def recorded() -> Any:
    return json.loads(Path(__file__).with_name("profile_digests.json").read_text())


def capabilities(named: str, reactive: list[str]) -> tuple[str, ...]:
    """Return a capability set by the name that the recordings give it."""
    if named == "default+all-reactive":
        return (*DEFAULT, *(each for each in reactive if each not in DEFAULT))
    whole = {"all": KERNEL_CAPABILITIES, "default": DEFAULT, "none": ()}
    if named in whole:
        return whole[named]
    if named.startswith("only:"):
        return (named.removeprefix("only:"),)
    if named.startswith("default+"):
        return (*DEFAULT, named.removeprefix("default+"))
    return tuple(each for each in DEFAULT if each != named.removeprefix("default-"))


@pytest.mark.parametrize("group", recorded()["groups"], ids=lambda group: group["tags"][0])
def test_every_profile_is_upstreams(group: dict[str, Any]) -> None:
    wrong = []
    for tag in group["tags"]:
        for key, expected in zip(recorded()["keys"], group["digests"], strict=True):
            arch, _, named = key.partition("/")
            named, old, _ = named.partition("@kernel<4.8")
            kernel = OLD_KERNEL if old else NEW_KERNEL
            found, _ = section(parse(tag), arch, kernel, capabilities(named, group["reactive"]))
            if expected and not str(digest(found)).startswith(expected):
                wrong.append((tag, key))
    assert not wrong


def test_no_release_is_left_out() -> None:
    tags = {tag for group in recorded()["groups"] for tag in group["tags"]}
    assert tags == {known.release.upstream for known in model.releases()}


def test_the_keys_stand_in_the_order_of_the_spec() -> None:
    found, _ = section(parse("2.3.4"), "amd64", NEW_KERNEL, DEFAULT)
    assert json.dumps(found) == json.dumps(Seccomp.from_json(found).to_json())


@pytest.mark.parametrize(
    ("what", "releases", "lacking"),
    [
        (
            "socket SCMP_CMP_LT 38",
            ["1.7.32", "2.0.9", "2.2.4", "2.3.1", "2.4.0-beta.0"],
            ["1.7.31", "2.0.8", "2.1.9", "2.2.3"],
        ),
        ("io_uring_setup", ["1.3.8", "1.4.1", "1.7.34"], ["1.3.7", "1.4.0", "2.0.0-beta.0", "2.3.4"]),
        ("clone3", ["1.4.10", "1.5.6", "1.6.0"], ["1.4.9", "1.5.5", "1.3.10"]),
    ],
)
def test_what_users_ask_about(what: str, releases: list[str], lacking: list[str]) -> None:
    for release in (*releases, *lacking):
        found, _ = section(parse(release), "amd64", NEW_KERNEL, DEFAULT)
        shown = {
            " ".join((name, *(f"{arg['op']} {arg['value']}" for arg in rule.get("args", ()))))
            for rule in found["syscalls"]
            for name in rule["names"]
        }
        assert (what in shown) == (release in releases), release


def test_each_condition_is_told() -> None:
    _, steps = section(parse("2.3.4"), "arm64", "4.4.0", ("CAP_SYS_ADMIN", "CAP_CHOWN"))
    told = {step.rule: step for step in steps}
    assert set(told) == {"base", "architectures", "arch-arm-arm64", "kernel-ptrace", "with-sys-admin"}
    assert "4.4.0 is not known to be at least 4.8" in told["kernel-ptrace"].because
    assert all(step.source for step in steps)


def test_a_kernel_of_no_number_counts_as_old() -> None:
    assert section(parse("2.3.4"), "amd64", "next", DEFAULT)[0] == section(parse("2.3.4"), "amd64", "4.0", DEFAULT)[0]
