"""The facts of one release, each looked up once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from runtimes.facts import load

if TYPE_CHECKING:
    from runtimes.release import Release

PACKAGE = "runtimes.crio"


class At:
    """What CRI-O's facts say of one release. A fact that is not there is a bug and raises KeyError."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self._facts = load(PACKAGE)
        self._has: dict[str, bool] = {}
        self._values: dict[str, Any] = {}

    def has(self, fact: str) -> bool:
        """Whether a fact holds."""
        if fact not in self._has:
            self._has[fact] = self.release in self._facts[fact]
        return self._has[fact]

    def value(self, fact: str) -> Any:
        """Return the value that a fact has, None where it has none."""
        if fact not in self._values:
            self._values[fact] = self._facts.value(fact, self.release)
        return self._values[fact]


@functools.cache
def at(release: Release) -> At:
    """Return the facts of a release."""
    return At(release)
