"""The defaulting step for requests that are in the shape of the CRI already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import Refused
from runtimes.request import (
    LOCALHOST,
    RUNTIME_DEFAULT,
    UNCONFINED,
    Capability,
    ContainerMetadata,
    ContainerRequest,
    LinuxContainerConfig,
    LinuxContainerResources,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    SandboxRequest,
    SecurityProfile,
    WindowsContainerConfig,
    WindowsPodSandboxConfig,
    container_security,
    sandbox_security,
)
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.releases import releases

POD = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
DEFAULT, OPEN = SecurityProfile(), SecurityProfile(profile_type=UNCONFINED)
NOTHING = (None, "")

# Release, (message, string) of a container with the setting off and on, and of a sandbox.
UNSET = [
    ("1.18.0", NOTHING, None, NOTHING),
    ("1.18.20", NOTHING, None, NOTHING),
    ("1.19.0", NOTHING, None, (None, "runtime/default")),
    ("1.19.16", NOTHING, None, (None, "runtime/default")),
    ("1.20.0", (OPEN, ""), None, (DEFAULT, "runtime/default")),
    ("1.21.14", (OPEN, ""), None, (DEFAULT, "runtime/default")),
    ("1.22.0", (OPEN, ""), (DEFAULT, "runtime/default"), (DEFAULT, "runtime/default")),
    ("1.24.17", (OPEN, ""), (DEFAULT, "runtime/default"), (DEFAULT, "runtime/default")),
    ("1.25.0", (OPEN, ""), (DEFAULT, "runtime/default"), (DEFAULT, "runtime/default")),
    ("1.26.15", (OPEN, ""), (DEFAULT, "runtime/default"), (DEFAULT, "runtime/default")),
    ("1.27.0", (OPEN, ""), (DEFAULT, "runtime/default"), (DEFAULT, "")),
    ("1.27.16", (OPEN, ""), (DEFAULT, "runtime/default"), (DEFAULT, "")),
    ("1.28.0", (OPEN, ""), (DEFAULT, ""), (DEFAULT, "")),
    ("1.36.3", (OPEN, ""), (DEFAULT, ""), (DEFAULT, "")),
]

profiles = st.none() | st.builds(
    SecurityProfile, profile_type=st.sampled_from([0, 1, 2]), localhost_ref=st.sampled_from(["", "/p.json"])
)
paths = st.sampled_from(["", "", "unconfined", "runtime/default", "docker/default", "localhost//p.json", "rubbish"])
words = st.dictionaries(
    st.sampled_from([POD, f"{CONTAINER}c", f"{CONTAINER}other", "x"]),
    st.sampled_from(["runtime/default", "unconfined", "localhost/a/../b.json", "localhost/", "", "rubbish"]),
)


@st.composite
def containers(draw: st.DrawFn) -> ContainerRequest:
    context = draw(
        st.none()
        | st.builds(
            LinuxContainerSecurityContext,
            privileged=st.booleans(),
            capabilities=st.none() | st.just(Capability(add_capabilities=("SYS_ADMIN",))),
            seccomp=profiles,
            seccomp_profile_path=paths,
        )
    )
    linux = draw(st.none() | st.just(LinuxContainerConfig(security_context=context)))
    return ContainerRequest(metadata=draw(st.none() | st.just(ContainerMetadata(name="c"))), linux=linux)


@st.composite
def sandboxes(draw: st.DrawFn) -> SandboxRequest:
    context = draw(st.none() | st.builds(LinuxSandboxSecurityContext, seccomp=profiles, seccomp_profile_path=paths))
    linux = draw(st.none() | st.just(LinuxPodSandboxConfig(security_context=context)))
    return SandboxRequest(annotations=draw(words), linux=linux)


def _kubelet(release: str, *, on: bool) -> Kubelet:
    try:
        return Kubelet.start(release, seccomp_default=on, feature_gates={"SeccompDefault": True} if on else {})
    except Refused:  # without the gate, where there is none
        return Kubelet.start(release, seccomp_default=on)


kubelets = st.deferred(
    lambda: st.sampled_from([_kubelet(known.release.upstream, on=on) for known in releases() for on in (False, True)])
)


@pytest.mark.parametrize(("version", "off", "on", "sandbox"), UNSET, ids=[row[0] for row in UNSET])
def test_what_is_left_unset_becomes_what_the_release_sends(
    version: str,
    off: tuple[SecurityProfile | None, str],
    on: tuple[SecurityProfile | None, str] | None,
    sandbox: tuple[SecurityProfile | None, str],
) -> None:
    kubelet = Kubelet.start(version)
    assert _asked(kubelet.container(ContainerRequest())[0]) == off
    assert _asked_sandbox(kubelet.sandbox(SandboxRequest())[0]) == sandbox
    if on is not None:
        gates = {"SeccompDefault": True} if version < "1.25" else {}
        kubelet = Kubelet.start(version, seccomp_default=True, feature_gates=gates)
        assert _asked(kubelet.container(ContainerRequest())[0]) == on
        assert _asked_sandbox(kubelet.sandbox(SandboxRequest())[0]) == sandbox


@given(kubelets, containers(), sandboxes())
def test_what_is_said_is_never_changed_and_the_step_is_idempotent(
    kubelet: Kubelet, container: ContainerRequest, sandbox: SandboxRequest
) -> None:
    filled, steps = kubelet.container(container, sandbox)
    again, _ = kubelet.container(filled, sandbox)
    assert again == filled
    assert steps
    if _asked(container) != NOTHING:
        assert filled == container
    filled_sandbox, steps = kubelet.sandbox(sandbox)
    assert kubelet.sandbox(filled_sandbox)[0] == filled_sandbox
    assert steps
    if _asked_sandbox(sandbox) != NOTHING:
        assert filled_sandbox == sandbox


@given(kubelets, containers(), sandboxes())
def test_only_the_profile_is_filled_in(kubelet: Kubelet, container: ContainerRequest, sandbox: SandboxRequest) -> None:
    filled = kubelet.container(container, sandbox)[0]
    context, before = container_security(filled), container_security(container)
    if context is not None and before is not None:
        assert context.privileged == before.privileged
        assert context.capabilities == before.capabilities
        assert context.masked_paths == ()
    assert filled.metadata == container.metadata


@given(containers(), sandboxes())
def test_without_the_step_a_request_is_handed_on(container: ContainerRequest, sandbox: SandboxRequest) -> None:
    kubelet = Kubelet.start("1.36.3", seccomp_default=True, step="none")
    assert kubelet.container(container, sandbox) == (container, ())
    assert kubelet.sandbox(sandbox) == (sandbox, ())


def test_a_present_but_empty_message_is_runtime_default() -> None:
    request = ContainerRequest(
        linux=LinuxContainerConfig(security_context=LinuxContainerSecurityContext(seccomp=DEFAULT))
    )
    filled, (step,) = Kubelet.start("1.30.0").container(request)
    assert filled is request
    assert "RuntimeDefault" in step.because


def test_other_limits_survive() -> None:
    resources = LinuxContainerResources(cpu_shares=2)
    filled, _ = Kubelet.start("1.30.0").container(ContainerRequest(linux=LinuxContainerConfig(resources=resources)))
    assert filled.linux is not None
    assert filled.linux.resources == resources


@pytest.mark.parametrize("number", [3, -1, 99])
def test_an_unknown_profile_type_is_refused(number: int) -> None:
    unknown = SecurityProfile(profile_type=number)
    container = ContainerRequest(
        linux=LinuxContainerConfig(security_context=LinuxContainerSecurityContext(seccomp=unknown))
    )
    sandbox = SandboxRequest(linux=LinuxPodSandboxConfig(security_context=LinuxSandboxSecurityContext(seccomp=unknown)))
    kubelet = Kubelet.start("1.36.3")
    for ask in (lambda: kubelet.container(container), lambda: kubelet.sandbox(sandbox)):
        with pytest.raises(Refused) as refusal:
            ask()
        assert (refusal.value.code, refusal.value.where) == ("INVALID_ARGUMENT", "kubelet")
        assert f"profile_type {number}" in refusal.value.message


def test_a_windows_request_has_no_profile() -> None:
    kubelet = Kubelet.start("1.36.3", seccomp_default=True)
    container = ContainerRequest(windows=WindowsContainerConfig())
    assert kubelet.container(container)[0] is container
    sandbox = SandboxRequest(windows=WindowsPodSandboxConfig())
    assert kubelet.sandbox(sandbox)[0] is sandbox


@pytest.mark.parametrize(
    ("version", "words", "message", "path"),
    [
        ("1.18.20", {POD: "localhost/a.json"}, None, "localhost//var/lib/kubelet/seccomp/a.json"),
        ("1.19.16", {POD: "unconfined", f"{CONTAINER}c": "docker/default"}, None, "docker/default"),
        ("1.24.17", {f"{CONTAINER}c": "localhost/../x"}, OPEN, "localhost//var/lib/kubelet/x"),
        ("1.25.0", {POD: "runtime/default"}, OPEN, ""),
    ],
)
def test_the_sandboxs_annotations_count_while_they_are_read(
    version: str, words: dict[str, str], message: SecurityProfile | None, path: str
) -> None:
    kubelet = Kubelet.start(version)
    request = ContainerRequest(metadata=ContainerMetadata(name="c"))
    filled, steps = kubelet.container(request, SandboxRequest(annotations=words))
    assert _asked(filled) == (message, path)
    # Where the message does not say what the annotation says, something was lost.
    assert any(step.warns for step in steps) == (message is not None)


def test_the_oldest_releases_ask_the_pods_annotation_about_the_sandbox() -> None:
    request = SandboxRequest(annotations={POD: "unconfined"})
    assert _asked_sandbox(Kubelet.start("1.18.6").sandbox(request)[0]) == (None, "unconfined")
    assert _asked_sandbox(Kubelet.start("1.19.0").sandbox(request)[0]) == (None, "runtime/default")


def test_long_annotations_are_decided_each_time_the_same() -> None:
    kubelet = Kubelet.start("1.20.0")
    sandbox = SandboxRequest(annotations={POD: "x" * 10_000})
    first, second = (kubelet.container(ContainerRequest(), sandbox) for _ in range(2))
    assert first == second
    assert _asked(first[0])[1] == "x" * 10_000


def test_numbers_are_those_of_the_cri() -> None:
    assert (RUNTIME_DEFAULT, UNCONFINED, LOCALHOST) == (0, 1, 2)


def _asked(request: ContainerRequest) -> tuple[SecurityProfile | None, str]:
    context = container_security(request)
    return (context.seccomp, context.seccomp_profile_path) if context else NOTHING


def _asked_sandbox(request: SandboxRequest) -> tuple[SecurityProfile | None, str]:
    context = sandbox_security(request)
    return (context.seccomp, context.seccomp_profile_path) if context else NOTHING
