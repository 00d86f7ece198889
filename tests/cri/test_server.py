"""What the server adds to the engine: the other services, lists of any length, events, and what it does not do."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from runtimes.errors import BadInput
from shim.cri import lists
from tests.cri.harness import V1, Client, V1Alpha2, container, pod, running

CRI = ["runtime.v1.ImageService", "runtime.v1.RuntimeService"]
OLD_CRI = ["runtime.v1alpha2.ImageService", "runtime.v1alpha2.RuntimeService"]
OURS = "shim.v1.NodeService"


def test_the_socket_is_for_its_owner_and_group_and_gone_afterwards(short_path: Path) -> None:
    path = short_path / "run" / "a b#%41.sock"
    with running(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(BadInput, match="another server is listening"), running(path):
            pass
        assert [each.name for each in path.parent.iterdir()] == ["a b#%41.sock", "a b#%41.sock.lock"]
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("service", ["", *CRI, *OLD_CRI, OURS])
def test_health(v1: Client, service: str) -> None:
    stub: Any = health_pb2_grpc.HealthStub(v1.channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def reflect(client: Client, **question: Any) -> Any:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=20)
    return answer


def test_reflection_lists_what_it_can_describe(v1: Client) -> None:
    services = [each.name for each in reflect(v1, list_services="").list_services_response.service]
    health, reflection = "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"
    assert sorted(services) == sorted([*CRI, OURS, health, reflection])
    for service in services:
        answer = reflect(v1, file_containing_symbol=service)
        assert answer.file_descriptor_response.file_descriptor_proto, service


@pytest.mark.parametrize(
    ("rpc", "fields"),
    [
        ("Exec", {"container_id": "x", "cmd": ["true"]}),
        ("Attach", {"container_id": "x"}),
        ("CheckpointPod", {"pod_sandbox_id": "x"}),
        ("RestorePod", {}),
    ],
)
def test_what_needs_a_process_says_so(v1: Client, rpc: str, fields: dict[str, Any]) -> None:
    code, text = v1.refusal(rpc, **fields)
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert text.startswith(f"crishim runs no processes yet: {rpc} ")


def test_what_needs_a_process_tells_what_exists_from_what_does_not(v1: Client) -> None:
    config = pod("no-process")
    sandbox = v1("RunPodSandbox", config=config).pod_sandbox_id
    v1("PullImage", image={"image": container()["image"]["image"]})
    made = v1("CreateContainer", pod_sandbox_id=sandbox, config=container(), sandbox_config=config).container_id
    for rpc, exists, missing in (
        ("ExecSync", {"container_id": made}, {"container_id": "f" * 64}),
        ("CheckpointContainer", {"container_id": made}, {"container_id": "f" * 64}),
        ("PortForward", {"pod_sandbox_id": sandbox}, {"pod_sandbox_id": "f" * 64}),
    ):
        assert v1.refusal(rpc, **exists)[1].startswith(f"crishim runs no processes yet: {rpc} ")
        assert not v1.refusal(rpc, **missing)[1].startswith("crishim")


OLD_NODE = "runtime: {name: containerd, version: 1.6.20}\nhost: {arch: amd64}\n"


def test_a_release_refuses_what_it_does_not_have_in_the_words_of_its_server(short_path: Path) -> None:
    with running(short_path / "a.sock", OLD_NODE):
        client = V1(short_path / "a.sock")
        for rpc in ("RuntimeConfig", "UpdatePodSandboxResources"):
            text = f"unknown method {rpc} for service runtime.v1.RuntimeService"
            assert client.refusal(rpc) == (grpc.StatusCode.UNIMPLEMENTED, text)
        # Always served, so that a list of any length can be had.
        assert list(client.stream("StreamContainers")) == []
        client.channel.close()


def test_a_release_that_serves_both_apis_names_the_one_it_was_asked_in(short_path: Path) -> None:
    with running(short_path / "a.sock", OLD_NODE):
        for kind, api in ((V1, "v1"), (V1Alpha2, "v1alpha2")):
            client = kind(short_path / "a.sock")
            assert client("Version").runtime_api_version == api
            client.channel.close()


def test_v1alpha2_has_what_it_had_and_no_more(socket: Path, v1: Client) -> None:
    old = V1Alpha2(socket)
    assert len(old.methods) == 29
    for rpc in sorted(v1.methods.keys() - old.methods.keys()):
        call: Any = old.channel.unary_unary(f"/runtime.v1alpha2.RuntimeService/{rpc}")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert caught.value.details() == f"unknown method {rpc} for service runtime.v1alpha2.RuntimeService"
    old.channel.close()


@pytest.mark.parametrize("name", ["x" * 300_000, "\x00\n\t", "é" * 1000, "名" * 300_000])
def test_odd_names_work_and_are_refused_in_a_sentence_when_taken(v1: Client, name: str) -> None:
    config = pod(name)
    sandbox = v1("RunPodSandbox", config=config).pod_sandbox_id
    assert v1("PodSandboxStatus", pod_sandbox_id=sandbox).status.metadata.name == name
    code, text = v1.refusal("RunPodSandbox", config=config)
    assert code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.FAILED_PRECONDITION)
    assert sandbox in text
    v1("RemovePodSandbox", pod_sandbox_id=sandbox)


def test_an_environment_that_is_not_utf_8_does_no_harm(v1: Client) -> None:
    config = pod("bytes")
    sandbox = v1("RunPodSandbox", config=config).pod_sandbox_id
    v1("PullImage", image=container()["image"])
    odd = container(envs=[{"key": "ODD", "value": b"a\xff\xfe"}])
    made = v1("CreateContainer", pod_sandbox_id=sandbox, config=odd, sandbox_config=config).container_id
    info = json.loads(v1("ContainerStatus", container_id=made, verbose=True).info["info"])
    assert info["runtimeSpec"]["linux"]["seccomp"]


def test_a_list_that_does_not_fit_names_the_rpc_that_streams_it(short_path: Path) -> None:
    annotations = {"a": "x" * (1 << 20)}
    with running(short_path / "a.sock"):
        client = V1(short_path / "a.sock")
        config = pod("large")
        sandbox = client("RunPodSandbox", config=config).pod_sandbox_id
        client("PullImage", image=container()["image"])
        made = [
            client(
                "CreateContainer",
                pod_sandbox_id=sandbox,
                config=container(f"c{number}", annotations=annotations),
                sandbox_config=config,
            ).container_id
            for number in range(17)
        ]
        for rpc, stream, field in (
            ("ListContainers", "StreamContainers", "containers"),
            ("ListContainerStats", "StreamContainerStats", "container_stats"),
        ):
            code, text = client.refusal(rpc)
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert f"call {stream}" in text
            batches = [getattr(answer, field) for answer in client.stream(stream)]
            found = [each.id if field == "containers" else each.attributes.id for batch in batches for each in batch]
            assert sorted(found) == sorted(made)
            assert len(batches) > 1
            assert all(sum(each.ByteSize() for each in batch) <= lists.BATCH_BYTES for batch in batches)
        assert len(client("ListContainers", filter={"id": made[0]}).containers) == 1
        client.channel.close()


def test_streams_give_what_lists_give(v1: Client) -> None:
    v1("PullImage", image=container()["image"])
    for number in range(3):
        config = pod(f"stream-{number}", labels={"n": str(number)})
        sandbox = v1("RunPodSandbox", config=config).pod_sandbox_id
        made = v1("CreateContainer", pod_sandbox_id=sandbox, config=container(), sandbox_config=config)
        v1("StartContainer", container_id=made.container_id)
    for rpc, stream, conditions in (
        ("ListPodSandbox", "StreamPodSandboxes", [{}, {"label_selector": {"n": "1"}}]),
        ("ListContainers", "StreamContainers", [{}, {"state": {"state": 1}}, {"id": "no-such-id"}]),
        ("ListContainerStats", "StreamContainerStats", [{}]),
        ("ListPodSandboxStats", "StreamPodSandboxStats", [{}]),
        ("ListImages", "StreamImages", [{}, {"image": {"image": "no-such-image"}}]),
    ):
        for condition in conditions:
            listed = identities([v1(rpc, filter=condition)])
            assert identities(v1.stream(stream, filter=condition)) == listed, (rpc, condition)
    assert identities(v1.stream("StreamPodSandboxMetrics")) == identities([v1("ListPodSandboxMetrics")])


def identities(answers: Iterable[Any]) -> list[Any]:
    """Return what the items of list answers are about: the first field of each."""
    items = [item for answer in answers for _, content in answer.ListFields() for item in content]
    return [item.ListFields()[0][1] for item in items]


def test_events_of_a_life(v1: Client) -> None:
    stream = v1.stream("GetContainerEvents")
    stream.initial_metadata()  # from here on nothing is missed
    config = pod("events")
    sandbox = v1("RunPodSandbox", config=config).pod_sandbox_id
    v1("PullImage", image=container()["image"])
    made = v1("CreateContainer", pod_sandbox_id=sandbox, config=container(), sandbox_config=config).container_id
    v1("StartContainer", container_id=made)
    v1("StopContainer", container_id=made)
    v1("RemoveContainer", container_id=made)
    v1("StopPodSandbox", pod_sandbox_id=sandbox)
    v1("RemovePodSandbox", pod_sandbox_id=sandbox)
    created, started, stopped, deleted = range(4)
    seen = []
    for event in stream:
        if event.container_id in (sandbox, made):
            seen.append((event.container_id, event.container_event_type))
            assert event.created_at > 0
        if seen[-1:] == [(sandbox, deleted)]:
            break
    stream.cancel()
    assert seen == [
        (sandbox, created),
        (sandbox, started),
        (made, created),
        (made, started),
        (made, stopped),
        (made, deleted),
        (sandbox, stopped),
        (sandbox, deleted),
    ]


def test_event_streams_end_when_the_server_stops(short_path: Path) -> None:
    with running(short_path / "a.sock"):
        client = V1(short_path / "a.sock")
        stream = client.stream("GetContainerEvents")
        stream.initial_metadata()
        before = time.monotonic()
    assert list(stream) == []
    assert stream.code() is grpc.StatusCode.OK
    assert time.monotonic() - before < 30
    client.channel.close()
