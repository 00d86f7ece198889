"""The server: every service on one unix socket.

    runtime.v1.RuntimeService, runtime.v1.ImageService                the CRI
    runtime.v1alpha2.RuntimeService, runtime.v1alpha2.ImageService    the same, for kubelets and crictls before 1.24
    shim.v1.NodeService                                               crishim's own: show and change the node
    grpc.health.v1.Health, grpc.reflection.v1alpha.ServerReflection   for tools

v1alpha2 is v1 under another name up to kubelet 1.25, message for message and number for number, so the same handlers
answer. It is served whatever release is modelled: a node of today can be asked by a crictl of then.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runtimes.errors import BadInput
from shim.cri import sockets
from shim.cri.calls import UnknownMethods, service_handler
from shim.cri.gate import NOT_IN_V1ALPHA2, ReleaseGate
from shim.cri.image_service import ImageService
from shim.cri.lists import LARGEST_MESSAGE
from shim.cri.node_service import NodeService
from shim.cri.pb.runtime.v1 import api_pb2
from shim.cri.pb.shim.v1 import node_pb2
from shim.cri.runtime_service import RuntimeService

if TYPE_CHECKING:
    from shim.engine.engine import Engine

V1_SERVICES = api_pb2.DESCRIPTOR.services_by_name
NODE_SERVICE = node_pb2.DESCRIPTOR.services_by_name["NodeService"]

OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    # Of a request's headers: refused in any case beyond the second, perhaps beyond the first.
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.absolute_max_metadata_size", 64 * 1024),
    # A client that pings often is not worth hanging up on, over a unix socket.
    ("grpc.http2.max_ping_strikes", 0),
)

GRACE_SECONDS = 2.0  # for calls that are under way when the server stops

log = logging.getLogger("crishim.cri")


@contextlib.asynccontextmanager
async def serving(engine: Engine, path: Path) -> AsyncIterator[None]:
    """Serve an engine at a socket path for as long as the context lasts. Raises `BadInput` where that cannot be."""
    with sockets.reserved(path):
        server = grpc.aio.server(options=OPTIONS)
        runtime_services = [RuntimeService(engine, api) for api in ("v1", "v1alpha2")]
        names = _add_services(server, engine, runtime_services)
        status = await _add_health(server, names)
        served = [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        # Tools ask for the schema of every name they are told, and v1alpha2 has none of its own.
        reflection.enable_server_reflection([name for name in served if "v1alpha2" not in name], server)
        server.add_generic_rpc_handlers((UnknownMethods(served),))
        _bind(server, path)
        await server.start()
        try:
            yield
        finally:
            await status.enter_graceful_shutdown()
            for service in runtime_services:
                service.close()
            await server.stop(GRACE_SECONDS)


def _add_services(server: grpc.aio.Server, engine: Engine, runtime_services: list[RuntimeService]) -> list[str]:
    """Add the CRI in both versions and the admin service; return their names."""
    runtime, image = V1_SERVICES["RuntimeService"], V1_SERVICES["ImageService"]
    v1, v1alpha2 = runtime_services
    images = ImageService(engine)
    handlers, names = [], []
    for service, servicer, package, without in (
        (runtime, v1, "runtime.v1", frozenset[str]()),
        (image, images, "runtime.v1", frozenset[str]()),
        (runtime, v1alpha2, "runtime.v1alpha2", NOT_IN_V1ALPHA2),
        (image, images, "runtime.v1alpha2", NOT_IN_V1ALPHA2),
    ):
        name = f"{package}.{service.name}"
        gate = ReleaseGate(engine, package)
        handlers.append(service_handler(service, servicer, name=name, without=without, gate=gate))
        names.append(name)
    handlers.append(service_handler(NODE_SERVICE, NodeService(engine), gate=lambda _: None))
    server.add_generic_rpc_handlers(tuple(handlers))
    return [*names, NODE_SERVICE.full_name]


async def _add_health(server: grpc.aio.Server, names: list[str]) -> health.aio.HealthServicer:
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in ("", *names):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return servicer


def _bind(server: grpc.aio.Server, path: Path) -> None:
    try:
        with sockets.owner_and_group_only():
            server.add_insecure_port(f"unix:{quote(str(path))}")
        path.chmod(sockets.SOCKET_MODE)
    except (RuntimeError, OSError) as error:
        raise BadInput(f"cannot listen on {path}: {error}", where=sockets.WHERE) from error
