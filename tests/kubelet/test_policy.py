"""Policies of kubelets that never shipped, at the CRI's edge and before there was a message for them."""

from __future__ import annotations

import pytest

from runtimes.files import MemoryFiles
from runtimes.request import LOCALHOST, ContainerMetadata, ContainerRequest, SecurityProfile, container_security
from shim.kubelet.configfile import Sources
from shim.kubelet.kubelet import Kubelet
from tests.kubelet.test_cells import PODS, pod_with

SOURCES = Sources(files=MemoryFiles({"/etc/p.json": b'{"defaultAction": "SCMP_ACT_LOG"}'}))


def start(version: str, *policy: str) -> Kubelet:
    name, profile = (*policy, "")[:2]
    return Kubelet.start(version, policy=(name, profile), sources=SOURCES)


@pytest.mark.parametrize(
    ("version", "path", "message"),
    [
        ("1.18.0", "localhost//etc/p.json", False),
        ("1.19.16", "localhost//etc/p.json", False),
        ("1.20.0", "localhost//etc/p.json", True),
        ("1.27.2", "localhost//etc/p.json", True),
        ("1.28.0", "", True),
    ],
)
def test_a_policy_speaks_in_the_forms_of_its_release(version: str, path: str, message: bool) -> None:
    kubelet = start(version, "combined", "/etc/p.json")
    planned = kubelet.requests(PODS["nothing", 0]).containers[0]
    assert isinstance(planned.request, ContainerRequest)
    context = container_security(planned.request)
    assert context is not None
    assert context.seccomp_profile_path == path
    wanted = SecurityProfile(profile_type=LOCALHOST, localhost_ref="/etc/p.json")
    assert context.seccomp == (wanted if message else None)
    assert any(step.rule == "policy.combined" for step in planned.steps)


@pytest.mark.parametrize("version", ["1.19.0", "1.24.17", "1.36.3"])
def test_at_the_edge_of_the_cri_it_fills_what_is_unset_and_only_once(version: str) -> None:
    kubelet = start(version, "profile-path", "/etc/p.json")
    filled, steps = kubelet.container(ContainerRequest(metadata=ContainerMetadata(name="c")))
    assert any("never shipped" in step.because for step in steps)
    assert kubelet.container(filled)[0] == filled


@pytest.mark.parametrize("policy", [("KubernetesDefault",), ("profile-path", "x"), ("combined", "RuntimeDefault")])
def test_no_policy_changes_an_explicit_profile(policy: tuple[str, ...]) -> None:
    for field in ({"type": "RuntimeDefault"}, {"type": "Unconfined"}, {"type": "Localhost", "localhostProfile": "a"}):
        pod = pod_with(field, None, None)
        assert start("1.36.3", *policy).requests(pod).containers == Kubelet.start("1.36.3").requests(pod).containers
