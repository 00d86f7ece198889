"""Protobuf messages to values and back, by walking their descriptors: no message is named here.

A value is a `msgspec.Struct` whose fields are called as the message's. Both directions are compiled once per pair:

    read = reader(pb.ContainerConfig, ContainerRequest)
    write = writer(pb.ContainerConfig)

What differs between the two worlds:

    protobuf                                          value
    message field that was not sent                   None
    message field that was sent, empty or not         a Struct (an empty `SecurityProfile` means RuntimeDefault)
    repeated field                                    tuple
    map                                               dict, sorted by key, since protobuf hands maps out in no order
    enum                                              its number, known or not
    bytes                                             str, with surrogate escapes for what is not UTF-8

A field that the Struct does not have is left out; a test holds the list of those.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor

if TYPE_CHECKING:
    from google.protobuf.message import Message

MessageT = TypeVar("MessageT", bound="Message")
ValueT = TypeVar("ValueT", bound=msgspec.Struct)

_Convert = Callable[[Any], Any]


def reader(message: type[Message], value: type[ValueT]) -> Callable[[Any], ValueT]:
    """Return the function that makes a value of a message."""
    return _reader(message.DESCRIPTOR, value)


def writer(message: type[MessageT]) -> Callable[[msgspec.Struct], MessageT]:
    """Return the function that makes a message of a value. It raises ValueError for what the message cannot hold."""
    encode_bytes = _bytes_encoder(message.DESCRIPTOR)

    def write(value: msgspec.Struct) -> MessageT:
        fields = msgspec.to_builtins(value)
        if encode_bytes:
            encode_bytes(fields)
        return message(**fields)

    return write


@functools.cache
def _reader(descriptor: Descriptor, value: type[msgspec.Struct]) -> Callable[[Any], Any]:
    """Go over the fields that are there, fewer than there could be; the others get the Struct's defaults, or zero."""
    fields: dict[int, tuple[str, _Convert | None]] = {}
    required: dict[str, Any] = {}
    known_fields = {field.name: field for field in msgspec.structs.fields(value)}
    for field in descriptor.fields:
        if info := known_fields.get(field.name):
            fields[field.number] = (field.name, _converter(field, info.type))
            if info.required and not (field.message_type or field.is_repeated):
                required[field.name] = field.default_value

    def read(message: Message) -> Any:
        found = required.copy()
        for field, content in message.ListFields():
            known = fields.get(field.number)
            if known is not None:
                name, convert = known
                found[name] = content if convert is None else convert(content)
        return value(**found)

    return read


def _converter(field: FieldDescriptor, annotation: Any) -> _Convert | None:
    """Return what turns a field's content into the Struct's, None where it is that already."""
    if _is_map(field):
        return lambda content: dict(sorted(content.items()))
    if field.message_type:
        read = _reader(field.message_type, _struct_in(annotation))
        return (lambda content: tuple(map(read, content))) if field.is_repeated else read
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda content: content.decode("utf-8", "surrogateescape")
    return tuple if field.is_repeated else None


def _struct_in(annotation: Any) -> type[msgspec.Struct]:
    """Return S of an annotation `S`, `S | None` or `tuple[S, ...]`."""
    types = get_args(annotation) or (annotation,)
    return next(each for each in types if isinstance(each, type) and issubclass(each, msgspec.Struct))


@functools.cache
def _bytes_encoder(descriptor: Descriptor) -> _Convert | None:
    """Return what encodes the texts of a message that are bytes on the wire, in place; None if it has none."""
    steps: list[tuple[str, _Convert]] = []
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_BYTES:
            steps.append((field.name, lambda text: text.encode("utf-8", "surrogateescape")))
        elif field.message_type and not _is_map(field) and (inner := _bytes_encoder(field.message_type)):
            steps.append((field.name, _each(inner) if field.is_repeated else inner))
    if not steps:
        return None

    def encode(fields: dict[str, Any]) -> dict[str, Any]:
        for name, step in steps:
            if name in fields:
                fields[name] = step(fields[name])
        return fields

    return encode


def _each(step: _Convert) -> _Convert:
    return lambda items: [step(item) for item in items]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
