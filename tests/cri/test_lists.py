"""A list answer is its items' chunks, to the byte what protobuf itself would send."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import CapacityExceeded
from runtimes.request import PodSandboxMetadata
from shim.cri import lists
from shim.cri.pb.runtime.v1 import api_pb2 as pb
from shim.engine.values import Sandbox

LISTS = [
    "ListContainerStatsResponse",
    "ListContainersResponse",
    "ListImagesResponse",
    "ListPodSandboxMetricsResponse",
    "ListPodSandboxResponse",
    "ListPodSandboxStatsResponse",
    "StreamContainerStatsResponse",
    "StreamContainersResponse",
    "StreamImagesResponse",
    "StreamPodSandboxMetricsResponse",
    "StreamPodSandboxStatsResponse",
    "StreamPodSandboxesResponse",
]


@pytest.mark.parametrize("name", LISTS)
def test_chunks_are_what_protobuf_sends_for_each_list(name: str) -> None:
    answer = GetMessageClass(pb.DESCRIPTOR.message_types_by_name[name])
    (field,) = answer.DESCRIPTOR.fields
    item: Any = field.message_type
    items = [GetMessageClass(item)() for _ in range(3)]
    expected = answer(**{field.name: items}).SerializeToString()
    assert lists.whole(map(lists.chunk, items), kind="things", stream="") == expected


SIZES = [0, 1, 124, 125, 126, 127, 128, 129, 16_379, 16_380, 16_381, 16_384, 2_097_152]


@given(st.lists(st.sampled_from(SIZES), max_size=5))
def test_lengths_are_encoded_as_protobuf_does(sizes: list[int]) -> None:
    items = [pb.Container(id="x" * size) for size in sizes]
    expected = pb.ListContainersResponse(containers=items).SerializeToString()
    assert lists.whole(map(lists.chunk, items), kind="containers", stream="") == expected


def test_a_list_that_fits_to_the_byte_is_sent_and_one_more_byte_is_not() -> None:
    half = b"x" * (lists.LARGEST_MESSAGE // 2)
    assert len(lists.whole([half, half], kind="sandboxes", stream="StreamPodSandboxes")) == lists.LARGEST_MESSAGE
    with pytest.raises(CapacityExceeded, match=r"list of sandboxes does not fit.* 2 were encoded.* StreamPodSandboxes"):
        lists.whole([half, half, b"x"], kind="sandboxes", stream="StreamPodSandboxes")


@pytest.mark.parametrize(
    ("items", "size", "batches"),
    [
        pytest.param(0, 10, [], id="nothing: not even an empty batch"),
        pytest.param(4000, 10, [4000], id="one full batch"),
        pytest.param(4001, 10, [4000, 1], id="one more"),
        pytest.param(9, 1 << 20, [4, 4, 1], id="large items fill a batch early"),
        pytest.param(2, 10 << 20, [1, 1], id="an item larger than a batch goes alone"),
    ],
)
def test_batches(items: int, size: int, batches: list[int]) -> None:
    made = list(lists.batches(b"x" * size for _ in range(items)))
    assert [len(each) // size for each in made] == batches


def test_batches_are_made_only_when_they_are_sent() -> None:
    taken = 0

    def chunks() -> Any:
        nonlocal taken
        for _ in range(100_000):
            taken += 1
            yield b"x"

    next(lists.batches(chunks()))
    assert taken == lists.BATCH_ITEMS + 1


def sandbox(number: int) -> Sandbox:
    return Sandbox(id=f"{number:064x}", metadata=PodSandboxMetadata(name=f"pod-{number}"))


def test_a_chunk_is_kept_until_its_record_is_replaced() -> None:
    encoded: list[str] = []

    def encode(record: Sandbox) -> pb.PodSandbox:
        encoded.append(record.id)
        return pb.PodSandbox(id=record.id, state=record.state)  # type: ignore[arg-type]

    cache = lists.ChunkCache[Sandbox](encode)
    one, two = sandbox(1), sandbox(2)
    stopped = Sandbox(id=one.id, metadata=one.metadata, state=1)
    first = list(cache.chunks([one, two], complete=True))
    assert list(cache.chunks([one, two], complete=True)) == first
    assert encoded == [one.id, two.id]
    assert list(cache.chunks([stopped, two], complete=True)) == [lists.chunk(encode(stopped)), first[1]]
    assert encoded == [one.id, two.id, one.id, one.id]


def test_what_is_gone_is_forgotten_by_a_complete_list_only() -> None:
    encoded: list[str] = []

    def encode(record: Sandbox) -> pb.PodSandbox:
        encoded.append(record.id)
        return pb.PodSandbox(id=record.id)

    cache = lists.ChunkCache[Sandbox](encode)
    one, two = sandbox(1), sandbox(2)
    for records, complete in (([one, two], True), ([one], False), ([one, two], True)):
        list(cache.chunks(records, complete=complete))
    assert encoded == [one.id, two.id]
    for records, complete in (([one], True), ([one, two], True)):
        list(cache.chunks(records, complete=complete))
    assert encoded == [one.id, two.id, two.id]
