"""`crishim kubelet` against a server: a kubelet's pods as they come, stay and go, seen through the CRI."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shim.cli.main import main
from tests.cri.harness import V1, Server, running

NODE = """
host: {arch: amd64, kernel: "6.18", seccomp: true, hostname: Node-1}
kubelet: {version: 1.30.4}
runtime: {name: containerd, version: 2.3.4}
"""
WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  initContainers: [{name: setup, image: "busybox:1"}]
  containers: [{name: app, image: "nginx:1"}, {name: log, image: "nginx:1"}]
"""
NEW = "apiVersion: v1\nkind: Pod\nmetadata: {name: new}\nspec: {containers: [{name: main, image: busybox}]}\n"


class Node:
    """A server, a directory of manifests, and the kubelet's command."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place, self._capsys = place, capsys
        self.client = V1(place / "a.sock")
        (place / "node.yaml").write_text(NODE)
        (place / "manifests").mkdir()

    def write(self, name: str, text: str) -> None:
        (self.place / "manifests" / name).write_text(text)

    def kubelet(self, *words: str, code: int = 0) -> str:
        """Run the kubelet once and return what it said."""
        fixed = ["--node", f"{self.place}/node.yaml", "--manifests", f"{self.place}/manifests"]
        socket = f"unix://{self.place}/a.sock"
        assert main(["kubelet", *fixed, "--socket", socket, "--once", "--end-init", *words]) == code
        captured = self._capsys.readouterr()
        return captured.out + captured.err

    def containers(self) -> dict[str, Any]:
        """Return every container that runs, by name."""
        return {each.metadata.name: each for each in self.client("ListContainers").containers if each.state == 1}

    def confined(self, name: str) -> bool:
        status = self.client("ContainerStatus", container_id=self.containers()[name].id, verbose=True)
        spec = json.loads(status.info["info"])["runtimeSpec"]
        return "seccomp" in spec["linux"]


@pytest.fixture
def node(short_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Node]:
    with running(short_path / "a.sock", NODE):
        made = Node(short_path, capsys)
        yield made
        made.client.channel.close()


def test_pods_come_in_order_and_stay_where_the_kubelet_starts_again(node: Node) -> None:
    node.write("web.yaml", WEB)
    said = node.kubelet().splitlines()
    assert [line.partition(": ")[0] for line in said] == [
        "pod shop/web",
        "pod shop/web, container setup",
        "pod shop/web, container app",
        "pod shop/web, container log",
    ]
    before = node.containers()
    assert set(before) == {"app", "log"}
    app = before["app"]
    assert app.labels["io.kubernetes.pod.name"] == "web-node-1"
    assert app.annotations["io.kubernetes.container.restartCount"] == "0"
    assert node.kubelet() == ""
    assert node.kubelet("--set", "kubelet.version=1.30.14") == ""
    assert node.containers() == before


def test_a_changed_seccomp_default_reaches_new_and_restarted_containers_only(node: Node) -> None:
    node.write("web.yaml", WEB)
    node.kubelet()
    assert not node.confined("app")
    (sandbox,) = (each.id for each in node.client("ListPodSandbox").items)
    assert node.kubelet("--set", "kubelet.seccompDefault=true") == ""
    assert not node.confined("app")
    node.write("zz.yaml", NEW)
    assert "pod default/new, container main: started" in node.kubelet("--set", "kubelet.flags=[--seccomp-default]")
    assert node.confined("main")
    node.client("StopContainer", container_id=node.containers()["app"].id)
    said = node.kubelet("--set", "kubelet.seccompDefault=true")
    assert said == "pod shop/web, container app: started: it has ended with 137\n"
    restarted = node.containers()["app"]
    assert (restarted.pod_sandbox_id, restarted.metadata.attempt) == (sandbox, 1)
    assert restarted.annotations["io.kubernetes.container.restartCount"] == "1"
    assert node.confined("app")
    assert not node.confined("log")


def test_the_upgrade_that_changes_every_hash_restarts_containers_in_their_sandbox(node: Node) -> None:
    node.write("web.yaml", WEB.replace("namespace: shop", "namespace: shop, uid: fixed"))
    node.kubelet()
    before = node.containers()
    said = node.kubelet("--set", "kubelet.version=1.31.0")
    assert "Container app definition changed, will be restarted" in said
    after = node.containers()
    assert {each.pod_sandbox_id for each in after.values()} == {each.pod_sandbox_id for each in before.values()}
    assert {each.metadata.attempt for each in after.values()} == {1}


def test_a_manifest_that_is_gone_leaves_nothing(node: Node) -> None:
    node.write("web.yaml", WEB)
    node.kubelet()
    (node.place / "manifests/web.yaml").unlink()
    assert "its manifest is gone" in node.kubelet()
    assert not node.client("ListContainers").containers
    assert not node.client("ListPodSandbox").items


def test_what_somebody_else_made_is_left_alone(node: Node) -> None:
    config = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}}
    made = node.client("RunPodSandbox", config=config).pod_sandbox_id
    assert node.kubelet() == ""
    assert [each.id for each in node.client("ListPodSandbox").items] == [made]


@pytest.mark.parametrize("version", ["1.18.20", "1.22.17", "1.24.17", "1.28.0", "1.36.3"])
def test_every_generation_of_kubelets_is_understood(node: Node, version: str) -> None:
    node.write("new.yaml", NEW)
    node.kubelet("--set", f"kubelet.version={version}")
    assert set(node.containers()) == {"main"}


def test_what_does_not_run_is_said_and_counts(node: Node) -> None:
    node.write("a.yaml", NEW.replace("image: busybox", "image: busybox, securityContext: {seccompProfile: {type: X}}"))
    said = node.kubelet(code=1)
    assert said.startswith("pod default/new: Invalid: invalid pod: [spec.containers[0].securityContext.seccompProfile")
    local = "securityContext: {seccompProfile: {type: Localhost, localhostProfile: gone.json}}"
    node.write("a.yaml", NEW.replace("image: busybox", f"image: busybox, {local}"))
    said = node.kubelet(code=1)
    assert "CreateContainerError: rpc error: code = " in said
    assert "pod default/new: waiting: the last attempt failed" in said
    empty = local.replace("gone.json", '""')
    node.write("a.yaml", NEW.replace("image: busybox", f"image: busybox, {empty}"))
    said = node.kubelet(code=1)
    assert "CreateContainerConfigError: localhostProfile must be set if seccompProfile type is Localhost." in said


def test_nobody_at_the_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "node.yaml").write_text(NODE)
    words = ["--node", f"{tmp_path}/node.yaml", "--manifests", str(tmp_path), "--socket", f"unix://{tmp_path}/no.sock"]
    (tmp_path / "node.yaml").rename(tmp_path / "node")
    words[1] = f"{tmp_path}/node"
    assert main(["kubelet", *words, "--once"]) == 1
    assert "the kubelet refuses: failed to run Kubelet: validate service connection: " in capsys.readouterr().err
    words[3] = f"{tmp_path}/none"
    assert main(["kubelet", *words, "--once"]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/none: cannot be read: No such file or directory (a directory)\n"


def test_as_processes_a_signal_ends_the_kubelet_and_not_its_pods(short_path: Path) -> None:
    (short_path / "node.yaml").write_text(NODE)
    (short_path / "m").mkdir()
    (short_path / "m/new.yaml").write_text(NEW)
    with Server(short_path / "a.sock", "--node", short_path / "node.yaml", "--state", ":memory:") as server:
        words = ["--node", short_path / "node.yaml", "--manifests", short_path / "m", "--socket", server.socket]
        kubelet = subprocess.Popen(
            [sys.executable, "-u", "-m", "shim.cli.main", "kubelet", *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert kubelet.stdout
        said = [kubelet.stdout.readline() for _ in range(3)]
        assert said[0] == f"kubelet 1.30.4 runs the pods of {short_path}/m\n"
        assert said[2].startswith("pod default/new, container main: started")
        kubelet.send_signal(signal.SIGTERM)
        assert kubelet.communicate(timeout=30)[0] == ""
        assert kubelet.returncode == 0
        (container,) = V1(server.socket)("ListContainers").containers
        assert container.state == 1
