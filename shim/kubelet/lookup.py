"""The facts of one kubelet release, each looked up once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from runtimes.decision import Step
from runtimes.facts import load

if TYPE_CHECKING:
    from runtimes.release import Release


class Lookup:
    """What holds for a release. Facts that are not in facts.yaml are a bug, and raise KeyError."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self._facts = load("shim.kubelet")
        self._held: dict[str, bool] = {}
        self._values: dict[str, Any] = {}

    def has(self, fact: str) -> bool:
        """Whether a fact holds."""
        if fact not in self._held:
            self._held[fact] = self.release in self._facts[fact]
        return self._held[fact]

    def value(self, fact: str) -> Any:
        """Return the value of a fact, None where it has none."""
        if fact not in self._values:
            self._values[fact] = self._facts.value(fact, self.release)
        return self._values[fact]

    def step(self, fact: str, because: str, *, layer: str = "kubelet", warns: bool = False) -> Step:
        """Return a step that has a fact as its rule and its source."""
        record = self._facts[fact]
        value = record.at(self.release)
        return Step(layer, fact, because, (value.source if value else "") or record.source, warns)


@functools.lru_cache(maxsize=1024)
def at(release: Release) -> Lookup:
    """Return the facts of a release."""
    return Lookup(release)
