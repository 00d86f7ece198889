"""`crishim serve` as a process: how it starts, how it is stopped, and what a kill leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.cri.harness import NODE, SERVE, V1, Admin, Server, container, pod


@pytest.fixture
def place(short_path: Path) -> Path:
    (short_path / "node.yaml").write_text(NODE)
    return short_path


def failing(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run([*SERVE, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(place: Path, number: int) -> None:
    server = Server(place / "a.sock", "--node", place / "node.yaml", "--state", place / "state")
    url = f"unix://{place}/a.sock"
    assert server.greeting == f"crishim serves containerd 2.3.4 at {url}; try: crictl -r {url} version\n"
    assert server.socket.stat().st_mode & 0o777 == 0o660
    stream = V1(server.socket).stream("GetContainerEvents")
    stream.initial_metadata()
    server.stop(number)
    assert server.process.returncode == 0
    assert list(stream) == []
    assert sorted(each.name for each in place.iterdir()) == ["node.yaml", "state"]


def test_a_second_server_leaves_the_first_alone(place: Path) -> None:
    server = Server(place / "a.sock", "--node", place / "node.yaml", "--state", ":memory:")
    code, text = failing("--listen", place / "a.sock", "--state", ":memory:")
    assert (code, text.count("\n")) == (1, 1)
    assert text.startswith(f"crishim serve: --listen: another server is listening on {place}/a.sock")
    assert V1(server.socket)("Version").version == "0.1.0"
    server.stop()


def test_one_state_directory_has_one_server(place: Path) -> None:
    server = Server(place / "a.sock", "--node", place / "node.yaml", "--state", place / "state")
    code, text = failing("--listen", place / "b.sock", "--state", place / "state")
    assert (code, text.count("\n")) == (1, 1)
    assert str(place / "state") in text
    server.stop()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        pytest.param(["--listen", "tcp://1.2.3.4:5"], 1, "no unix socket", id="no unix socket"),
        pytest.param(["--listen", "/" + "x" * 107], 1, "Linux allows 107", id="a long path"),
        pytest.param(["--listen", "{place}/node.yaml"], 1, "a regular file, not a socket", id="a file at the path"),
        pytest.param(["--listen", "/proc/no/a.sock"], 1, "cannot listen on /proc/no/a.sock", id="no such directory"),
        pytest.param(["--state", "{place}/node.yaml/state"], 1, "node.yaml", id="a state directory below a file"),
        pytest.param(["--node", "{place}/none.yaml"], 2, "{place}/none.yaml", id="no node file"),
        pytest.param(["--node", "{place}/bad.yaml"], 2, "{place}/bad.yaml:2", id="a bad node file"),
        pytest.param(["--log-level", "loud"], 2, "loud", id="a bad option"),
    ],
)
def test_what_cannot_be_is_a_sentence(place: Path, arguments: list[str], code: int, complaint: str) -> None:
    (place / "bad.yaml").write_text("kubelet:\n  version: 1.2.3.4.5\n")
    given = [each.format(place=place) for each in arguments]
    defaults = [] if "--listen" in given else ["--listen", str(place / "a.sock")]
    defaults += [] if "--state" in given else ["--state", ":memory:"]
    found, text = failing(*given, *defaults)
    assert (found, "Traceback" in text) == (code, False)
    assert complaint.format(place=place) in text


def test_the_node_is_kept_and_a_node_file_wins(place: Path) -> None:
    options = ["--state", str(place / "state"), "--log-format", "json"]
    server = Server(place / "a.sock", "--node", place / "node.yaml", *options)
    Admin(server.socket)("Set", settings={"runtime.version": "1.6.20"})
    assert "takes the place" not in server.stop()
    server = Server(place / "a.sock", *options)
    assert "containerd 1.6.20" in server.greeting
    server.stop()
    server = Server(place / "a.sock", "--node", place / "node.yaml", *options)
    assert "containerd 2.3.4" in server.greeting
    entries = [json.loads(line) for line in server.stop().splitlines()]
    assert [each["node"] for each in entries if "takes the place" in each["message"]] == [str(place / "node.yaml")]


def test_a_call_is_one_line_of_json(place: Path) -> None:
    server = Server(place / "a.sock", "--state", ":memory:", "--log-level", "debug", "--node", place / "node.yaml")
    client = V1(server.socket)
    client("Version")
    client.refusal("ContainerStatus", container_id="none")
    entries = [json.loads(line) for line in server.stop().splitlines()]
    calls = [(each["method"], each["code"]) for each in entries if each["message"] == "call"]
    assert calls == [
        ("runtime.v1.RuntimeService/Version", "OK"),
        ("runtime.v1.RuntimeService/ContainerStatus", "NOT_FOUND"),
    ]
    assert all(each["level"] == "debug" and each["ms"] >= 0 for each in entries if each["message"] == "call")


def test_help_and_import_do_not_wait_for_grpc() -> None:
    code = "import shim.cli.serve, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"grpc", "google.protobuf", "sqlite3", "asyncio", "yaml"} & set(done.stdout.split())


class Load(threading.Thread):
    """Makes pods until the server is gone, and remembers what was acknowledged."""

    def __init__(self, socket: Path, name: str, enough: threading.Semaphore) -> None:
        super().__init__(name=name)
        self.socket, self.enough = socket, enough
        self.sandboxes: set[str] = set()
        self.created: dict[str, str] = {}  # container -> sandbox
        self.started: set[str] = set()
        self.removed: set[str] = set()

    def run(self) -> None:
        client = V1(self.socket)
        try:
            for number in range(100_000):
                self._pod(client, f"{self.name}-{number}", remove=number % 3 == 2)
                self.enough.release()
        except grpc.RpcError:
            pass
        finally:
            client.channel.close()

    def _pod(self, client: V1, name: str, *, remove: bool) -> None:
        config = pod(name)
        sandbox = client("RunPodSandbox", config=config).pod_sandbox_id
        self.sandboxes.add(sandbox)
        made = client("CreateContainer", pod_sandbox_id=sandbox, config=container(), sandbox_config=config).container_id
        self.created[made] = sandbox
        client("StartContainer", container_id=made)
        self.started.add(made)
        if remove:
            del self.created[made]  # from the request on it may be gone
            client("RemoveContainer", container_id=made)
            self.removed.add(made)


def everything(client: V1, ids: list[str]) -> dict[str, Any]:
    return {each: client("ContainerStatus", container_id=each, verbose=True) for each in ids}


def test_what_was_acknowledged_survives_kill_9_under_load(place: Path) -> None:
    arguments = ["--node", str(place / "node.yaml"), "--state", str(place / "state")]
    server = Server(place / "a.sock", *arguments)
    client = V1(server.socket)
    client("PullImage", image=container()["image"])
    config = pod("calm")
    sandbox = client("RunPodSandbox", config=config).pod_sandbox_id
    calm = client("CreateContainer", pod_sandbox_id=sandbox, config=container(), sandbox_config=config).container_id
    before = everything(client, [calm])
    client.channel.close()
    enough = threading.Semaphore(0)
    loads = [Load(server.socket, f"load-{number}", enough) for number in range(4)]
    for load in loads:
        load.start()
    for _ in range(60):
        assert enough.acquire(timeout=60)
    server.stop(signal.SIGKILL)
    for load in loads:
        load.join(60)

    server = Server(place / "a.sock", *arguments)  # over what the dead one left: socket, lock, write-ahead log
    client = V1(server.socket)
    sandboxes = {each.id: each.state for each in client("ListPodSandbox").items}
    containers = {each.id: each for each in client("ListContainers").containers}
    for load in loads:
        assert load.sandboxes <= sandboxes.keys()
        assert {made: containers[made].pod_sandbox_id for made in load.created} == load.created
        assert all(containers[made].state == 1 for made in load.started & load.created.keys())
        assert not load.removed & containers.keys()
    assert set(sandboxes.values()) == {0}
    assert everything(client, [calm]) == before
    assert len(client("ListImages").images) > 0
    # And it goes on from there: names are still taken, what runs can be stopped.
    assert sandbox in client.refusal("RunPodSandbox", config=config)[1]
    client("RemovePodSandbox", pod_sandbox_id=sandbox)
    assert client.refusal("ContainerStatus", container_id=calm)[0] is grpc.StatusCode.NOT_FOUND
    client.channel.close()
    server.stop()
