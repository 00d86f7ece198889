"""Calling a runtime over its socket: what `crishim kubelet` stands on.

A call is made in the version of the CRI that the caller says; v1alpha2 is v1 under another name, message for message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import grpc
from google.protobuf.message_factory import GetMessageClass

from shim.cri.lists import LARGEST_MESSAGE
from shim.cri.pb.runtime.v1 import api_pb2
from shim.cri.pb.shim.v1 import node_pb2
from shim.kubelet.handshake import Fault, Service

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

TIMEOUT = 120.0  # seconds: what a kubelet gives a call by default

Spoken = Service | Literal["node"]
"""The services of a socket: the CRI's two, and the one that is crishim's own (its API version is of no account)."""

_SERVICES = {"runtime": api_pb2, "image": api_pb2, "node": node_pb2}


class Connection(Protocol):
    """Something that can be called like a runtime: a socket, or an engine in this process (shim.cri.direct)."""

    def call(self, service: Spoken, api: str, method: str, request: Message | dict[str, Any] | None = None) -> Any:
        """Return the answer of a call, or the `Fault` that came instead. Fields may be given as a dict."""
        ...


def described(service: Spoken, method: str) -> MethodDescriptor:
    """Return the description of a method."""
    services = _SERVICES[service].DESCRIPTOR.services_by_name
    found: MethodDescriptor = services[f"{service.capitalize()}Service"].methods_by_name[method]
    return found


def message(description: MethodDescriptor, request: Message | dict[str, Any] | None) -> Message:
    """Return the request of a method, given as a message or by its fields."""
    if request is None or isinstance(request, dict):
        return GetMessageClass(description.input_type)(**(request or {}))
    return request


class Client:
    """A connection to a socket. Closed at the end of its context."""

    def __init__(self, path: str) -> None:
        options = [
            ("grpc.default_authority", "localhost"),
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
        ]
        self._channel = grpc.insecure_channel(f"unix:{path}", options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(self, service: Spoken, api: str, method: str, request: Message | dict[str, Any] | None = None) -> Any:
        """Return the answer of a call, or the `Fault` that came instead. Fields may be given as a dict."""
        description = described(service, method)
        asked = message(description, request)
        name = description.containing_service.full_name
        stub = self._channel.unary_unary(
            f"/{name if service == 'node' else name.replace('.v1.', f'.{api}.')}/{method}",
            request_serializer=type(asked).SerializeToString,
            response_deserializer=GetMessageClass(description.output_type).FromString,
        )
        try:
            return stub(asked, timeout=TIMEOUT)
        except grpc.RpcError as error:
            return Fault(error.code().name, error.details() or "")
