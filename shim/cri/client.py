"""Calling a runtime over its socket: what `crishim kubelet` stands on.

A call is made in the version of the CRI that the caller says; v1alpha2 is v1 under another name, message for message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import grpc
from google.protobuf.message_factory import GetMessageClass

from shim.cri.lists import LARGEST_MESSAGE
from shim.cri.pb.runtime.v1 import api_pb2
from shim.kubelet.handshake import Fault

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from shim.kubelet.handshake import Service

_SERVICES = {"runtime": "RuntimeService", "image": "ImageService"}
TIMEOUT = 120.0  # seconds: what a kubelet gives a call by default


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

    def call(self, service: Service, api: str, method: str, request: Message | dict[str, Any] | None = None) -> Any:
        """Return the answer of a call, or the `Fault` that came instead. Fields may be given as a dict."""
        name = _SERVICES[service]
        described = api_pb2.DESCRIPTOR.services_by_name[name].methods_by_name[method]
        if request is None or isinstance(request, dict):
            request = GetMessageClass(described.input_type)(**(request or {}))
        stub = self._channel.unary_unary(
            f"/runtime.{api}.{name}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        try:
            return stub(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            return Fault(error.code().name, error.details() or "")
