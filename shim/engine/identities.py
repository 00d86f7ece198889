"""Ids, and how a person gets away with typing only the start of one.

An id is 64 hex digits. Clients never complete a short one: a runtime takes any prefix that only one object has, in
every call and in every filter (containerd and CRI-O both use moby's truncindex).
"""

from __future__ import annotations

import bisect
import secrets
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ID_BYTES = 32


class AmbiguousError(Exception):
    """More than one object has this prefix. Never leaves the engine: each caller has its own words for it."""


class Ids:
    """The ids of one kind of object, sorted, so that all that share a prefix stand side by side."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._sorted = sorted(ids)

    def add(self, id: str) -> None:
        """Make an id known."""
        bisect.insort(self._sorted, id)

    def discard(self, id: str) -> None:
        """Forget an id."""
        place = bisect.bisect_left(self._sorted, id)
        if place < len(self._sorted) and self._sorted[place] == id:
            del self._sorted[place]

    def find(self, prefix: str) -> str | None:
        """Return the one id with this prefix, None if there is none. Raises `AmbiguousError` if there are several."""
        place = bisect.bisect_left(self._sorted, prefix)
        found = [each for each in self._sorted[place : place + 2] if each.startswith(prefix)]
        if len(found) > 1 and found[0] != prefix:
            raise AmbiguousError
        return found[0] if found else None


def fresh_id(token: Callable[[int], str] = secrets.token_hex) -> str:
    """Return a new id."""
    return token(ID_BYTES)


def uuid_of(digits: str) -> str:
    """Return the first 32 hex digits of a text in the shape of a UUID, as network namespaces are named."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def interned(labels: dict[str, str]) -> dict[str, str]:
    """Return labels whose keys are kept once in memory: thousands of objects carry the same few."""
    return {sys.intern(key): value for key, value in labels.items()}
