r"""How values are written down: JSON by msgspec, which is what keeps a stored request as cheap as a list entry.

Text that came from bytes which are no UTF-8 (an environment variable, a log path) holds surrogate escapes; msgspec
will not have them, the standard library writes them as \udcXX. Only such a value takes that second way, both ways.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}  # making one takes longer than using it a hundred times


def encode(value: Any) -> bytes:
    """Write a value down. Keys keep their order."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def decode(body: bytes, shape: type[T]) -> T:
    """Read a value back. Raises `msgspec.DecodeError` where it is not one."""
    decoder = _DECODERS.get(shape)
    if decoder is None:
        decoder = _DECODERS[shape] = msgspec.json.Decoder(shape)
    try:
        return decoder.decode(body)  # type: ignore[no-any-return]
    except msgspec.DecodeError:
        if b"\\ud" not in body:
            raise
        return msgspec.convert(json.loads(body), shape)
