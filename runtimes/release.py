"""Releases of a component, and since/until *per branch*.

A fix lands on several branches at different times, so "since X" is never one number. `Span(since=[1.5.14, 1.6.9,
1.7.0])` names the first release on each branch that has it; a branch that is not named has it when it lies above the
highest one named, and lacks it otherwise. `until` reads the same way and takes away.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from runtimes.errors import BadInput

# The suffixes after the patch number that order *before* the release itself; everything else a vendor adds
# (`~ds1`, `+unknown`, `-6+deb13u1`) says who built it and orders nowhere.
_PRE = {"alpha": 0, "beta": 1, "rc": 2}
_FINAL = (3, 0)
_TEXT = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-(alpha|beta|rc)\.?(\d+)?)?([~+\-].*)?")


class Release(msgspec.Struct, frozen=True):
    """One release. `text` is as the user or vendor spelled it; only the numbers and the pre-release compare."""

    major: int
    minor: int
    patch: int
    pre: tuple[int, int] = _FINAL
    text: str = ""

    @property
    def branch(self) -> tuple[int, int]:
        """The line of releases it belongs to: (1, 7) for 1.7.24."""
        return (self.major, self.minor)

    @property
    def upstream(self) -> str:
        """Its name without what a vendor added: "1.6.20" for "1.6.20~ds1", "2.4.0-beta.0"."""
        stage = next((name for name, rank in _PRE.items() if rank == self.pre[0]), None)
        return f"{self.major}.{self.minor}.{self.patch}" + (f"-{stage}.{self.pre[1]}" if stage else "")

    @property
    def key(self) -> tuple[int, int, int, tuple[int, int]]:
        """What orders it."""
        return (self.major, self.minor, self.patch, self.pre)

    def __str__(self) -> str:
        """As it was spelled."""
        return self.text or self.upstream

    def __eq__(self, other: object) -> bool:
        """Two spellings of one upstream release are equal."""
        return isinstance(other, Release) and self.key == other.key

    # Spelled out, because functools.total_ordering does nothing for a class whose base has these slots already.
    def __lt__(self, other: Release) -> bool:
        """Pre-releases come before their release: alpha, beta, rc."""
        return self.key < other.key

    def __le__(self, other: Release) -> bool:
        """Order as `__lt__` does."""
        return self.key <= other.key

    def __gt__(self, other: Release) -> bool:
        """Order as `__lt__` does."""
        return self.key > other.key

    def __ge__(self, other: Release) -> bool:
        """Order as `__lt__` does."""
        return self.key >= other.key

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.key)


@functools.cache
def parse(text: str) -> Release:
    """Read a release as people and vendors write it: "v1.7.24", "1.6.20~ds1", "2.1.9+unknown", "2.4.0-beta.0"."""
    found = _TEXT.fullmatch(text.strip())
    if not found:
        raise BadInput(f"{text!r} is not a release", right="three numbers, as in 1.7.24 or 2.4.0-beta.0")
    major, minor, patch, stage, number, _vendor = found.groups()
    pre = (_PRE[stage], int(number or 0)) if stage else _FINAL
    return Release(int(major), int(minor), int(patch), pre, text.strip())


class Span(msgspec.Struct, frozen=True):
    """The releases that have something: from `since` (all of them when empty) until `until` (exclusive)."""

    since: tuple[Release, ...] = ()
    until: tuple[Release, ...] = ()

    def __contains__(self, release: Release) -> bool:
        """Whether this release has it."""
        return (not self.since or _reached(self.since, release)) and not (self.until and _reached(self.until, release))

    @classmethod
    def read(cls, record: dict[str, Any]) -> Span:
        """Take `since` and `until` from a record of the data files."""
        since, until = (tuple(parse(text) for text in record.get(key) or ()) for key in ("since", "until"))
        return cls(since, until)


def _reached(firsts: tuple[Release, ...], release: Release) -> bool:
    for first in firsts:
        if first.branch == release.branch:
            return release >= first
    return release.branch > max(first.branch for first in firsts)
