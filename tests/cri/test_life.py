"""A pod's whole life over the wire, as a client of today and one of 2019 live it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.cri.harness import IMAGE, V1, Client, V1Alpha2, container, pod


@pytest.fixture(params=[V1, V1Alpha2], ids=["v1", "v1alpha2"])
def client(request: pytest.FixtureRequest, socket: Path) -> Iterator[Client]:
    made = request.param(socket)
    yield made
    made.channel.close()


def test_a_whole_life(client: Client, tmp_path: Path) -> None:
    api = type(client).__name__.lower()
    version = client("Version", version=api)
    assert (version.version, version.runtime_name, version.runtime_version.lstrip("v")) == (
        "0.1.0",
        "containerd",
        "2.3.4",
    )
    assert {each.type for each in client("Status").status.conditions} >= {"RuntimeReady", "NetworkReady"}
    assert client("ImageFsInfo").image_filesystems[0].fs_id.mountpoint

    assert not client("ImageStatus", image={"image": f"{IMAGE}-{api}"}).HasField("image")
    reference = client("PullImage", image={"image": f"{IMAGE}-{api}"}).image_ref
    assert client("ImageStatus", image={"image": reference}).image.repo_tags == [f"{IMAGE}-{api}"]

    config = pod(f"life-{api}", log_directory=str(tmp_path), labels={"life": api})
    sandbox = client("RunPodSandbox", config=config).pod_sandbox_id
    status = client("PodSandboxStatus", pod_sandbox_id=sandbox[:8], verbose=True)
    assert status.status.state == 0
    assert status.status.network.ip
    assert "runtimeSpec" in json.loads(status.info["info"])

    made = client(
        "CreateContainer",
        pod_sandbox_id=sandbox[:12],
        config=container(image={"image": reference}, log_path="main/0.log", labels={"life": api}),
        sandbox_config=config,
    ).container_id
    assert client("ContainerStatus", container_id=made).status.state == 0
    client("StartContainer", container_id=made[:12])
    seen = client("ContainerStatus", container_id=made[:8], verbose=True)
    assert (seen.status.state, seen.status.log_path) == (1, f"{tmp_path}/main/0.log")
    assert json.loads(seen.info["info"])["runtimeSpec"]["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"

    listed = client("ListContainers", filter={"pod_sandbox_id": sandbox[:10], "state": {"state": 1}}).containers
    assert [each.id for each in listed] == [made]
    assert client("ListContainers", filter={"label_selector": {"life": api}, "state": {"state": 0}}).containers == []
    assert [each.id for each in client("ListPodSandbox", filter={"label_selector": {"life": api}}).items] == [sandbox]

    first, second = (client("ContainerStats", container_id=made).stats.cpu for _ in range(2))
    assert second.timestamp > first.timestamp > 0
    assert [each.attributes.id for each in client("ListContainerStats", filter={"id": made[:9]}).stats] == [made]
    assert client("PodSandboxStats", pod_sandbox_id=sandbox).stats.attributes.id == sandbox
    assert [each.attributes.id for each in client("ListPodSandboxStats", filter={"id": sandbox}).stats] == [sandbox]

    client("UpdateContainerResources", container_id=made, linux={"cpu_shares": 512})
    assert client("ContainerStatus", container_id=made).status.resources.linux.cpu_shares == 512
    (tmp_path / "main/0.log").rename(tmp_path / "main/0.log.1")
    client("ReopenContainerLog", container_id=made)
    assert (tmp_path / "main/0.log").exists()
    client("UpdateRuntimeConfig", runtime_config={"network_config": {"pod_cidr": "10.88.0.0/16"}})

    for _ in range(2):
        client("StopContainer", container_id=made, timeout=1)
    ended = client("ContainerStatus", container_id=made).status
    assert (ended.state, ended.finished_at > ended.started_at > 0) == (2, True)
    for rpc, field, value in (
        ("RemoveContainer", "container_id", made),
        ("StopPodSandbox", "pod_sandbox_id", sandbox),
        ("RemovePodSandbox", "pod_sandbox_id", sandbox),
    ):
        for _ in range(2):
            client(rpc, **{field: value})
    for rpc, field, value in (
        ("ContainerStatus", "container_id", made),
        ("PodSandboxStatus", "pod_sandbox_id", sandbox),
    ):
        assert client.refusal(rpc, **{field: value})[0] is grpc.StatusCode.NOT_FOUND
    for _ in range(2):
        client("RemoveImage", image={"image": reference})
    assert [each.id for each in client("ListImages").images if each.id == reference] == []


def test_what_only_v1_has(v1: Client) -> None:
    assert v1("RuntimeConfig").linux.cgroup_driver in (0, 1)
    names = {each.name for each in v1("ListMetricDescriptors").descriptors}
    sandbox = v1("RunPodSandbox", config=pod("v1-only")).pod_sandbox_id
    (metrics,) = (each for each in v1("ListPodSandboxMetrics").pod_metrics if each.pod_sandbox_id == sandbox)
    assert {each.name for each in metrics.metrics} <= names
    v1("UpdatePodSandboxResources", pod_sandbox_id=sandbox, resources={"cpu_shares": 512}, overhead={})
    code, _ = v1.refusal("UpdatePodSandboxResources", pod_sandbox_id="f" * 64)
    assert code is not grpc.StatusCode.UNIMPLEMENTED
