"""Errors as a gRPC client sees them: a status code and one sentence.

* Refused: the code and the text of the component that refuses
* BadInput: INVALID_ARGUMENT
* CapacityExceeded: RESOURCE_EXHAUSTED
* anything else is a bug: INTERNAL and an id, under which the log has the traceback
"""

from __future__ import annotations

import logging
import secrets
from typing import NamedTuple
from urllib.parse import quote

import grpc

from runtimes.errors import BadInput, CapacityExceeded, Refused

# A status text travels as a header. Clients built on the C core take 8 KiB of headers and drop the call beyond that, so
# longer texts lose their middle. No text that was ever seen from a runtime comes near.
LONGEST_TEXT = 6 * 1024

log = logging.getLogger("crishim.cri")


class Failure(NamedTuple):
    """What a call is ended with."""

    code: grpc.StatusCode
    text: str


def failure(error: Exception, method: str) -> Failure:
    """Return how a call to `method` ("runtime.v1.RuntimeService/Version") ends with an error; log it if it is a bug."""
    match error:
        case Refused() if error.code in grpc.StatusCode.__members__:
            code, text = grpc.StatusCode[error.code], error.message
        case BadInput():
            code, text = grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case CapacityExceeded():
            code, text = grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)
        case _:
            bug = secrets.token_hex(4)
            log.error("internal error %s in %s", bug, method, exc_info=error, extra={"error_id": bug, "method": method})
            code, text = grpc.StatusCode.INTERNAL, f"internal error {bug}; the server's log explains it"
    return Failure(code, shortened(text))


def shortened(text: str, limit: int = LONGEST_TEXT) -> str:
    """Return a text whose header takes `limit` bytes at most, with the beginning and the end of what was given."""
    if _size(text) <= limit:
        return text
    keep = limit // 2 - 64  # room for the note between the two ends
    head, tail = _fitting(text, keep), _fitting(text[::-1], keep)[::-1]
    return f"{head} [... {len(text) - len(head) - len(tail)} characters left out ...] {tail}"


def _size(text: str) -> int:
    """Return the bytes of a text in a header: what is not printable ASCII is percent-encoded there."""
    return len(text) if text.isascii() and text.isprintable() else len(quote(text, safe="", errors="replace"))


def _fitting(text: str, limit: int) -> str:
    """Return the longest beginning of a text that takes `limit` bytes."""
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(text[:middle]) <= limit else (low, middle - 1)
    return text[:low]
