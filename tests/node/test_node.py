"""A node: which runtime a handler picks, and the way of a request through kubelet and runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtimes.errors import Refused
from runtimes.request import (
    LOCALHOST,
    UNCONFINED,
    ContainerMetadata,
    ContainerRequest,
    ImageSpec,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    PodSandboxMetadata,
    SandboxRequest,
    SecurityProfile,
    container_security,
    sandbox_security,
)
from shim.node import Node, rehearsed_container, rehearsed_sandbox
from shim.nodefile import loads, open_node

SANDBOX = SandboxRequest(metadata=PodSandboxMetadata(name="web", namespace="default", uid="u"))
CONTAINER = ContainerRequest(metadata=ContainerMetadata(name="app"), image=ImageSpec(image="busybox"))

TOYS = """
kubelet: {version: 1.28.3}
runtime: {name: toy, version: 1.1.0}
handlers:
  newest: {version: 2.0.0}
  old: {version: 1.0.0, handler: strict}
"""


def node_of(text: str = TOYS) -> Node:
    return open_node(loads(text))


def with_profile(profile: SecurityProfile | None) -> ContainerRequest:
    context = LinuxContainerSecurityContext(seccomp=profile)
    return ContainerRequest(
        metadata=CONTAINER.metadata, image=CONTAINER.image, linux=LinuxContainerConfig(security_context=context)
    )


@pytest.mark.parametrize(
    ("requested", "release", "handler", "because"),
    [
        ("", "1.1.0", "", "no handler is the default entry"),
        ("newest", "2.0.0", "", "an entry of the node"),
        ("old", "1.0.0", "strict", "an entry that stands for one of the runtime's own handlers"),
        ("strict", "1.1.0", "strict", "a handler that only the default runtime's configuration has"),
    ],
)
def test_a_handler_picks_a_runtime(requested: str, release: str, handler: str, because: str) -> None:
    entry = node_of().entry(requested)
    assert (str(entry.runtime.release), entry.handler, entry.name) == (release, handler, requested), because


def test_an_unknown_handler_is_refused_as_the_default_runtime_refuses() -> None:
    with pytest.raises(Refused) as caught:
        node_of().entry("kata")
    assert (caught.value.code, caught.value.message) == ("UNKNOWN", 'toy has no handler "kata"')


@pytest.mark.parametrize(
    ("kubelet", "handler", "profile_type", "confined", "because"),
    [
        ("{version: 1.28.3}", "", UNCONFINED, False, "a kubelet that says Unconfined where nothing is set"),
        ("{version: 1.28.3}", "newest", UNCONFINED, False, "whatever the runtime would have done"),
        ("{version: 1.28.3, seccompDefault: true}", "", 0, True, "seccompDefault says RuntimeDefault"),
        ("{version: 1.19.3}", "", None, False, "an old kubelet says nothing, and the runtime decides"),
        ("{version: 1.19.3}", "newest", None, True, "which for this release is the default profile"),
        ("{version: 1.28.3, step: none}", "newest", None, True, "no kubelet at all"),
    ],
)
def test_kubelet_and_runtime_decide_together(
    kubelet: str, handler: str, profile_type: int | None, confined: bool, because: str
) -> None:
    node = node_of(TOYS.replace("{version: 1.28.3}", kubelet))
    entry = node.entry(handler)
    place = rehearsed_sandbox(entry, SANDBOX)
    request, decision = node.container(entry, CONTAINER, rehearsed_container(CONTAINER, place), SANDBOX, place)
    context = container_security(request)
    sent = context.seccomp if context else None
    assert (sent.profile_type if sent else None) == profile_type, because
    assert bool(decision.section) is confined, because


def test_the_steps_of_both_are_told_in_order() -> None:
    node = node_of()
    place = rehearsed_sandbox(node.default, SANDBOX)
    request, decision = node.sandbox(node.default, SANDBOX, place)
    context = sandbox_security(request)
    assert context is not None
    assert context.seccomp == SecurityProfile()
    layers = [step.layer for step in decision.steps]
    assert layers == sorted(layers, key=["kubelet", "runtime", "profile"].index)
    assert {"kubelet", "profile"} <= set(layers)


def test_a_refusal_tells_what_the_kubelet_did_before() -> None:
    node = node_of()
    request = with_profile(SecurityProfile(profile_type=LOCALHOST, localhost_ref="/none/such.json"))
    place = rehearsed_sandbox(node.default, SANDBOX)
    with pytest.raises(Refused, match=r"open /none/such.json: no such file or directory$") as caught:
        node.container(node.default, request, rehearsed_container(request, place), SANDBOX, place)
    assert [step.layer for step in caught.value.steps] == ["kubelet", "runtime"]


def test_files_are_those_of_the_nodes_root(tmp_path: Path) -> None:
    (tmp_path / "fs/profiles").mkdir(parents=True)
    (tmp_path / "fs/profiles/a.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    (tmp_path / "node.yaml").write_text(TOYS + "host: {root: fs}\n")
    node = open_node(loads((tmp_path / "node.yaml").read_text(), base=str(tmp_path)))
    request = with_profile(SecurityProfile(profile_type=LOCALHOST, localhost_ref="/profiles/a.json"))
    place = rehearsed_sandbox(node.default, SANDBOX)
    _, decision = node.container(node.default, request, rehearsed_container(request, place), SANDBOX, place)
    assert decision.section == {"defaultAction": "SCMP_ACT_LOG"}


def test_behind_its_kubelet_a_request_is_taken_as_it_comes() -> None:
    node = node_of().behind_kubelet
    place = rehearsed_sandbox(node.default, SANDBOX)
    request, decision = node.sandbox(node.default, SANDBOX, place)
    assert request is SANDBOX
    assert [step.layer for step in decision.steps] == ["runtime"]


def test_a_rehearsal_is_the_same_twice() -> None:
    entry = node_of().default
    assert rehearsed_sandbox(entry, SANDBOX) == rehearsed_sandbox(entry, SANDBOX)
    place = rehearsed_sandbox(entry, SANDBOX)
    assert rehearsed_container(CONTAINER, place) == rehearsed_container(CONTAINER, place)
    assert place.id != rehearsed_container(CONTAINER, place).id
    assert place.image.entrypoint == ("/pause",)


def test_an_impossible_image_name_is_the_kubelets_refusal() -> None:
    request = ContainerRequest(metadata=ContainerMetadata(name="app"), image=ImageSpec(image="Not An Image"))
    with pytest.raises(Refused, match='couldn\'t parse image name "Not An Image": invalid reference') as caught:
        rehearsed_container(request, rehearsed_sandbox(node_of().default, SANDBOX))
    assert (caught.value.reason, caught.value.where) == ("InvalidImageName", "kubelet")
