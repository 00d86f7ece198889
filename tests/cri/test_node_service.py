"""The admin service: what it shows, what it changes, and what stays as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.cri.harness import V1, Admin, Client, container, pod, running

BAD = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def clients(short_path: Path) -> Iterator[tuple[Client, Client]]:
    path = short_path / "a.sock"
    with running(path):
        admin, cri = Admin(path), V1(path)
        yield admin, cri
        admin.channel.close()
        cri.channel.close()


def seccomp(client: Client, container_id: str) -> Any:
    info = client("ContainerStatus", container_id=container_id, verbose=True).info["info"]
    return json.loads(info)["runtimeSpec"]["linux"].get("seccomp")


def create(client: Client, name: str) -> str:
    config = pod(name)
    client("PullImage", image=container()["image"])
    sandbox = client("RunPodSandbox", config=config).pod_sandbox_id
    made = client("CreateContainer", pod_sandbox_id=sandbox, config=container(), sandbox_config=config)
    return str(made.container_id)


def test_show_gives_the_node_with_its_defaults_as_yaml_and_json(clients: tuple[Client, Client]) -> None:
    admin, _ = clients
    shown = admin("Show")
    document = json.loads(shown.node_json)
    assert (document["runtime"]["name"], document["runtime"]["version"]) == ("containerd", "2.3.4")
    assert document["kubelet"]["step"] == "apply"  # nobody said so
    assert list(document) == ["host", "kubelet", "runtime", "handlers"]
    # What is shown can be given back, and changes nothing.
    assert admin("Replace", node_yaml=shown.node_yaml).changes == []
    assert admin("Show") == shown


def test_a_change_is_for_what_is_created_from_now_on(clients: tuple[Client, Client]) -> None:
    admin, cri = clients
    before = create(cri, "before")
    section = seccomp(cri, before)
    assert section
    answer = admin("Set", settings={"kubelet.seccompDefault": "false", "runtime.version": "1.6.20"})
    assert sorted(answer.changes) == ["kubelet.seccompDefault: true -> false", "runtime.version: 2.3.4 -> 1.6.20"]
    assert json.loads(admin("Show").node_json)["runtime"]["version"] == "1.6.20"
    assert cri("Version").runtime_version.lstrip("v") == "1.6.20"
    assert seccomp(cri, create(cri, "after")) is None
    assert seccomp(cri, before) == section


def test_a_dry_run_answers_as_if_and_changes_nothing(clients: tuple[Client, Client]) -> None:
    admin, cri = clients
    shown = admin("Show")
    answer = admin("Set", settings={"runtime.version": "1.6.20"}, dry_run=True)
    assert answer.changes == ["runtime.version: 2.3.4 -> 1.6.20"]
    assert json.loads(answer.node_json)["runtime"]["version"] == "1.6.20"
    answer = admin("Replace", node_yaml="runtime: {name: cri-o, version: 1.36.3}", dry_run=True)
    assert "runtime.name: containerd -> cri-o" in answer.changes
    assert admin("Show") == shown
    assert cri("Version").runtime_name == "containerd"


@pytest.mark.parametrize(
    ("rpc", "fields", "complaints"),
    [
        pytest.param("Set", {"settings": {"runtime.version": "0.0.1"}}, ["runtime.version", "0.0.1"], id="release"),
        pytest.param("Set", {"settings": {"kubelet.colour": "red"}}, ["kubelet.colour"], id="setting"),
        pytest.param("Set", {"settings": {"host.kernel": "["}}, ["host.kernel"], id="no YAML"),
        pytest.param(
            "Replace",
            {"node_yaml": "kubelet:\n  seccompDefault: maybe\n", "origin": "my.yaml"},
            ["my.yaml:2", "kubelet.seccompDefault"],
            id="file, line and field",
        ),
        pytest.param("Replace", {"node_yaml": ""}, ["node document"], id="an empty document"),
        pytest.param(
            "Replace", {"node_yaml": "host: {root: /no/such/place}\n"}, ["host.root", "/no/such/place"], id="a root"
        ),
        pytest.param("Replace", {"node_yaml": "runtime: {name: rkt}"}, ["runtime.name", "rkt"], id="a runtime"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    clients: tuple[Client, Client], rpc: str, fields: dict[str, Any], complaints: list[str]
) -> None:
    admin, _ = clients
    shown = admin("Show")
    code, text = admin.refusal(rpc, **fields)
    assert code is BAD
    assert all(each in text for each in complaints), text
    assert admin("Show") == shown


def test_all_settings_or_none(clients: tuple[Client, Client]) -> None:
    admin, _ = clients
    shown = admin("Show")
    assert admin.refusal("Set", settings={"kubelet.seccompDefault": "false", "runtime.version": "nonsense"})[0] is BAD
    assert admin("Show") == shown
