"""Where it is written down why a built-in profile treats a call in another way than before."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec

from runtimes.decision import Step
from runtimes.model import find
from shim.changes import rules_of
from shim.skew.compare import SIGNS, Change, lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.profile import Rule
    from runtimes.release import Release
    from shim.skew.posture import Build

_WORDS = {"+": "allows", "-": "denies", "~": "has another answer to"}


class Line(msgspec.Struct, frozen=True):
    """Changes in a line, "+ socket(AF_ALG)", and where it is written down why."""

    text: str
    source: str = ""


class Sources:
    """Where it is written down that a rule about a call changed between two releases."""

    def __init__(self, rules: Iterable[Rule], old: Release, new: Release) -> None:
        self._found: dict[str, dict[str, None]] = {}
        for rule in rules:
            before, after = rule.at(old), rule.at(new)
            was, now = (set(each.names or ()) if each else set() for each in (before, after))
            named = {name.name: name.source for name in rule.names if name.source}
            for name in was ^ now:
                self._found.setdefault(name, {})[named.get(name, rule.source)] = None

    def of(self, syscall: str) -> str:
        """Return the sources of what changed about a call, "" where nothing is known."""
        return "; ".join(source for source in self._found.get(syscall, ()) if source)


def sourced(changes: Iterable[Change], sources: Sources) -> list[Line]:
    """Say changes in lines, those of one source together: what is allowed now first."""
    by_source: dict[str, list[Change]] = {}
    for change in sorted(changes):
        by_source.setdefault(sources.of(change.syscall), []).append(change)
    found = [Line(text, source) for source, some in by_source.items() for text in lines(some)]
    return sorted(found, key=lambda line: list(SIGNS.values()).index(line.text[0]))


def reasons(changes: tuple[Change, ...], old: Build | None, new: Build | None) -> tuple[Step, ...]:
    """Return the reasons of changes that lie between the built-in profiles of two releases of a family.

    None stands for a section that is no built-in profile: then there are none.
    """
    if not changes or old is None or new is None or old.family != new.family or old.release == new.release:
        return ()
    found = sourced(changes, _between(old.family, old.release, new.release))
    return tuple(
        Step("profile", "profile-changed", f"{new} {_WORDS[line.text[0]]} {line.text[2:]}", line.source)
        for line in found
        if line.source
    )


@functools.lru_cache(maxsize=256)
def _between(family: str, old: Release, new: Release) -> Sources:
    return Sources(rules_of(find(family)), old, new)
