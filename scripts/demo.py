"""The main job, end to end: which seccomp section does each container of one pod really get, node by node?

One server is started on the built-in node. For each node of a small fleet it is told to stand for that node, and the
pod's containers go through RunPodSandbox, CreateContainer, StartContainer and ContainerStatus over its socket, by the
real crictl where one is on PATH (its commands are printed, to be repeated by hand), else by a few lines of gRPC.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from runtimes.errors import Refused
from shim.kubelet import manifest
from shim.nodefile import load, open_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.request import ContainerRequest, SandboxRequest

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
POD = ROOT / "examples/pods/shop.yaml"
FLEET = [ROOT / f"examples/nodes/{name}.yaml" for name in ("old-containerd", "new-containerd", "old-crio", "new-crio")]
CONFIGS = ROOT / ".demo"  # what crictl was given, to be used again
CRISHIM = str(Path(sys.executable).with_name("crishim"))


AGAIN = """
To repeat it by hand: start a server, then use the commands above; only the ids will differ.

  $ .venv/bin/crishim serve --listen unix:///tmp/crishim.sock --state :memory: &
  $ export CONTAINER_RUNTIME_ENDPOINT=unix:///tmp/crishim.sock
  $ .venv/bin/crishim node replace -f examples/nodes/new-crio.yaml --socket unix:///tmp/crishim.sock"""


class Client(Protocol):
    """The calls of a kubelet that the demo needs. Those that answer at all answer an id, or verbose info as JSON."""

    def pull(self, image: str) -> None: ...
    def run(self, sandbox: SandboxRequest) -> str: ...
    def create(self, sandbox_id: str, container: ContainerRequest, sandbox: SandboxRequest) -> str: ...
    def start(self, container_id: str) -> None: ...
    def inspect(self, container_id: str) -> dict[str, Any]: ...
    def remove(self, sandbox_id: str) -> None: ...


class Crictl:
    """The real client. Every command line is shown before it runs."""

    def __init__(self, binary: str, endpoint: str, folder: Path, console: Console) -> None:
        self.binary, self.endpoint, self.folder, self.console = binary, endpoint, folder, console
        self.serial = 0

    def pull(self, image: str) -> None:
        self._crictl("pull", image)

    def run(self, sandbox: SandboxRequest) -> str:
        return self._crictl("runp", self._file("pod", sandbox))

    def create(self, sandbox_id: str, container: ContainerRequest, sandbox: SandboxRequest) -> str:
        return self._crictl("create", sandbox_id[:13], self._file("container", container), self._file("pod", sandbox))

    def start(self, container_id: str) -> None:
        self._crictl("start", container_id[:13])

    def inspect(self, container_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._crictl("inspect", container_id[:13]))
        return answer["info"]  # type: ignore[no-any-return]

    def remove(self, sandbox_id: str) -> None:
        self._crictl("rmp", "--force", sandbox_id[:13])

    def _crictl(self, *arguments: str) -> str:
        self.console.print("  [dim]$ crictl " + " ".join(arguments) + "[/]", highlight=False, soft_wrap=True)
        command = [self.binary, "--timeout", "10s", "--runtime-endpoint", self.endpoint, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _file(self, kind: str, config: SandboxRequest | ContainerRequest) -> str:
        # Our values look as crictl wants its files: the CRI's own names, enums as numbers.
        self.serial += 1
        path = self.folder / f"{self.serial}-{kind}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(config)))
        return os.path.relpath(path)


class Grpc:
    """The same calls without crictl."""

    def __init__(self, endpoint: str) -> None:
        import grpc  # noqa: PLC0415  crictl, where it is there, needs none of this

        from shim.cri import translate  # noqa: PLC0415
        from shim.cri.pb.runtime.v1 import api_pb2  # noqa: PLC0415

        self.pb: Any = api_pb2
        self.write = translate.writer
        self.channel = grpc.insecure_channel(
            "unix:" + endpoint.removeprefix("unix://"), options=[("grpc.default_authority", "localhost")]
        )

    def pull(self, image: str) -> None:
        request = self.pb.PullImageRequest(image=self.pb.ImageSpec(image=image))
        self._call("PullImage", request, self.pb.PullImageResponse, service="ImageService")

    def run(self, sandbox: SandboxRequest) -> str:
        config = self.write(self.pb.PodSandboxConfig)(sandbox)
        answer = self._call("RunPodSandbox", self.pb.RunPodSandboxRequest(config=config), self.pb.RunPodSandboxResponse)
        return str(answer.pod_sandbox_id)

    def create(self, sandbox_id: str, container: ContainerRequest, sandbox: SandboxRequest) -> str:
        request = self.pb.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=self.write(self.pb.ContainerConfig)(container),
            sandbox_config=self.write(self.pb.PodSandboxConfig)(sandbox),
        )
        return str(self._call("CreateContainer", request, self.pb.CreateContainerResponse).container_id)

    def start(self, container_id: str) -> None:
        request = self.pb.StartContainerRequest(container_id=container_id)
        self._call("StartContainer", request, self.pb.StartContainerResponse)

    def inspect(self, container_id: str) -> dict[str, Any]:
        request = self.pb.ContainerStatusRequest(container_id=container_id, verbose=True)
        answer = self._call("ContainerStatus", request, self.pb.ContainerStatusResponse)
        info = dict(answer.info)
        return {**json.loads(info.pop("info")), **{key: json.loads(text) for key, text in info.items()}}

    def remove(self, sandbox_id: str) -> None:
        request = self.pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        self._call("RemovePodSandbox", request, self.pb.RemovePodSandboxResponse)

    def _call(self, method: str, request: Any, answer: Any, *, service: str = "RuntimeService") -> Any:
        rpc: Any = self.channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return rpc(request, timeout=10)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a server on the built-in node; its endpoint is the value."""
    endpoint = f"unix://{folder}/crishim.sock"
    command = [CRISHIM, "serve", "--listen", endpoint, "--state", ":memory:", "--log-level", "warning"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            sys.exit("the server did not start")
        yield endpoint
    finally:
        process.terminate()
        process.wait(10)


def kind(section: dict[str, Any] | None) -> str:
    """Say in a few words what a section does."""
    if not section:
        return "unconfined"
    rules = section.get("syscalls", [])
    names = {
        name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args") for name in rule["names"]
    }
    errno = {None: "EPERM", 1: "EPERM", 38: "ENOSYS"}.get(section.get("defaultErrnoRet"), "?")
    return f"{len(names)} syscalls allowed, else {errno}"


def play(client: Client, node_file: Path, logs: Path, table: Table) -> None:
    """Take the pod through one node."""
    document = load(str(node_file))
    requests = open_node(document).kubelet.requests(manifest.pods(POD.read_bytes(), str(POD))[0])
    # A kubelet would have the logs below /var/log/pods, which only root may write to.
    sandbox = msgspec.structs.replace(accepted(requests.sandbox), log_directory=str(logs))
    sandbox_id = client.run(sandbox)
    for plan in requests.containers:
        container = accepted(plan.request)
        client.pull(accepted(container.image).image)
        container_id = client.create(sandbox_id, container, sandbox)
        client.start(container_id)
        section = client.inspect(container_id)["runtimeSpec"]["linux"].get("seccomp")
        runtime = f"{document.runtime.name} {document.runtime.version}"
        setting = "on" if document.kubelet.seccomp_default else "off"
        table.add_row(str(document.kubelet.version), setting, runtime, plan.name, kind(section))
    client.remove(sandbox_id)
    table.add_section()


def accepted(request: T | Refused | None) -> T:
    """Return a request that no kubelet of the fleet refuses."""
    if request is None or isinstance(request, Refused):
        sys.exit(f"the pod of the demo is refused: {request}")
    return request


def main() -> None:
    """Run the fleet, print what each container got, and explain one decision."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    table = Table(
        "kubelet", "seccompDefault", "runtime", "container", "what it really got", title="One pod, four nodes"
    )
    with tempfile.TemporaryDirectory(prefix="crishim-demo-") as name, server(Path(name)) as endpoint:
        binary = shutil.which("crictl")
        CONFIGS.mkdir(exist_ok=True)
        client: Client = Crictl(binary, endpoint, CONFIGS, console) if binary else Grpc(endpoint)
        console.print(
            f"crishim serves {endpoint}" + ("" if binary else "; crictl is not on PATH, so gRPC is spoken directly"),
            soft_wrap=True,
        )
        for node_file in FLEET:
            command = [CRISHIM, "node", "replace", "-f", str(node_file), "--socket", endpoint]
            console.print(f"\n  [dim]$ crishim node replace -f {node_file.relative_to(ROOT)}[/]", soft_wrap=True)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            play(client, node_file, CONFIGS / "logs", table)
    console.print()
    console.print(table)
    why = ["explain", "-f", str(POD.relative_to(ROOT)), "--node", str(FLEET[1].relative_to(ROOT)), "--container", "web"]
    console.print(
        "\nWhy the container web got that on the second node:\n\n  [dim]$ crishim " + " ".join(why) + "[/]\n",
        soft_wrap=True,
    )
    sys.stdout.flush()
    subprocess.run([CRISHIM, *why], check=True, cwd=ROOT)
    if binary:
        console.print(AGAIN, soft_wrap=True)


if __name__ == "__main__":
    main()
