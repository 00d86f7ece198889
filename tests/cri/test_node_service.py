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
    assert list(document) == ["host", "kubelet", "runtime", "handlers", "images"]
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


# --- what a runtime's own files say, and when it counts


@pytest.fixture
def crio(clients: tuple[Client, Client], tmp_path: Path) -> tuple[Client, Client, Path]:
    """Return the clients of a node with CRI-O, and its crio.conf, which names a profile with a single rule, "first"."""
    config = tmp_path / "crio.conf"
    write(config, "first")
    admin, cri = clients
    admin("Replace", node_yaml=f"{{runtime: {{name: cri-o, version: 1.36.3, config: file://{config}}}}}")
    return admin, cri, config


def write(config: Path, *names: str) -> None:
    """Have crio.conf name a profile for each of the names; the last one counts."""
    for name in names:
        rule = {"names": [name], "action": "SCMP_ACT_ALLOW"}
        path = config.with_name(f"{name}.json")
        path.write_text(json.dumps({"defaultAction": "SCMP_ACT_LOG", "syscalls": [rule]}))
        config.write_text(f'[crio.runtime]\nseccomp_profile = "{path}"\npids_limit = 7\n')


def gets(cri: Client, name: str) -> str:
    """Return the one syscall that the section of a new container names."""
    config, asked = pod(name), container()
    asked["linux"] = {"security_context": {"seccomp": {"profile_type": 0}}}
    cri("PullImage", image=asked["image"])
    sandbox = cri("RunPodSandbox", config=config).pod_sandbox_id
    made = cri("CreateContainer", pod_sandbox_id=sandbox, config=asked, sandbox_config=config).container_id
    names = seccomp(cri, made)["syscalls"][0]["names"]
    return str(names[0] if len(names) == 1 else "internal")


def test_a_file_counts_from_a_reload_on(crio: tuple[Client, Client, Path]) -> None:
    admin, cri, config = crio
    assert gets(cri, "a") == "first"
    write(config, "second")
    admin("Set", settings={"kubelet.seccompDefault": "true"})  # no business of the runtime's
    assert gets(cri, "b") == "first"
    answer = admin("Reload")
    assert any("seccomp_profile: " in line for line in answer.effects)
    assert all(line.startswith("runtime (cri-o 1.36.3): ") for line in (*answer.effects, *answer.warnings))
    assert gets(cri, "c") == "second"


def test_a_restart_starts_with_everything_as_it_is_now(crio: tuple[Client, Client, Path]) -> None:
    admin, cri, config = crio
    write(config, "second")
    assert list(admin("Restart").effects) == ["runtime (cri-o 1.36.3): started"]
    assert gets(cri, "a") == "second"


def test_a_reload_loses_flags_and_a_restart_brings_them_back(crio: tuple[Client, Client, Path]) -> None:
    admin, cri, config = crio
    write(config, "flag", "file")
    admin("Set", settings={"runtime.flags": f"[--seccomp-profile={config.with_name('flag.json')}]"})
    assert gets(cri, "a") == "flag"
    assert any("--seccomp-profile" in line and "lost" in line for line in admin("Reload").warnings)
    assert gets(cri, "b") == "file"
    admin("Restart")
    assert gets(cri, "c") == "flag"


def test_a_setting_can_wait_for_the_reload(crio: tuple[Client, Client, Path]) -> None:
    admin, cri, config = crio
    other = config.with_name("other.conf")
    write(other, "other")
    other.write_text(other.read_text().replace("pids_limit = 7", "pids_limit = 8"))
    answer = admin("Set", settings={"runtime.config": f"file://{other}"}, keep_running=True)
    assert any(line.startswith("runtime.config: ") for line in answer.changes)
    assert gets(cri, "a") == "first"
    assert any("pids_limit stays 7" in line for line in admin("Reload").warnings)
    assert gets(cri, "b") == "other"
    with pytest.raises(grpc.RpcError, match="another release or handler is another daemon"):
        admin("Set", settings={"runtime.version": "1.24.6"}, keep_running=True)


def test_containerd_does_not_reload_and_takes_no_flags(clients: tuple[Client, Client]) -> None:
    admin, _ = clients
    assert "has to be restarted" in admin("Reload").effects[0]
    with pytest.raises(grpc.RpcError, match="nothing that containerd takes there has a say"):
        admin("Set", settings={"runtime.flags": "[--log-level=debug]"})


def test_a_daemon_that_refuses_to_start_leaves_the_old_one(crio: tuple[Client, Client, Path]) -> None:
    admin, cri, config = crio
    config.write_text("[crio.runtime]\nseccomp_profile = 1\n")
    assert "Unable to reload configuration" in admin("Reload").warnings[0]
    with pytest.raises(grpc.RpcError):
        admin("Restart")
    assert gets(cri, "a") == "first"
