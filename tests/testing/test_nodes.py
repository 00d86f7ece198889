"""The handles of a node: what is on it, what becomes of that, and that both kinds of node say the same."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runtimes.decision import Step
from runtimes.errors import BadInput, Refused
from runtimes.model import find
from shim.answer import NO_SANDBOX, answer_pod
from shim.kubelet import manifest
from shim.nodefile import open_node
from shim.testing import CriContainer, CriNode, CriServer, assert_seccomp, served_node, simulated_node
from tests.cri.test_crictl import newest

RUNTIME_DEFAULT = {"type": "RuntimeDefault"}
AUDIT = {"type": "Localhost", "localhostProfile": "audit.json"}
AUDIT_FILE = "/var/lib/kubelet/seccomp/audit.json"
BOTH = pytest.mark.parametrize("start", [simulated_node, served_node], ids=["in-process", "socket"])

SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: shop, annotations: {container.seccomp.security.alpha.kubernetes.io/old: runtime/default}}
spec:
  securityContext: {seccompProfile: {type: RuntimeDefault}}
  initContainers: [{name: setup, image: "a:1"}]
  containers:
    - {name: web, image: "a:1"}
    - {name: open, image: "a:1", securityContext: {seccompProfile: {type: Unconfined}}}
    - {name: admin, image: "a:1", securityContext: {capabilities: {add: [SYS_ADMIN], drop: [ALL]}}}
    - {name: root, image: "a:1", securityContext: {privileged: true}}
    - {name: old, image: "a:1"}
    - {name: local, image: "a:1", securityContext: {seccompProfile: {type: Localhost, localhostProfile: audit.json}}}
    - {name: gone, image: "a:1", securityContext: {seccompProfile: {type: Localhost, localhostProfile: gone.json}}}
"""
BARE = "apiVersion: v1\nkind: Pod\nmetadata: {name: bare}\nspec: {containers: [{name: main, image: 'a:1'}]}\n"
INVALID = BARE.replace("spec: {", "spec: {securityContext: {seccompProfile: {type: Wrong}}, ")

NODES = [
    ("containerd@1.4.13", {"kubelet": "1.19.16"}),
    ("containerd@1.6.20", {"kubelet": "1.24.17"}),
    ("containerd@2.3.4", {"kubelet": "1.36.3", "seccompDefault": True}),
    ("cri-o@1.20.0", {"kubelet": "1.20.15"}),
    ("cri-o@1.24.6", {"kubelet": "1.24.17"}),
    ("cri-o@1.36.3", {"kubelet": "1.36.3", "seccompDefault": True}),
]


@BOTH
@pytest.mark.parametrize(("node", "settings"), NODES, ids=[each[0] for each in NODES])
@pytest.mark.parametrize("text", [SHOP, BARE, INVALID], ids=["shop", "bare", "invalid"])
def test_what_a_node_made_is_what_explain_would_have_said(
    start: Any, node: str, settings: dict[str, Any], text: str
) -> None:
    """The third witness is `shim.answer`, which makes nothing and asks nobody."""
    with start(node, **settings) as cri:
        cri.write(AUDIT_FILE, {"defaultAction": "SCMP_ACT_LOG"})
        made = {each.name: each for each in cri.create(text)}
        opened = open_node(cri.document)
        (pod,) = manifest.pods(text, "test")
        for answer in answer_pod(opened, opened.default, pod).containers:
            container = made.pop(answer.name)
            assert container.section == json.loads(json.dumps(answer.seccomp)), answer.name
            assert container.kind == answer.kind
            if answer.error is None:
                assert container.capabilities == answer.capabilities
                assert sorted(container.steps, key=str) == sorted(answer.steps, key=str), answer.name
                assert container.state == ("exited" if answer.kind == "init" else "running")
            else:
                assert container.error
                assert answer.error.message in container.error.message
                assert (container.posture.kind, container.error.reason) == ("refused", answer.error.reason)
                assert container.state == answer.error.reason
        assert not made


def _on_the_node(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Leave out what an API server says: a node has the pod as that has stored it."""
    return tuple(step for step in steps if step.layer != "api")


def test_every_line_of_releases_shows_the_spec_of_what_it_made() -> None:
    """Whatever a client can see of a release, the section is among it: the handles depend on that."""
    for family in ("containerd", "cri-o"):
        lines = {(each.release.major, each.release.minor): each.release for each in find(family).releases()}
        for release in lines.values():
            with simulated_node(f"{family}@{release}") as node:
                sandbox = node.run_sandbox()
                context = {"seccomp": {"profile_type": 1}, "seccomp_profile_path": "unconfined"}
                container = sandbox.create({"linux": {"security_context": context}})
                assert container.inspected.spec["ociVersion"], release
                assert container.posture.kind == "Unconfined", release
                assert sandbox.inspected.spec["ociVersion"], release


@BOTH
def test_a_running_container_keeps_its_filter_and_the_next_one_takes_the_new(start: Any) -> None:
    """io_uring: allowed by containerd up to 1.7, not from 2.0 on (containerd#9048, #9320)."""
    with start("containerd@1.7.0", kubelet="1.30.2") as node:
        container = node.container(seccompProfile=RUNTIME_DEFAULT)
        changes = node.set({"runtime.version": "2.0.0"})
        assert changes == ("runtime.version: 1.7.0 -> 2.0.0",)
        assert container.state == "running"
        assert_seccomp(container).allows("io_uring_setup").is_default(of="containerd@1.7.0")
        assert container.after_restart.title == "RuntimeDefault of containerd 2.0.0"
        after = container.restart()
        assert_seccomp(after).denies("io_uring_setup", errno="EPERM").is_default()
        assert (container.state, after.state) == ("exited", "running")
        assert_seccomp(container).allows("io_uring_setup")


@BOTH
def test_a_kubelet_that_hashes_otherwise_restarts_everything_in_place(start: Any) -> None:
    """Kubernetes 1.31: the hash of a container is made of fewer fields (pkg/kubelet/container/helpers.go)."""
    with start("containerd@2.0.0", kubelet="1.30.2", seccompDefault=False) as node:
        pod = node.create(BARE)
        before, sandbox = pod["main"], pod.sandbox.id
        node.set({"kubelet.version": "1.30.14"})
        assert pod["main"].id == before.id
        node.set({"kubelet.version": "1.31.0", "kubelet.seccompDefault": True})
        assert pod["main"].id != before.id
        assert pod.sandbox.id == sandbox
        assert_seccomp(pod["main"]).is_default().explains("seccompDefault is on")
        assert any("definition changed" in line for line in node.says)


@BOTH
def test_settings_that_are_written_down_count_from_a_restart_on(start: Any) -> None:
    with start("containerd@1.7.0", kubelet="1.30.2") as node:
        node.write_down({"kubelet.seccompDefault": True})
        assert_seccomp(node.container()).is_unconfined()
        node.restart("kubelet")
        assert_seccomp(node.container()).is_confined()


def test_a_reload_of_crio_reads_its_profile_again() -> None:
    """CRI-O re-reads seccomp_profile at SIGHUP (docs/crio.8.md, "reload")."""
    with simulated_node("cri-o@1.30.0", kubelet="1.30.2") as node:
        config = node.write("/etc/crio/crio.conf", "[crio.runtime]\n")
        node.set({"runtime.config": config})
        node.write("/etc/crio/mine.json", {"defaultAction": "SCMP_ACT_LOG"})
        node.write(config, '[crio.runtime]\nseccomp_profile = "/etc/crio/mine.json"\n')
        assert_seccomp(node.container(seccompProfile=RUNTIME_DEFAULT)).is_default()
        node.reload()
        assert_seccomp(node.container(seccompProfile=RUNTIME_DEFAULT)).allows("reboot", "mount").is_not_default()


@BOTH
def test_a_reboot_makes_everything_anew(start: Any) -> None:
    with start("containerd@2.0.9", kubelet="1.30.2") as node:
        pod = node.create(BARE)
        before, sandbox = pod["main"], pod.sandbox.id
        node.write_down({"kubelet.seccompDefault": True})
        node.reboot()
        assert (pod["main"].state, pod.sandbox.id != sandbox) == ("running", True)
        assert_seccomp(before).is_unconfined()
        assert_seccomp(pod["main"]).is_confined()


def test_a_container_may_be_restarted_again_and_again() -> None:
    """The kubelet's back-off grows to five minutes; the node's clock is turned by as much."""
    with simulated_node("containerd@2.0.9") as node:
        container = node.container()
        ids = {container.id}
        for _ in range(8):
            container = container.restart()
            assert container.state == "running"
            ids.add(container.id)
        assert len(ids) == 9


def test_what_is_never_restarted_says_so() -> None:
    with simulated_node("containerd@2.0.9") as node:
        container = node.container(BARE.replace("spec: {", "spec: {restartPolicy: Never, "))
        with pytest.raises(BadInput, match="container main of pod default/bare has ended and is not started again"):
            container.restart()


def test_what_failed_is_tried_again_when_time_has_passed() -> None:
    with simulated_node("containerd@2.0.9") as node:
        pod = node.create(
            BARE.replace("image: 'a:1'", "image: 'a:1', securityContext: " + json.dumps({"seccompProfile": AUDIT}))
        )
        assert_seccomp(pod["main"]).is_refused("CreateContainerError", f"open {AUDIT_FILE}: no such file")
        node.write(AUDIT_FILE, {"defaultAction": "SCMP_ACT_LOG"})
        assert_seccomp(pod["main"]).is_refused()
        node.wait(30)
        assert_seccomp(pod["main"]).is_localhost(AUDIT_FILE)


def test_pods_of_one_name_are_several() -> None:
    with simulated_node("containerd@2.0.9") as node:
        pods = [node.create(BARE) for _ in range(3)]
        assert [pod.name for pod in pods] == ["default/bare", "default/bare-2", "default/bare-3"]
        assert len({pod["main"].id for pod in pods}) == 3
        pods[1].delete()
        with pytest.raises(BadInput, match="default/bare-2 has no container 'main'"):
            pods[1]["main"]
        assert [pods[at]["main"].state for at in (0, 2)] == ["running", "running"]


def test_a_handler_picks_the_runtime() -> None:
    with simulated_node("containerd@2.3.4", handlers={"old": {"name": "cri-o", "version": "1.24.6"}}) as node:
        assert node.container(seccompProfile=RUNTIME_DEFAULT).posture.of == "containerd 2.3.4"
        other = node.container(handler="old", seccompProfile=RUNTIME_DEFAULT)
        assert other.posture.of == "cri-o 1.24.6"
        assert_seccomp(other).is_default().is_default(of="cri-o@1.24.6").is_not_default(of="containerd@2.3.4")


def test_a_static_pod_meets_no_api_server() -> None:
    """Annotations: the API server copied them into fields up to 1.26, for static pods kubelets up to 1.24 read them."""
    annotated = BARE.replace(
        "name: bare", "name: bare, annotations: {seccomp.security.alpha.kubernetes.io/pod: runtime/default}"
    )
    with simulated_node("containerd@1.6.20", kubelet="1.25.16") as node:
        assert_seccomp(node.container(annotated)).is_default()
        assert_seccomp(node.container(annotated, source="static")).is_unconfined()


@BOTH
@pytest.mark.parametrize(
    ("text", "handler", "reason"),
    [(BARE, "gone", NO_SANDBOX), (INVALID, "", "Invalid")],
    ids=["no-handler", "invalid"],
)
def test_a_pod_without_a_sandbox_says_why(start: Any, text: str, handler: str, reason: str) -> None:
    with start("containerd@2.0.9") as node:
        pod = node.create(text, handler=handler)
        assert_seccomp(pod.sandbox).is_refused(reason)
        assert (pod.sandbox.id, pod["main"].state, pod["main"].id) == ("", reason, "")
        assert_seccomp(pod["main"]).is_refused(reason)


@BOTH
def test_a_node_may_have_a_file_system_of_the_users(start: Any, tmp_path: Path) -> None:
    (tmp_path / "var/lib/kubelet/seccomp").mkdir(parents=True)
    (tmp_path / "var/lib/kubelet/seccomp/audit.json").write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    with start(runtime="cri-o@1.36.3", root=tmp_path) as node:
        assert node.name.startswith("cri-o 1.36.3")
        assert_seccomp(node.container(seccompProfile=AUDIT)).is_localhost(AUDIT_FILE)
    assert (tmp_path / "var/lib/kubelet/seccomp/audit.json").exists()


@BOTH
def test_a_node_that_does_not_start_raises_what_its_component_says(start: Any) -> None:
    with (
        pytest.raises(Refused, match="SeccompDefault"),
        start("containerd@1.6.20", kubelet="1.24.17", seccompDefault=True),
    ):
        pytest.fail("it has started")


# Requests in the shape of the CRI


@BOTH
def test_requests_are_filled_in_as_by_the_nodes_kubelet(start: Any) -> None:
    with start("containerd@2.0.9", kubelet="1.30.2", seccompDefault=True) as node:
        sandbox = node.run_sandbox({"metadata": {"name": "p", "namespace": "n", "uid": "u"}})
        assert_seccomp(sandbox).is_default()
        silent = sandbox.create()
        assert_seccomp(silent).is_default().explains("seccompDefault is on")
        said = sandbox.create(
            {"metadata": {"name": "b"}, "linux": {"security_context": {"seccomp": {"profile_type": 1}}}}
        )
        assert_seccomp(said).is_unconfined()
        assert node.find(silent.id[:12]).digest == silent.digest
        node.set({"runtime.version": "2.1.9"})
        assert_seccomp(silent).denies("socket", arg0=38)
        assert_seccomp(silent.restart()).allows("socket", arg0=38)


@BOTH
def test_refusals_of_the_runtime_are_its_own(start: Any) -> None:
    with start("containerd@2.0.9") as node:
        with pytest.raises(Refused, match="an error occurred when try to find container") as refused:
            node.find("0" * 64)
        assert refused.value.code == "NOT_FOUND"
        with pytest.raises(BadInput, match=r'RunPodSandbox.*"metadatum"'):
            node.run_sandbox({"metadatum": {}})
        with pytest.raises(BadInput, match="there is no call Runpod"):
            node.call("Runpod")


def test_manifests_that_are_none_are_told_with_their_place() -> None:
    with simulated_node("containerd@2.0.9") as node:
        for wrong, told in (
            ("kind: Service\napiVersion: v1\n", "manifest: there is no pod in it, only Service"),
            (BARE + "---\n" + BARE, "there are 2 pods in the manifest: default/bare, default/bare"),
            ("gone.yaml", "gone.yaml: cannot be read: No such file"),
            ({"kind": {1, 2}}, "manifest: is no manifest"),
            (BARE.replace("containers: [", "containers: {").replace("]", "}"), "manifest:4"),
        ):
            with pytest.raises(BadInput, match=told.replace("(", r"\(")):
                node.create(wrong)
        with pytest.raises(BadInput, match=r"securityContext.seccompprofile.*did you mean seccompProfile"):
            node.container(seccompprofile=RUNTIME_DEFAULT)
        with pytest.raises(BadInput, match="privileged besides a manifest"):
            node.container(BARE, privileged=True)
        assert len(node.create_all(BARE + "---\n" + BARE)) == 2


def test_a_refused_change_changes_nothing() -> None:
    with simulated_node("containerd@2.0.9", kubelet="1.30.2", seccompDefault=True) as node:
        before = node.document
        with pytest.raises(BadInput, match=r"runtime.version: containerd 2.0.99 is not a known release"):
            node.set({"runtime.version": "2.0.99"})
        with pytest.raises(Refused, match="SeccompDefault"):
            node.set({"kubelet.version": "1.24.17"})
        with pytest.raises(BadInput, match="a node stays on its host"):
            node.set({"host.arch": "arm64"})
        assert node.document == before
        assert_seccomp(node.container()).is_default()


def test_a_kubelet_that_cannot_talk_to_the_runtime_says_so() -> None:
    """Kubelets from 1.26 on speak v1 of the CRI only, which containerd has from 1.6 on."""
    with simulated_node("containerd@1.5.0", kubelet="1.26.0") as node:
        with pytest.raises(Refused, match=r"the kubelet does not run: .*v1 runtime API is not implemented"):
            node.container()
        assert node.run_sandbox().id


# With the real crictl


@pytest.fixture
def crictl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRICTL", newest())


@pytest.mark.usefixtures("crictl")
def test_crictl_sees_what_the_handles_say() -> None:
    with served_node("containerd@2.0.9", kubelet="1.30.2", seccompDefault=True) as server:
        pod = server.create(SHOP.replace("name: gone", "name: gone2"))
        shown = {each["metadata"]["name"] for each in json.loads(server.crictl("ps", "-o", "json"))["containers"]}
        assert shown == {"web", "open", "admin", "root", "old"}
        for name in shown:
            real = json.loads(server.crictl("inspect", pod[name].id))
            assert_seccomp(real).equals(pod[name])
            assert real["info"]["runtimeSpec"] == pod[name].inspected.spec
        assert_seccomp(json.loads(server.crictl("inspectp", pod.sandbox.id))).equals(pod.sandbox)


@pytest.mark.usefixtures("crictl")
def test_what_crictl_made_is_found(tmp_path: Any) -> None:
    """Nothing is said in its files about seccomp: that a kubelet would have, and the server knows which."""
    (tmp_path / "pod.json").write_text(json.dumps({"metadata": {"name": "p", "namespace": "n", "uid": "u"}}))
    (tmp_path / "c.json").write_text(json.dumps({"metadata": {"name": "c"}, "image": {"image": "busybox"}}))
    with served_node("containerd@2.0.9", kubelet="1.30.2", seccompDefault=True) as server:
        ours = server.container()
        server.crictl("pull", "busybox")
        pod = server.crictl("runp", f"{tmp_path}/pod.json")
        made = server.crictl("create", pod, f"{tmp_path}/c.json", f"{tmp_path}/pod.json")
        server.crictl("start", made)
        found = server.find(made[:13])
        assert (found.name, found.state) == ("c", "running")
        assert_seccomp(found).is_default().equals(ours).explains("seccompDefault is on")
        with pytest.raises(BadInput, match="made by somebody else"):
            found.restart()
        server.set({"runtime.version": "2.1.9"})
        assert found.state == "running"
        with pytest.raises(subprocess.CalledProcessError) as failed:
            server.crictl("inspect", "nothing-like-it")
        assert "NotFound" in failed.value.__notes__[0]


def test_a_missing_crictl_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRICTL", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    with served_node("containerd@2.0.9") as server:
        assert server.environment["CONTAINER_RUNTIME_ENDPOINT"] == server.endpoint
        assert len(server.endpoint) < 107
        with pytest.raises(BadInput, match=r"there is no crictl \(put one into PATH, or set CRICTL\)"):
            server.crictl("ps")


def test_the_classes_are_there_for_annotations() -> None:
    with served_node("containerd@2.0.9") as server:
        assert isinstance(server, CriServer)
        assert isinstance(server, CriNode)
        assert isinstance(server.container(), CriContainer)


def test_a_node_file_may_be_named_by_its_whole_path(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("runtime: {name: containerd, version: 1.6.20}")
    with simulated_node(file=str(tmp_path / "old")) as node:
        assert node.document.runtime.version == "1.6.20"
