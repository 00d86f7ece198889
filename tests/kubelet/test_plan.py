"""From a pod to the requests that a release sends for it, apart from the profile itself (see test_unit_tables)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtimes.errors import Refused
from runtimes.request import (
    CONTAINER,
    NODE,
    POD,
    Capability,
    Int64Value,
    NamespaceOption,
    PortMapping,
    SecurityProfile,
    SELinuxOption,
    UserNamespace,
)
from shim.kubelet import container, manifest
from shim.kubelet.kubelet import Kubelet
from tests.kubelet.pods import UID, C, context, plan, request, sandbox_context


def test_names_labels_and_annotations_are_those_that_kubelets_write() -> None:
    planned = plan("1.31.0", {}, {"labels": {"app": "a"}, "annotations": {"x": "y"}})
    sandbox, found = planned.sandbox, request(planned)
    assert sandbox is not None
    assert msgspec.to_builtins(sandbox.metadata) == {"name": "p", "uid": UID, "namespace": "ns"}
    assert (sandbox.hostname, sandbox.log_directory) == ("p", f"/var/log/pods/ns_p_{UID}")
    names = {
        "io.kubernetes.pod.name": "p",
        "io.kubernetes.pod.namespace": "ns",
        "io.kubernetes.pod.uid": UID,
    }
    assert sandbox.labels == {"app": "a", **names}
    assert sandbox.annotations == {"x": "y", "kubernetes.io/config.source": "api"}
    assert found.labels == {**names, "io.kubernetes.container.name": "c"}
    assert found.annotations == {
        "io.kubernetes.container.restartCount": "0",
        "io.kubernetes.container.terminationMessagePath": "/dev/termination-log",
        "io.kubernetes.container.terminationMessagePolicy": "File",
        "io.kubernetes.pod.terminationGracePeriod": "30",
        "io.kubernetes.container.hash": container.digest("c", "busybox"),
    }
    assert (found.metadata and found.metadata.name, found.log_path) == ("c", "c/0.log")


def test_the_hash_of_a_container_is_the_kubelets() -> None:
    # pkg/kubelet/container/helpers_test.go (TestHashContainer) at v1.36.3
    assert container.digest("test_container", "foo/image:v1") == "8e45cbd0"
    assert "io.kubernetes.container.hash" not in request(plan("1.30.14", {})).annotations


def test_a_static_pod_is_named_after_its_node() -> None:
    planned = plan("1.30.0", {}, {"uid": None}, source="static", node="Node-1")
    assert planned.sandbox is not None
    assert planned.sandbox.metadata is not None
    assert planned.sandbox.metadata.name == "p-node-1"
    uid = planned.sandbox.metadata.uid
    assert len(uid) == 32
    assert planned.sandbox.annotations == {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": uid}
    assert plan("1.30.0", {}, {"uid": None}, source="static", node="Node-1").sandbox == planned.sandbox


def test_a_made_up_uid_is_the_pods_own() -> None:
    first, second = (plan("1.30.0", {}, {"uid": None, "name": name}).sandbox for name in ("a", "b"))
    assert first is not None
    assert second is not None
    assert first.metadata is not None
    assert second.metadata is not None
    assert first.metadata.uid != second.metadata.uid
    assert [len(part) for part in first.metadata.uid.split("-")] == [8, 4, 4, 4, 12]


@pytest.mark.parametrize(
    ("spec", "hostname"),
    [
        ({"hostname": "h"}, "h"),
        ({"hostNetwork": True, "hostname": "h"}, ""),
        ({"hostname": "a" * 60 + "-.-bcd"}, "a" * 60),
    ],
)
def test_hostnames(spec: dict[str, Any], hostname: str) -> None:
    sandbox = plan("1.30.0", spec).sandbox
    assert sandbox is not None
    assert sandbox.hostname == hostname


@pytest.mark.parametrize(
    ("version", "spec", "options"),
    [
        ("1.18.0", {}, NamespaceOption(network=POD, pid=CONTAINER, ipc=POD)),
        ("1.32.0", {"shareProcessNamespace": True}, NamespaceOption(network=POD, pid=POD, ipc=POD)),
        ("1.30.0", {"hostNetwork": True, "hostIPC": True}, NamespaceOption(network=NODE, pid=CONTAINER, ipc=NODE)),
        ("1.30.0", {"hostPID": True, "shareProcessNamespace": False}, NamespaceOption(network=POD, pid=NODE, ipc=POD)),
        ("1.33.0", {}, NamespaceOption(network=POD, pid=CONTAINER, userns_options=UserNamespace(mode=NODE))),
        ("1.36.0", {"hostUsers": False}, NamespaceOption(network=POD, pid=CONTAINER)),
    ],
)
def test_namespaces(version: str, spec: dict[str, Any], options: NamespaceOption) -> None:
    planned = plan(version, spec)
    assert context(planned).namespace_options == options
    assert sandbox_context(planned).namespace_options == options
    assert any(step.warns for step in planned.sandbox_steps) == (spec == {"hostUsers": False})


def test_the_security_context_of_a_container_overlays_the_pods() -> None:
    own = {
        "privileged": True,
        "readOnlyRootFilesystem": True,
        "runAsUser": 5,
        "allowPrivilegeEscalation": True,
        "capabilities": {"add": ["NET_ADMIN", "cap_sys_time"], "drop": ["ALL"]},
        "seLinuxOptions": {"level": "s0"},
    }
    pod = {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4], "seLinuxOptions": {"type": "t"}}
    planned = plan(
        "1.30.0", {"securityContext": pod, "containers": [{**C, "securityContext": own}, {**C, "name": "d"}]}
    )
    first, second = context(planned), context(planned, 1)
    assert first.privileged
    assert first.readonly_rootfs
    assert first.run_as_user == Int64Value(value=5)
    assert first.capabilities == Capability(add_capabilities=("NET_ADMIN", "cap_sys_time"), drop_capabilities=("ALL",))
    assert first.selinux_options == SELinuxOption(level="s0")
    assert first.seccomp == SecurityProfile(profile_type=1)
    assert second.capabilities is None
    assert second.selinux_options == SELinuxOption(type="t")
    assert second.run_as_user == Int64Value(value=1)
    for each in (first, second):
        assert each.run_as_group == Int64Value(value=2)
        assert each.supplemental_groups == (3, 4)
        assert each.no_new_privs is False
    sandbox = sandbox_context(planned)
    assert (sandbox.privileged, sandbox.run_as_user, sandbox.supplemental_groups) == (True, Int64Value(value=1), (3, 4))
    assert any("privileged" in step.because for step in planned.containers[0].steps)


@pytest.mark.parametrize(("allowed", "set_"), [(None, False), (True, False), (False, True)])
def test_no_new_privs_is_only_set_when_escalation_is_denied(allowed: bool | None, set_: bool) -> None:
    own = {"securityContext": {"allowPrivilegeEscalation": allowed}}
    assert context(plan("1.18.0", {"containers": [{**C, **own}]})).no_new_privs is set_


def test_an_image_is_sent_as_it_is_written_where_there_is_a_field_for_that() -> None:
    for version, written in (("1.27.16", ""), ("1.28.0", "busybox")):
        image = request(plan(version, {})).image
        assert image is not None
        assert (image.image, image.user_specified_image) == ("busybox", written)


def test_ports() -> None:
    ports = [
        {"containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1"},
        {"containerPort": 53, "protocol": "UDP", "name": "dns"},
        {"containerPort": 54, "name": "dns"},
    ]
    sandbox = plan(
        "1.30.0", {"containers": [{**C, "ports": ports}], "initContainers": [{**C, "name": "i", "ports": ports}]}
    )
    assert sandbox.sandbox is not None
    assert sandbox.sandbox.port_mappings == (
        PortMapping(container_port=80, host_port=8080, host_ip="127.0.0.1"),
        PortMapping(container_port=53, protocol=1),
    )
    sandbox = plan("1.30.0", {"hostNetwork": True, "containers": [{**C, "ports": ports[1:2]}]})
    assert sandbox.sandbox is not None
    assert sandbox.sandbox.port_mappings[0].host_port == 53


def test_sysctls() -> None:
    sandbox = plan("1.30.0", {"securityContext": {"sysctls": [{"name": "net.x", "value": "1"}]}}).sandbox
    assert sandbox is not None
    assert sandbox.linux is not None
    assert sandbox.linux.sysctls == {"net.x": "1"}


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("1.22.17", {"i": "init", "s": "init", "c": "container"}),
        ("1.23.0", {"e": "ephemeral", "i": "init", "s": "init", "c": "container"}),
        ("1.28.15", {"e": "ephemeral", "i": "init", "s": "init", "c": "container"}),
        ("1.29.0", {"e": "ephemeral", "i": "init", "s": "sidecar", "c": "container"}),
        ("1.36.3", {"e": "ephemeral", "i": "init", "s": "sidecar", "c": "container"}),
    ],
)
def test_containers_of_every_kind_get_a_request_of_their_own(version: str, kinds: dict[str, str]) -> None:
    profile = {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}
    planned = plan(
        version,
        {
            "initContainers": [{**C, "name": "i", **profile}, {**C, "name": "s", "restartPolicy": "Always", **profile}],
            "containers": [{**C, **profile}],
            "ephemeralContainers": [{**C, "name": "e", **profile, "targetContainerName": "c"}],
        },
    )
    assert {each.name: each.kind for each in planned.containers} == kinds
    assert list(kinds) == [each.name for each in planned.containers]
    for number in range(len(kinds)):
        assert context(planned, number).seccomp == SecurityProfile()
    lost = [step.rule for step in planned.sandbox_steps if step.warns]
    assert lost == ([] if "e" in kinds else ["ephemeral-containers"])
    lost = [step.rule for each in planned.containers for step in each.steps if step.warns]
    assert lost == ([] if kinds["s"] == "sidecar" else ["sidecar-containers"])


def test_gates_decide_which_kinds_there_are() -> None:
    (pod,) = manifest.pods(
        msgspec.json.encode(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "p"},
                "spec": {"containers": [C], "initContainers": [{**C, "name": "s", "restartPolicy": "Always"}]},
            }
        ),
        "p.json",
    )
    kubelet = Kubelet.start("1.28.0", feature_gates={"SidecarContainers": True})
    assert kubelet.requests(pod).containers[0].kind == "sidecar"


def test_a_refused_container_does_not_keep_the_others_from_being_planned() -> None:
    empty = {"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": ""}}}
    planned = plan("1.27.2", {"containers": [{**C, **empty}, {**C, "name": "d"}]})
    refused = planned.containers[0].request
    assert isinstance(refused, Refused)
    assert (refused.where, refused.reason) == ("kubelet", "CreateContainerConfigError")
    assert refused.steps == planned.containers[0].steps
    assert "CVE-2023-2431" not in refused.message
    assert context(planned, 1).seccomp == SecurityProfile(profile_type=1)
    before = plan("1.27.1", {"containers": [{**C, **empty}]}, on=True)
    assert (context(before).seccomp, context(before).seccomp_profile_path) == (
        SecurityProfile(profile_type=1),
        "runtime/default",
    )
    assert any(step.warns and step.rule == "localhost-profile-required" for step in before.containers[0].steps)


@pytest.mark.parametrize(
    ("version", "spec", "user", "words"),
    [
        ("1.18.0", {"runAsUser": 0}, (5, ""), "container's runAsUser breaks non-root policy"),
        (
            "1.36.0",
            {"runAsUser": 0},
            (5, ""),
            f'container\'s runAsUser breaks non-root policy (pod: "p_ns({UID})", container: c)',
        ),
        (
            "1.36.0",
            {},
            (0, ""),
            f'container has runAsNonRoot and image will run as root (pod: "p_ns({UID})", container: c)',
        ),
        (
            "1.19.0",
            {},
            (None, "nobody"),
            "container has runAsNonRoot and image has non-numeric user (nobody), cannot verify user is non-root",
        ),
        ("1.36.0", {"runAsUser": 5}, (0, ""), None),
        ("1.36.0", {}, (5, ""), None),
        ("1.36.0", {}, (None, ""), None),
    ],
)
def test_who_must_not_be_root(
    version: str, spec: dict[str, Any], user: tuple[int | None, str], words: str | None
) -> None:
    planned = plan(version, {"securityContext": {"runAsNonRoot": True, **spec}}, user_of=lambda _image: user)
    found = planned.containers[0].request
    if words is None:
        assert not isinstance(found, Refused)
        return
    assert isinstance(found, Refused)
    assert (found.message, found.reason) == (words, "CreateContainerConfigError")


def test_an_image_without_a_number_for_its_user_is_sent_with_the_name() -> None:
    found = context(plan("1.30.0", {}, user_of=lambda _image: (None, "nobody")))
    assert (found.run_as_user, found.run_as_username) == (None, "nobody")
    assert context(plan("1.30.0", {})).run_as_user == Int64Value(value=0)


def test_a_pod_for_another_system_is_not_admitted() -> None:
    refused = plan("1.36.3", {"os": {"name": "windows"}}).refused
    assert refused is not None
    assert (refused.where, refused.reason) == ("kubelet", "PodOSNotSupported")
    assert refused.message == "Failed to admit pod as the OS field doesn't match node OS"
    assert plan("1.23.0", {"os": {"name": "windows"}}).refused is None


def test_a_windows_node_sends_no_profile_for_containers_and_one_for_the_sandbox() -> None:
    spec = {"securityContext": {"windowsOptions": {"runAsUserName": "u", "hostProcess": True}, "runAsUser": 5}}
    planned = plan("1.36.3", {"os": {"name": "windows"}, **spec}, os="windows")
    found = request(planned)
    assert found.linux is None
    assert found.windows is not None
    assert found.windows.security_context is not None
    assert (found.windows.security_context.run_as_username, found.windows.security_context.host_process) == ("u", True)
    assert sandbox_context(planned).seccomp == SecurityProfile()
    assert sandbox_context(planned).run_as_user is None
    assert planned.sandbox is not None
    assert planned.sandbox.windows is not None


@pytest.mark.parametrize("version", ["1.18.20", "1.19.16", "1.24.17", "1.27.16", "1.36.3"])
@pytest.mark.parametrize("source", ["api", "static"])
def test_requests_that_a_kubelet_made_come_out_of_its_step_unchanged(version: str, source: str) -> None:
    words = {"seccomp.security.alpha.kubernetes.io/pod": "localhost/a.json"}
    planned = plan(version, {}, {"annotations": words}, source=source)
    kubelet = Kubelet.start(version)
    assert planned.sandbox is not None
    assert kubelet.sandbox(planned.sandbox)[0] == planned.sandbox
    assert kubelet.container(request(planned), planned.sandbox)[0] == request(planned)


SPECS: list[dict[str, Any]] = [
    {},
    {"hostNetwork": True},
    {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
    {"containers": [{**C, "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "p"}}}]},
    {"containers": [{**C, "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": ""}}}]},
    {"containers": [{**C, "securityContext": {"runAsNonRoot": True}}]},
    {"containers": [{**C, "securityContext": {"procMount": "Bogus"}}]},
    {"initContainers": [{**C, "name": "i"}], "containers": [{**C, "securityContext": {"privileged": True}}]},
]
ANNOTATIONS = [{}, {"a": "b"}, {"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"}]


@pytest.mark.parametrize("version", ["1.18.0", "1.19.0", "1.24.13", "1.25.0", "1.26.5", "1.36.3"])
@pytest.mark.parametrize("source", ["api", "static"])
def test_what_is_remembered_of_one_pod_makes_no_difference_to_the_next(version: str, source: Any) -> None:
    def made(name: str, spec: dict[str, Any], annotations: dict[str, str]) -> Any:
        metadata = {"name": name, "namespace": f"of-{name}", "labels": {"l": name}, "annotations": annotations}
        thing = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [C], **spec}}
        (pod,) = manifest.pods(msgspec.json.encode(thing), "p.json")
        return pod

    def told(kubelet: Kubelet, pod: Any) -> Any:
        planned = kubelet.requests(pod, source=source, node="n")
        refused = [
            str(planned.refused),
            *(str(e.request) for e in planned.containers if isinstance(e.request, Refused)),
        ]
        return (
            planned.sandbox,
            planned.sandbox_steps,
            [(e.name, e.kind, e.steps) for e in planned.containers],
            refused,
            [e.request for e in planned.containers if not isinstance(e.request, Refused)],
        )

    warm = Kubelet.start(version)
    for one in ANNOTATIONS:
        for other in ANNOTATIONS:
            for spec in SPECS:
                warm.requests(made("a", spec, one), source=source)
                pod = made("b" * 70, spec, other)
                assert told(warm, pod) == told(Kubelet.start(version), pod)
