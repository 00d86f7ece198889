"""Starting a kubelet: which releases there are, which settings are in effect, and when it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.errors import BadInput, Refused
from shim.kubelet.config import Flags
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.releases import releases

FLAG_NEEDS_GATE = "the SeccompDefault feature gate must be enabled in order to use the --seccomp-default flag"
SETTING_NEEDS_GATE = "the SeccompDefault feature gate must be enabled in order to use the SeccompDefault configuration"
GATE_ON, GATE_OFF = {"SeccompDefault": True}, {"SeccompDefault": False}
FLAG_ON = Flags(seccomp_default=True)
LOCKED = "cannot set feature gate SeccompDefault to false, feature is locked to true"
LOGGED_GATES = '"Failed to set feature gates from initial flags-based config" '
GATES = "failed to set feature gates from initial flags-based config: "

REFUSALS: list[tuple[str, str, dict[str, Any], str]] = [
    ("a gate that is not known yet", "1.20.0", {"feature_gates": GATE_ON}, "unrecognized feature gate: SeccompDefault"),
    (
        "the same, with structured logging",
        "1.21.14",
        {"feature_gates": GATE_ON},
        '"Failed to set feature gates from initial flags-based config" err="unrecognized feature gate: SeccompDefault"',
    ),
    ("a gate that is gone", "1.29.0", {"feature_gates": GATE_ON}, GATES + "unrecognized feature gate: SeccompDefault"),
    ("a gate of nobody", "1.36.3", {"feature_gates": {'"x"': True}}, GATES + 'unrecognized feature gate: "x"'),
    (
        "its quotes are escaped in a structured log",
        "1.23.0",
        {"feature_gates": {'"x"': True}},
        f'{LOGGED_GATES}err="unrecognized feature gate: \\"x\\""',
    ),
    ("a locked gate", "1.27.0", {"feature_gates": GATE_OFF}, GATES + LOCKED),
    ("a locked gate, by flag", "1.28.15", {"flags": Flags(feature_gates=GATE_OFF)}, GATES + LOCKED),
    ("a flag that is not known yet", "1.20.15", {"flags": FLAG_ON}, "unknown flag: --seccomp-default"),
    (
        "the same, with structured logging",
        "1.21.0",
        {"flags": Flags(seccomp_default=False)},
        '"Failed to parse kubelet flag" err="unknown flag: --seccomp-default"',
    ),
    (
        "a flag that is gone",
        "1.23.0",
        {"flags": Flags(seccomp_profile_root="/p")},
        '"Failed to parse kubelet flag" err="unknown flag: --seccomp-profile-root"',
    ),
    (
        "the same, later",
        "1.24.0",
        {"flags": Flags(seccomp_profile_root="/p")},
        "failed to parse kubelet flag: unknown flag: --seccomp-profile-root",
    ),
    (
        "flag on, gate off by default",
        "1.22.0",
        {"flags": FLAG_ON},
        f'"Failed to validate kubelet flags" err="{FLAG_NEEDS_GATE}"',
    ),
    ("the same, later", "1.24.17", {"flags": FLAG_ON}, f"failed to validate kubelet flags: {FLAG_NEEDS_GATE}"),
    (
        "flag on, gate on in the file, which is read too late",
        "1.23.17",
        {"flags": FLAG_ON, "feature_gates": GATE_ON},
        f'"Failed to validate kubelet flags" err="{FLAG_NEEDS_GATE}"',
    ),
    (
        "flag on, gate off in the file, which is noticed on the way to running",
        "1.26.0",
        {"flags": FLAG_ON, "feature_gates": GATE_OFF},
        f"failed to run Kubelet: {FLAG_NEEDS_GATE}",
    ),
    (
        "flag on, gate off by flag",
        "1.25.0",
        {"flags": Flags(seccomp_default=True, feature_gates=GATE_OFF)},
        f"failed to validate kubelet flags: {FLAG_NEEDS_GATE}",
    ),
    (
        "flag on, all beta gates off",
        "1.25.0",
        {"flags": Flags(seccomp_default=True, feature_gates={"AllBeta": False})},
        f"failed to validate kubelet flags: {FLAG_NEEDS_GATE}",
    ),
    (
        "setting on, gate off by default",
        "1.22.17",
        {"seccomp_default": True},
        f'"Failed to run kubelet" err="failed to run Kubelet: {SETTING_NEEDS_GATE}"',
    ),
    ("the same, later", "1.24.0", {"seccomp_default": True}, f"failed to run Kubelet: {SETTING_NEEDS_GATE}"),
    (
        "setting on, gate off",
        "1.26.15",
        {"seccomp_default": True, "feature_gates": GATE_OFF},
        f"failed to run Kubelet: {SETTING_NEEDS_GATE}",
    ),
    (
        "an unknown gate is met before a missing one",
        "1.24.0",
        {"seccomp_default": True, "feature_gates": {"Nonsense": True}},
        GATES + "unrecognized feature gate: Nonsense",
    ),
]

EFFECTS: list[tuple[str, str, dict[str, Any], bool, str]] = [
    ("off by default, in every release", "1.36.3", {}, False, "default"),
    ("gate on alone", "1.25.0", {"feature_gates": GATE_ON}, False, "default"),
    ("alpha: gate and setting", "1.22.0", {"seccomp_default": True, "feature_gates": GATE_ON}, True, "file"),
    ("alpha: all alpha gates", "1.24.0", {"seccomp_default": True, "feature_gates": {"AllAlpha": True}}, True, "file"),
    (
        "alpha: gate and flag",
        "1.22.0",
        {"flags": Flags(seccomp_default=True, feature_gates=GATE_ON)},
        True,
        "flag",
    ),
    ("beta: the setting suffices", "1.25.0", {"seccomp_default": True}, True, "file"),
    ("beta: the flag suffices", "1.26.15", {"flags": FLAG_ON}, True, "flag"),
    ("general: the gate may be said", "1.27.0", {"seccomp_default": True, "feature_gates": GATE_ON}, True, "file"),
    (
        "general: all beta gates off do not matter",
        "1.27.0",
        {"seccomp_default": True, "feature_gates": {"AllBeta": False}},
        True,
        "file",
    ),
    ("without a gate", "1.29.0", {"seccomp_default": True}, True, "file"),
    (
        "a flag that says false loses against the file",
        "1.30.0",
        {"seccomp_default": True, "flags": Flags(seccomp_default=False)},
        True,
        "file",
    ),
    ("a setting that is not known is lost", "1.21.14", {"seccomp_default": True}, False, "default"),
]


@pytest.mark.parametrize(("why", "version", "given", "words"), REFUSALS, ids=[f"{row[1]} {row[0]}" for row in REFUSALS])
def test_a_kubelet_refuses_to_start_in_its_own_words(why: str, version: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refusal:
        Kubelet.start(version, **given)
    assert refusal.value.message == words, why
    assert refusal.value.where == "kubelet"
    assert refusal.value.steps[-1].source


@pytest.mark.parametrize(
    ("why", "version", "given", "on", "origin"), EFFECTS, ids=[f"{row[1]} {row[0]}" for row in EFFECTS]
)
def test_what_turns_seccomp_default_on(why: str, version: str, given: dict[str, Any], on: bool, origin: str) -> None:
    switch = Kubelet.start(version, **given).settings.seccomp_default
    assert (switch.on, switch.origin) == (on, origin), why


@pytest.mark.parametrize(
    ("version", "given", "words"),
    [
        ("1.21.14", {"seccomp_default": True}, "goes on without it"),
        ("1.25.0", {"feature_gates": GATE_ON}, "seccompDefault is not"),
        ("1.30.0", {"seccomp_default": True, "flags": Flags(seccomp_default=False)}, "either one suffices"),
    ],
)
def test_what_was_meant_and_lost_is_said(version: str, given: dict[str, Any], words: str) -> None:
    (step,) = (each for each in Kubelet.start(version, **given).settings.seccomp_default.steps if each.warns)
    assert words in step.because


def test_a_flag_alone_is_not_seen_in_configz() -> None:
    steps = Kubelet.start("1.30.0", flags=FLAG_ON).settings.seccomp_default.steps
    assert any("/configz" in step.because for step in steps)


@pytest.mark.parametrize(
    ("version", "flags", "folder"),
    [
        ("1.18.0", Flags(), "/var/lib/kubelet/seccomp"),
        ("1.22.17", Flags(root_dir="/data"), "/var/lib/kubelet/seccomp"),
        ("1.22.17", Flags(seccomp_profile_root="/p", root_dir="/data"), "/p"),
        ("1.23.0", Flags(root_dir="/data"), "/data/seccomp"),
        ("1.36.3", Flags(), "/var/lib/kubelet/seccomp"),
    ],
)
def test_where_profiles_are_looked_for(version: str, flags: Flags, folder: str) -> None:
    assert Kubelet.start(version, flags=flags).settings.profile_root.path == folder


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("1.28.99", "kubelet 1.28.99 is not a known release (the nearest known: 1.28.15 and 1.29.0)"),
        ("1.18.7", "kubelet 1.18.7 is not a known release (the nearest known: 1.18.6 and 1.18.8)"),
        ("1.17.0", "kubelet 1.17.0 is not a known release (the nearest known: 1.18.0)"),
        ("1.37.0", "kubelet 1.37.0 is not a known release (the nearest known: 1.36.3)"),
        ("1.28.0-rc.0", "kubelet 1.28.0-rc.0 is not a known release (the nearest known: 1.27.16 and 1.28.0)"),
        ("1.17", "kubelet 1.17 is not a known line of releases (one from 1.18 to 1.36, or a release of them)"),
        ("latest", "'latest' is not a release (three numbers, as in 1.7.24 or 2.4.0-beta.0)"),
        ("", "'' is not a release (three numbers, as in 1.7.24 or 2.4.0-beta.0)"),
    ],
)
def test_a_release_that_is_not_known(version: str, words: str) -> None:
    with pytest.raises(BadInput) as fault:
        Kubelet.start(version)
    assert str(fault.value) == words


@pytest.mark.parametrize("version", ["1.32.3", "v1.32.3", "1.32.3+k3s1", "v1.32.3-eks-bcf3d70", "1.32.3+ds"])
def test_a_vendors_name_is_the_release_that_it_was_built_from(version: str) -> None:
    assert Kubelet.start(version).release.upstream == "1.32.3"


def test_a_line_is_its_newest_release_and_says_so() -> None:
    kubelet = Kubelet.start("v1.28")
    assert kubelet.release.upstream == "1.28.15"
    assert [step.because for step in kubelet.notes] == [
        "kubelet 1.28 is read as 1.28.15, the newest release known of it"
    ]


def test_every_known_release_starts() -> None:
    for known in releases():
        kubelet = Kubelet.start(known.release.upstream)
        assert kubelet.settings.seccomp_default.on is False
        assert kubelet.notes == ()
