"""A server in this process for tests to ask, and the clients to ask it with."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from shim import nodefile
from shim.cri.gate import NOT_IN_V1ALPHA2
from shim.cri.pb.runtime.v1 import api_pb2
from shim.cri.pb.shim.v1 import node_pb2
from shim.cri.server import serving
from shim.engine.clock import SystemClock
from shim.engine.engine import Engine
from shim.engine.store import Store

# One release of each family, and an older one: all on one socket.
NODE = """
host: {arch: amd64, kernel: "6.18", seccomp: true, hostname: node-1}
kubelet: {version: 1.36.3, seccompDefault: true}
runtime: {name: containerd, version: 2.3.4}
handlers:
  crio-1.36: {name: cri-o, version: 1.36.3}
  containerd-1.6: {name: containerd, version: 1.6.20}
"""

IMAGE = "registry.k8s.io/e2e-test-images/busybox:1.29-2"


def pod(name: str, **more: Any) -> dict[str, Any]:
    """Return a PodSandboxConfig."""
    return {"metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}"}, **more}


def container(name: str = "main", **more: Any) -> dict[str, Any]:
    """Return a ContainerConfig."""
    return {"metadata": {"name": name}, "image": {"image": IMAGE}, **more}


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """Make a directory for sockets: pytest's own are too deep for the 107 bytes of a socket's path."""
    with tempfile.TemporaryDirectory(prefix="cri-", dir="/tmp") as directory:
        yield Path(directory)


def v1alpha2_file() -> Any:
    """Return the file descriptor of v1alpha2 as a client of then has it: v1 by another name, less what came later."""
    file = FileDescriptorProto()
    api_pb2.DESCRIPTOR.CopyToProto(file)
    text = str(file).replace("runtime.v1.", "runtime.v1alpha2.").replace('runtime.v1"', 'runtime.v1alpha2"')
    old = text_format.Parse(text.replace("/v1/", "/v1alpha2/"), FileDescriptorProto())
    for service in old.service:
        kept = [method for method in service.method if method.name not in NOT_IN_V1ALPHA2]
        del service.method[:]
        service.method.extend(kept)
    pool = DescriptorPool()
    pool.Add(old)
    return pool.FindFileByName(old.name)


class Client:
    """Calls RPCs by name with keyword arguments: `client("StopContainer", container_id="...", timeout=1)`."""

    def __init__(self, socket: Path, *files: Any) -> None:
        # C core clients send the path as the authority otherwise, which a path with odd characters is not.
        options = [("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", 16 << 20)]
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=options)
        services = [service for file in files for service in file.services_by_name.values()]
        self.methods = {method.name: method for service in services for method in service.methods}

    def __call__(self, rpc: str, **fields: Any) -> Any:
        return self._callable(rpc, self.channel.unary_unary)(self.request(rpc, **fields), timeout=30)

    def stream(self, rpc: str, **fields: Any) -> Any:
        return self._callable(rpc, self.channel.unary_stream)(self.request(rpc, **fields), timeout=60)

    def request(self, rpc: str, **fields: Any) -> Any:
        return GetMessageClass(self.methods[rpc].input_type)(**fields)

    def refusal(self, rpc: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        """Return the status of a call that must fail."""
        try:
            answer = self(rpc, **fields)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        raise AssertionError(f"{rpc} answered {answer}")

    def _callable(self, rpc: str, kind: Any) -> Any:
        method = self.methods[rpc]
        answer = GetMessageClass(method.output_type)
        name = f"/{method.containing_service.full_name}/{rpc}"
        return kind(
            name,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=answer.FromString,
        )


class V1(Client):
    def __init__(self, socket: Path) -> None:
        super().__init__(socket, api_pb2.DESCRIPTOR)


class V1Alpha2(Client):
    def __init__(self, socket: Path) -> None:
        super().__init__(socket, v1alpha2_file())


class Admin(Client):
    def __init__(self, socket: Path) -> None:
        super().__init__(socket, node_pb2.DESCRIPTOR)


@contextlib.contextmanager
def running(socket: Path, node: str = NODE, state: str | Path = ":memory:") -> Iterator[Engine]:
    """Serve a node from a thread of its own. Its engine may be looked at, not touched."""
    started: Future[tuple[Engine, Callable[[], object]]] = Future()

    async def serve() -> None:
        engine = Engine(nodefile.open_node(nodefile.loads(node)), Store.open(state), SystemClock())
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            async with serving(engine, socket):
                started.set_result((engine, lambda: loop.call_soon_threadsafe(stop.set)))
                await stop.wait()
        finally:
            engine.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:  # noqa: BLE001  for whoever waits
            started.set_exception(error)

    thread = threading.Thread(target=run, name="server")
    thread.start()
    engine, stop = started.result()
    try:
        yield engine
    finally:
        stop()
        thread.join(30)


SERVE = [sys.executable, "-m", "shim.cli.main", "serve"]


class Server:
    """A server process that is ready, until it is stopped or its context ends."""

    def __init__(self, socket: Path, *arguments: str | Path) -> None:
        self.socket = socket
        words = [*SERVE, "--listen", f"unix://{socket}", *map(str, arguments)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.greeting = self.process.stdout.readline()
        if not self.greeting:
            raise AssertionError(self.process.communicate())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Send a signal, wait for the end and return what was logged; nothing if that was done before."""
        if self.process.returncode is not None:
            return ""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=60)
        return log
