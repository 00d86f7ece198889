"""Settings without effect are named, and pairs nobody supports. Evidence: the sources at the tags, README.md."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtimes.crio import model
from runtimes.files import MemoryFiles
from runtimes.model import Setup, pairing
from runtimes.release import parse
from shim.kubelet.kubelet import Kubelet
from shim.node import Entry, Node, rehearsed_container, rehearsed_sandbox
from tests.crio.player import CONFIG, HOST, container_request, sandbox_request

ARTIFACT_V1, ARTIFACT_V2 = "seccomp-profile.kubernetes.cri-o.io/POD", "seccomp-profile.crio.io/POD"
NOTIFIER_V1, NOTIFIER_V2 = "io.kubernetes.cri-o.seccompNotifierAction", "seccomp-notifier-action.crio.io"


def steps(release: str, *, config: str = "", annotations: Any = None, seccomp: Any = None) -> list[Any]:
    runtime = model.runtime(parse(release), HOST, Setup(config=CONFIG), MemoryFiles({CONFIG: config.encode()}))
    pod, place = sandbox_request({"annotations": annotations or {}})
    case = {"sandbox": "np", "security_context": {"seccomp": seccomp} if seccomp else {}}
    return list(runtime.container(*container_request(case), pod, place).steps)


IGNORED_KEYS = [
    ("1.19.3", "[crio.runtime]\nseccomp_use_default_when_empty = true", "is no key of this table in CRI-O 1.19.3"),
    ("1.30.0", "[crio.runtime]\nseccomp_use_default_when_empty = true", "is no key of this table in CRI-O 1.30.0"),
    ("1.32.0", '[crio.runtime]\nprivileged_seccomp_profile = "/x"', "is no key of this table in CRI-O 1.32.0"),
    ("1.33.0", '[crio.runtime.runtimes.runc]\nseccomp_profile = "/x"', "is no key of this table in CRI-O 1.33.0"),
    ("1.36.3", '[crio]\nseccomp_profile = "/x"', "stands in a table that does not have it"),
    ("1.36.3", '[crio.runtime]\nseccomp_profil = "/x"', "is no key that CRI-O knows"),
]


@pytest.mark.parametrize(("release", "config", "told"), IGNORED_KEYS)
def test_a_key_without_effect_is_named(release: str, config: str, told: str) -> None:
    found = [step for step in steps(release, config=config) if step.rule == "ignored-key"]
    assert [told in step.because and step.warns for step in found] == [True]


ANNOTATIONS = [
    ("1.25.5", NOTIFIER_V1, "does not have the seccomp notifier"),
    ("1.34.0", NOTIFIER_V2, "knows the seccomp notifier by another name"),
    ("1.29.13", ARTIFACT_V1, "does not have OCI artifacts"),
    ("1.24.6", ARTIFACT_V2, "does not have OCI artifacts"),
    ("1.34.0", ARTIFACT_V2, "knows OCI artifacts by another name"),
    ("1.36.3", ARTIFACT_V1, None),
    ("1.36.3", NOTIFIER_V2, None),
]


@pytest.mark.parametrize(("release", "annotation", "told"), ANNOTATIONS)
def test_an_annotation_of_another_release_is_named(release: str, annotation: str, told: str | None) -> None:
    found = [step for step in steps(release, annotations={annotation: "x"}) if step.rule == "no-effect"]
    assert [step.because.rpartition(f"{release} ")[2] for step in found] == ([told] if told else [])
    if told is None:  # this one is known, but nobody allowed it
        rules = {step.rule for step in steps(release, annotations={annotation: "x"}) if step.warns}
        assert "annotation-not-allowed" in rules


@pytest.mark.parametrize(
    ("release", "seccomp", "named"),
    [("1.20.9", {"profile_type": 1}, False), ("1.24.6", {"profile_type": 1}, True), ("1.24.6", None, False)],
)
def test_the_option_for_nothing_has_no_effect_on_a_kubelets_requests(release: str, seccomp: Any, named: bool) -> None:
    config = "[crio.runtime]\nseccomp_use_default_when_empty = true"
    found = [step for step in steps(release, config=config, seccomp=seccomp) if step.rule == "no-effect"]
    assert bool(found) == named
    assert not [step for step in steps(release, seccomp={"profile_type": 1}) if step.rule == "no-effect"]


def test_a_profile_on_a_host_without_seccomp_is_named() -> None:
    config = '[crio.runtime]\nseccomp_profile = "/gone.json"'
    machine = msgspec.structs.replace(HOST, seccomp=False)
    runtime = model.runtime(parse("1.24.6"), machine, Setup(config=CONFIG), MemoryFiles({CONFIG: config.encode()}))
    pod, place = sandbox_request({})
    assert any(step.rule == "no-effect" and "/gone.json" in step.because for step in runtime.sandbox(pod, place).steps)


PAIRS = [
    ("1.30.0", "1.30.0", False),
    ("1.30.0", "1.29.0", False),
    ("1.30.0", "1.28.0", False),
    ("1.30.0", "1.27.0", True),
    ("1.30.0", "1.31.0", True),
]


@pytest.mark.parametrize(("release", "kubelet", "warned"), PAIRS)
def test_a_pair_that_nobody_supports_is_allowed_and_warned_about(release: str, kubelet: str, warned: bool) -> None:
    runtime = model.runtime(parse(release), HOST, Setup(), MemoryFiles())
    entry = Entry("", runtime)
    node = Node(host=HOST, files=MemoryFiles(), kubelet=Kubelet.start(kubelet), entries={"": entry}, document=None)
    pod, _ = sandbox_request({})
    place = rehearsed_sandbox(entry, pod)
    request, _ = container_request({"sandbox": "np", "security_context": {}})
    _, of_sandbox = node.sandbox(entry, pod, place)
    _, of_container = node.container(entry, request, rehearsed_container(request, place), pod, place)
    for decision in (of_sandbox, of_container):
        told = [step for step in decision.steps if step.rule == "kubelet-skew"]
        assert [step.warns for step in told] == [True] * warned
    assert bool(pairing(runtime, parse(kubelet))) == warned
    _, passed_by = node.behind_kubelet.sandbox(entry, pod, place)
    assert "kubelet-skew" not in {step.rule for step in passed_by.steps}
