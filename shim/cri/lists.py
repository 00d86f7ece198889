"""Answers that are lists, put together from items that are encoded one by one.

Every list answer of the CRI, unary or streamed, is one repeated message field with number 1. On the wire that is a run
of chunks, each a tag, a length and an encoded item: so an answer is the chunks of its items joined, a chunk can be kept
for as long as its item does not change, and a batch of a stream is a shorter run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from runtimes.errors import CapacityExceeded

if TYPE_CHECKING:
    from google.protobuf.message import Message

LARGEST_MESSAGE = 16 * 1024 * 1024  # what crictl and the kubelet take at the most

# A batch is full at whichever comes first. containerd sends 5000 items at a time, CRI-O 3000.
BATCH_ITEMS = 4000
BATCH_BYTES = 4 * 1024 * 1024

_TAG = b"\x0a"  # field 1, length-delimited


def chunk(item: Message) -> bytes:
    """Return an item as it stands in a list."""
    encoded = item.SerializeToString()
    return _TAG + _varint(len(encoded)) + encoded


def whole(chunks: Iterable[bytes], *, kind: str, stream: str) -> bytes:
    """Return a list in one message. Raises `CapacityExceeded`, naming the stream RPC, where it would not fit."""
    size, taken = 0, list[bytes]()
    for each in chunks:
        size += len(each)
        if size > LARGEST_MESSAGE:
            raise CapacityExceeded(
                f"the list of {kind} does not fit into the {LARGEST_MESSAGE >> 20} MiB of one gRPC message:"
                f" {len(taken)} were encoded when it was full; call {stream}, or ask for fewer with a filter"
            )
        taken.append(each)
    return b"".join(taken)


def batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Return a list in as many messages as it takes, never holding more than one of them."""
    size, taken = 0, list[bytes]()
    for each in chunks:
        if taken and (len(taken) == BATCH_ITEMS or size + len(each) > BATCH_BYTES):
            yield b"".join(taken)
            size, taken = 0, []
        size += len(each)
        taken.append(each)
    if taken:
        yield b"".join(taken)


class HasId(Protocol):
    """Anything that exists under an id and is replaced, not changed, when it changes."""

    @property
    def id(self) -> str:
        """The id."""
        ...


RecordT = TypeVar("RecordT", bound=HasId)


class ChunkCache(Generic[RecordT]):
    """Chunks of records, by id. One is made anew when the record is not the same object any more."""

    def __init__(self, encode: Callable[[RecordT], Message]) -> None:
        self._encode = encode
        self._kept: dict[str, tuple[RecordT, bytes]] = {}

    def chunks(self, records: Collection[RecordT], *, complete: bool) -> Iterator[bytes]:
        """Return the chunk of each record. If `complete`, these are all there are, and what else is kept is dropped."""
        if complete and len(self._kept) > len(records):
            ids = {record.id for record in records}
            self._kept = {key: kept for key, kept in self._kept.items() if key in ids}
        for record in records:
            kept = self._kept.get(record.id)
            if kept is None or kept[0] is not record:
                kept = self._kept[record.id] = (record, chunk(self._encode(record)))
            yield kept[1]


def _varint(number: int) -> bytes:
    """Return a number seven bits at a time, the lowest first; the eighth bit says that more follow."""
    encoded = bytearray()
    while rest := number >> 7:
        encoded.append(number & 0x7F | 0x80)
        number = rest
    encoded.append(number)
    return bytes(encoded)
