"""How calls end: with a servicer of our own, so that every way to end can be had."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from runtimes.errors import BadInput, CapacityExceeded, Refused
from shim.cri.calls import UnknownMethods, service_handler
from shim.cri.pb.runtime.v1 import api_pb2 as pb
from shim.cri.server import OPTIONS

SERVICE = pb.DESCRIPTOR.services_by_name["ImageService"]


class Servicer:
    """Each method does what a test puts in its place."""

    def __init__(self) -> None:
        self.image_status: Callable[[pb.ImageStatusRequest], Any] = lambda _: pb.ImageStatusResponse()
        self.stream_images: Callable[[pb.StreamImagesRequest], Any] = lambda _: []
        self.refused: Refused | None = None


class Client:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def unary(self, request: bytes = b"", method: str = "runtime.v1.ImageService/ImageStatus", **options: Any) -> Any:
        call: Any = self.channel.unary_unary(f"/{method}")
        return call(request, timeout=20, **options)

    def stream(self, method: str = "runtime.v1.ImageService/StreamImages") -> Any:
        call: Any = self.channel.unary_stream(f"/{method}")
        return call(b"", timeout=20)


@contextlib.asynccontextmanager
async def served(servicer: Servicer, directory: Path) -> AsyncIterator[Client]:
    server = grpc.aio.server(options=OPTIONS)
    without = frozenset(method.name for method in SERVICE.methods) - {"ImageStatus", "StreamImages"}
    handler = service_handler(SERVICE, servicer, without=without, gate=lambda _: servicer.refused)
    server.add_generic_rpc_handlers((handler, UnknownMethods([SERVICE.full_name])))
    server.add_insecure_port(f"unix:{directory}/a.sock")
    await server.start()
    options = [("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", 64 << 20)]
    async with grpc.aio.insecure_channel(f"unix:{directory}/a.sock", options=options) as channel:
        yield Client(channel)
    await server.stop(None)


def raising(error: Exception) -> Callable[[Any], Any]:
    def method(_: Any) -> Any:
        raise error

    return method


async def status(call: Any) -> tuple[grpc.StatusCode, str]:
    return await call.code(), await call.details()


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Refused("FAILED_PRECONDITION", 'no "x": not found'), grpc.StatusCode.FAILED_PRECONDITION, 'no "x": not found'),
        (Refused("UNKNOWN", "naïve ✓\nsecond line"), grpc.StatusCode.UNKNOWN, "naïve ✓\nsecond line"),
        (BadInput("is wrong", where="request"), grpc.StatusCode.INVALID_ARGUMENT, "request: is wrong"),
        (CapacityExceeded("full"), grpc.StatusCode.RESOURCE_EXHAUSTED, "full"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
async def test_an_error_that_is_meant_arrives_as_it_is(
    short_path: Path, error: Exception, code: grpc.StatusCode, text: str
) -> None:
    servicer = Servicer()
    servicer.image_status = servicer.stream_images = raising(error)
    async with served(servicer, short_path) as client:
        assert await status(client.unary()) == (code, text)
        assert await status(client.stream()) == (code, text)


async def test_a_bug_arrives_as_an_id(short_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    servicer = Servicer()
    servicer.image_status = servicer.stream_images = raising(KeyError("a secret of the program"))
    async with served(servicer, short_path) as client:
        for call in (client.unary(), client.stream()):
            code, text = await status(call)
            assert code is grpc.StatusCode.INTERNAL
            assert text.endswith("; the server's log explains it")
            assert text.partition(";")[0] in caplog.text
    assert caplog.text.count("KeyError: 'a secret of the program'") == 2


async def test_a_bug_halfway_through_a_stream_ends_it_as_well(short_path: Path) -> None:
    def half(_: Any) -> Iterator[bytes]:
        yield b"one"
        raise ZeroDivisionError

    servicer = Servicer()
    servicer.stream_images = half
    async with served(servicer, short_path) as client:
        call = client.stream()
        assert await call.read() == b"one"
        assert await call.code() is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x0a\x05abc", id="cut short"),
        pytest.param(b"\x0a\x04\x0a\x02\xff\xfe", id="text that is not UTF-8"),
        pytest.param(b"\xff" * 20, id="no protobuf at all"),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused_as_a_server_in_go_refuses_it(
    short_path: Path, data: bytes
) -> None:
    async with served(Servicer(), short_path) as client:
        code, text = await status(client.unary(data))
    assert code is grpc.StatusCode.INTERNAL
    assert text.startswith("grpc: error unmarshalling request: ")


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("runtime.v1.ImageService/Nonsense", "unknown method Nonsense for service runtime.v1.ImageService"),
        ("runtime.v1.ImageService/PullImage", "unknown method PullImage for service runtime.v1.ImageService"),
        ("runtime.v1beta1.ImageService/ListImages", "unknown service runtime.v1beta1.ImageService"),
    ],
)
async def test_what_nobody_serves(short_path: Path, method: str, text: str) -> None:
    async with served(Servicer(), short_path) as client:
        for call in (client.unary(method=method), client.stream(method=method)):
            assert await status(call) == (grpc.StatusCode.UNIMPLEMENTED, text)


async def test_the_gate_comes_before_the_request_is_read(short_path: Path) -> None:
    servicer = Servicer()
    servicer.refused = Refused("UNIMPLEMENTED", "not in this release")
    async with served(servicer, short_path) as client:
        for call in (client.unary(b"\xff"), client.stream()):
            assert await status(call) == (grpc.StatusCode.UNIMPLEMENTED, "not in this release")


async def test_an_answer_that_would_not_fit_is_a_sentence(short_path: Path) -> None:
    servicer = Servicer()
    servicer.image_status = lambda _: pb.ImageStatusResponse(info={"info": "x" * (16 << 20)})
    async with served(servicer, short_path) as client:
        code, text = await status(client.unary())
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    size = pb.ImageStatusResponse(info={"info": "x" * (16 << 20)}).ByteSize()
    assert text == f"the answer has {size} bytes, and one gRPC message holds 16 MiB"


async def test_a_request_of_just_under_16_mib_is_read_and_a_larger_one_refused(short_path: Path) -> None:
    servicer = Servicer()
    servicer.image_status = lambda request: pb.ImageStatusResponse(info={"length": str(len(request.image.image))})
    async with served(servicer, short_path) as client:
        fits = pb.ImageStatusRequest(image={"image": "x" * ((16 << 20) - 32)}).SerializeToString()
        answer = pb.ImageStatusResponse.FromString(await client.unary(fits))
        assert answer.info["length"] == str((16 << 20) - 32)
        code, _ = await status(client.unary(fits + b"\x10\x00" * 32))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_headers_that_are_too_large_are_refused(short_path: Path) -> None:
    async with served(Servicer(), short_path) as client:
        assert await client.unary(metadata=(("some", "x" * 8_000),)) == b""
        code, _ = await status(client.unary(metadata=(("some", "x" * 200_000),)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await client.unary() == b""


async def test_a_text_of_300_kb_reaches_a_client_whose_headers_are_limited(short_path: Path) -> None:
    servicer = Servicer()
    servicer.image_status = raising(Refused("UNKNOWN", f'name "{"x" * 300_000}" is reserved'))
    async with served(servicer, short_path) as client:
        code, text = await status(client.unary())
    assert code is grpc.StatusCode.UNKNOWN
    assert text.startswith('name "xxx')
    assert text.endswith('xxx" is reserved')


class Endless:
    """An asynchronous stream that waits for ever after its first answer."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.taken = 0

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        self.taken += 1
        if self.taken > 1:
            await asyncio.Event().wait()
        return b"one"

    def close(self) -> None:
        self.closed.set()


async def test_a_stream_is_closed_when_its_client_is_gone(short_path: Path) -> None:
    servicer, endless = Servicer(), Endless()
    servicer.stream_images = lambda _: endless
    async with served(servicer, short_path) as client:
        call = client.stream()
        assert await call.read() == b"one"
        assert not endless.closed.is_set()
        call.cancel()
        await asyncio.wait_for(endless.closed.wait(), 20)


async def test_one_line_a_call_at_debug(short_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "crishim.cri")
    servicer = Servicer()
    servicer.stream_images = raising(Refused("NOT_FOUND", "no"))
    async with served(servicer, short_path) as client:
        await client.unary()
        await client.stream().code()
    said = [{key: vars(record)[key] for key in ("method", "code")} for record in caplog.records]
    assert said == [
        {"method": "runtime.v1.ImageService/ImageStatus", "code": "OK"},
        {"method": "runtime.v1.ImageService/StreamImages", "code": "NOT_FOUND"},
    ]
    assert all(record.levelno == logging.DEBUG and vars(record)["ms"] >= 0 for record in caplog.records)
