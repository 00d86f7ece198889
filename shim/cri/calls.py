"""How a call is served, whatever it asks: decoded, handed to a method, encoded, measured, logged, ended.

A *servicer* is an object with one method an RPC, in snake case: `ListContainers` is `list_containers(request)`. A unary
method returns a message, or its encoding. A streaming one returns an iterable of those, or an asynchronous one; either
is closed at the end if it has a `close`. What a method raises ends the call as `errors.failure` says: grpc never sees
an exception of ours.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from runtimes.errors import CapacityExceeded, Refused
from shim.cri.errors import failure
from shim.cri.lists import LARGEST_MESSAGE

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

Answer: TypeAlias = Message | bytes
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Gate: TypeAlias = Callable[[str], Refused | None]

log = logging.getLogger("crishim.cri")


def service_handler(
    service: ServiceDescriptor, servicer: object, *, name: str = "", without: frozenset[str] = frozenset(), gate: Gate
) -> grpc.GenericRpcHandler:
    """Return the handler for every method of a service but those in `without`, under its own or another name.

    `gate` is asked before each call, by the name of its RPC, whether to refuse it.
    """
    name = name or service.full_name
    handlers = {
        method.name: _method_handler(method, getattr(servicer, snake_case(method.name)), f"{name}/{method.name}", gate)
        for method in service.methods
        if method.name not in without
    }
    return grpc.method_handlers_generic_handler(name, handlers)


class UnknownMethods(grpc.GenericRpcHandler):
    """Answers, after all others, what nobody serves, in the words of a server written in Go.

    Clients fall back on the code; people, and some clients, on the text.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(services)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Return a handler that refuses."""
        service, _, method = handler_call_details.method.lstrip("/").rpartition("/")
        known = service in self._services
        text = f"unknown method {method} for service {service}" if known else f"unknown service {service}"

        async def refuse(_: bytes, context: Context) -> bytes:
            return await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

        return grpc.unary_unary_rpc_method_handler(refuse)


def snake_case(name: str) -> str:
    """Return how a servicer spells a method."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _method_handler(
    method: MethodDescriptor, serve: Callable[[Any], Any], name: str, gate: Gate
) -> grpc.RpcMethodHandler[Any, Any]:
    """Return a handler that gets and gives bytes, so that what cannot be decoded or sent is our affair too."""
    request_class = GetMessageClass(method.input_type)

    def begin(data: bytes) -> Any:
        if refused := gate(method.name):
            raise refused
        return serve(_decoded(request_class, data))

    async def unary(data: bytes, context: Context) -> bytes:
        async with _ending(name, context):
            return _encoded(begin(data))

    async def stream(data: bytes, context: Context) -> None:
        async with _ending(name, context):
            answers = begin(data)
            try:
                await context.send_initial_metadata(())  # the client may count on it: from here on it misses nothing
                async for answer in _iterated(answers):
                    await context.write(_encoded(answer))
            finally:
                if hasattr(answers, "close"):
                    answers.close()

    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(stream)
    return grpc.unary_unary_rpc_method_handler(unary)


@contextlib.asynccontextmanager
async def _ending(name: str, context: Context) -> AsyncIterator[None]:
    """Turn what is raised within into a status, and write the one line that a call gets in the log."""
    started = time.perf_counter()
    code = grpc.StatusCode.CANCELLED
    try:
        try:
            yield
            code = grpc.StatusCode.OK
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets a status
            code, text = failure(error, name)
            await context.abort(code, text)
    finally:
        if log.isEnabledFor(logging.DEBUG):
            took = round((time.perf_counter() - started) * 1000, 3)
            log.debug("call", extra={"method": name, "code": code.name, "ms": took})


def _decoded(request_class: type[Message], data: bytes) -> Message:
    try:
        return request_class.FromString(data)
    except DecodeError as error:
        raise Refused("INTERNAL", f"grpc: error unmarshalling request: {error}", where="api") from error


def _encoded(answer: Answer) -> bytes:
    data = answer if isinstance(answer, bytes) else answer.SerializeToString()
    if len(data) > LARGEST_MESSAGE:
        raise CapacityExceeded(
            f"the answer has {len(data)} bytes, and one gRPC message holds {LARGEST_MESSAGE >> 20} MiB"
        )
    return data


async def _iterated(answers: Iterable[Answer] | AsyncIterable[Answer]) -> AsyncIterator[Answer]:
    if isinstance(answers, AsyncIterable):
        async for answer in answers:
            yield answer
    else:
        for answer in answers:
            yield answer
