"""What differs between two releases: what RuntimeDefault allows, and by which rules they decide.

The sections are those that the releases make, for every architecture and for every set of capabilities that has a say
in them. A change is told once, with the places where it holds.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.errors import BadInput, Refused
from runtimes.host import Host
from runtimes.release import Release
from runtimes.verdict import Verdict
from shim.builtin import builtin_profile
from shim.changes import Change as FactChange
from shim.changes import fact_changes
from shim.report.words import counted
from shim.skew.compare import Change, call, compare, some
from shim.skew.sources import Line, Sources, sourced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from runtimes.facts import Facts
    from runtimes.model import RuntimeModel
    from runtimes.profile import Rule

ARCHITECTURES = ("amd64", "arm64", "arm", "ppc64le", "riscv64", "s390x")  # those that Kubernetes has releases for
GROUPS = ("decision", "api", "configuration", "agent")  # of the facts that have a say in what a container gets

_DEFAULT, _NONE, _ALL = "default", "none", "ALL"
_WORDS = {_DEFAULT: "the default capabilities", _NONE: "no capability", _ALL: "all capabilities"}
_DENIED = Verdict("denied")
_FEW = 5  # calls that a summary names


class Place(msgspec.Struct, frozen=True, order=True):
    """For whom a section is made: an architecture, and a set of capabilities ("default", "none", "CAP_BPF", "ALL")."""

    arch: str
    capabilities: str


USUAL = Place(ARCHITECTURES[0], _DEFAULT)


class Block(msgspec.Struct, frozen=True):
    """Changes that hold in the same places, those that allow more before those that allow less.

    `where` says the places: "every architecture, without CAP_SYS_ADMIN"; `usual` whether a container like most others
    is concerned (amd64, with the default capabilities).
    """

    where: str
    usual: bool
    changes: tuple[Change, ...]
    lines: tuple[Line, ...]


class Side(msgspec.Struct, frozen=True):
    """One of two components that are compared; `model` is None for a kubelet, which has no profile."""

    name: str
    release: Release
    model: Any = None

    def __str__(self) -> str:
        """As people name it: "containerd 2.0.9"."""
        return f"{self.name} {self.release}"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two releases. `partly` is a sentence where not everything could be compared."""

    before: Side
    after: Side
    blocks: tuple[Block, ...] = ()
    facts: tuple[FactChange, ...] = ()
    partly: str = ""


def diff(before: Side, after: Side, facts: Facts, rules: Iterable[Rule] = ()) -> Difference:
    """Compare two releases. `facts` and `rules` are those of their component; they count where both are of one.

    Raises `BadInput` where a kubelet is compared with a runtime.
    """
    if (before.model is None) != (after.model is None):
        raise BadInput(
            f"{before} and {after} are no releases to compare", right="two kubelets, two runtimes, or two node files"
        )
    blocks: tuple[Block, ...] = ()
    related = before.name == after.name
    if before.model is not None and after.model is not None:
        sources = Sources(rules if related else (), before.release, after.release)
        blocks = _blocks(_sections(before.model, before.release), _sections(after.model, after.release), sources)
    if not related:
        partly = f"{before.name} and {after.name} decide by rules of their own: only their profiles are compared."
        return Difference(before=before, after=after, blocks=blocks, partly=partly)
    changed = tuple(each for each in fact_changes(facts, before.release, after.release) if each.group in GROUPS)
    ordered = tuple(sorted(changed, key=lambda each: GROUPS.index(each.group)))
    return Difference(before=before, after=after, blocks=blocks, facts=ordered)


@functools.lru_cache(maxsize=8)
def _sections(model: RuntimeModel, release: Release) -> dict[Place, dict[str, Any]]:
    """Return what RuntimeDefault is in every place. A capability that the release does not know is left out."""
    usual = _section(model, release, USUAL)
    once = {name: _section(model, release, Place(USUAL.arch, name)) for name in KERNEL_CAPABILITIES}
    found = {}
    for arch in ARCHITECTURES:
        plain = _section(model, release, Place(arch, _DEFAULT))
        for name in (_DEFAULT, _NONE, *(name for name in once if once[name] is not None), _ALL):
            # Most capabilities have no say in the profile: what they would give need not be worked out.
            place, without_say = Place(arch, name), once.get(name) == usual
            section = plain if without_say else _section(model, release, place)
            if section is not None:
                found[place] = section
    return found


def _section(model: RuntimeModel, release: Release, place: Place) -> dict[str, Any] | None:
    host = Host(arch=place.arch)
    add = () if place.capabilities in (_DEFAULT, _NONE) else (place.capabilities,)
    drop = ("ALL",) if place.capabilities == _NONE else ()
    try:
        return builtin_profile(model, release, host, add=add, drop=drop).section
    except Refused:
        return None


def _blocks(
    before: dict[Place, dict[str, Any]], after: dict[Place, dict[str, Any]], sources: Sources
) -> tuple[Block, ...]:
    everywhere = [place for place in before if place in after]
    there: dict[Change, list[Place]] = {}
    for place in everywhere:
        for change in compare(before[place], after[place]):
            there.setdefault(told(change), []).append(place)
    together: dict[frozenset[Place], list[Change]] = {}
    for change, places in there.items():
        together.setdefault(frozenset(places), []).append(change)
    ordered = sorted(together.items(), key=lambda each: _importance(*each))
    return tuple(
        Block(_where(places, everywhere), USUAL in places, tuple(sorted(changes)), tuple(sourced(changes, sources)))
        for places, changes in ordered
    )


def told(change: Change) -> Change:
    """Leave out what a line does not tell: with which error something was denied that is allowed now."""
    return msgspec.structs.replace(change, before=_DENIED) if change.direction == "gained" else change


def _importance(places: frozenset[Place], changes: list[Change]) -> tuple[bool, bool, int, list[Change]]:
    """What concerns a container like most others comes first, then what was closed and is open again."""
    gained = any(change.direction == "gained" for change in changes)
    return USUAL not in places, not gained, -len(places), sorted(changes)


def _where(places: Collection[Place], everywhere: Iterable[Place]) -> str:
    """Say places in words, where the others are known."""
    sets = list(dict.fromkeys(place.capabilities for place in everywhere))
    by_sets: dict[tuple[str, ...], list[str]] = {}
    for arch in ARCHITECTURES:
        here = tuple(name for name in sets if Place(arch, name) in places)
        if here:
            by_sets.setdefault(here, []).append(arch)
    return "; ".join(f"{_architectures(archs)}, {_capabilities(here, sets)}" for here, archs in by_sets.items())


def _architectures(some: list[str]) -> str:
    rest = [arch for arch in ARCHITECTURES if arch not in some]
    if len(rest) > 1:
        return ", ".join(some)
    return f"every architecture but {rest[0]}" if rest else "every architecture"


def _capabilities(some: tuple[str, ...], every: list[str]) -> str:
    rest = [name for name in every if name not in some]
    if not rest:
        return "every capability set"
    if len(rest) > len(some):
        return "with " + " or ".join(_WORDS.get(name, name) for name in some)
    if rest[0] in _WORDS:
        return "every capability set but " + ", ".join(_WORDS.get(name, name) for name in rest)
    return "without " + " and ".join(name for name in rest if name != _ALL)


def summary(found: Difference) -> tuple[str, ...]:
    """Say it in sentences for a person in a hurry, the most important one first."""
    sentences = [found.partly] if found.partly else []
    if found.before.model is not None:
        sentences = [*_about_sections(found), *sentences]
    if found.facts:
        counts = Counter(fact.group for fact in found.facts)
        number = counted(len(found.facts), "rule")
        sentences.append(f"{number} of deciding changed: {', '.join(f'{counts[group]} {group}' for group in counts)}.")
    elif not found.partly:
        sentences.append("It decides by the same rules.")
    return tuple(sentences)


def _about_sections(found: Difference) -> Iterator[str]:
    if not found.blocks:
        yield "RuntimeDefault is the same, on every architecture and with every set of capabilities."
        return
    usual = [change for block in found.blocks if block.usual for change in block.changes]
    gained, lost, other = (
        some(dict.fromkeys(call(change) for change in _telling(usual) if change.direction == direction), _FEW)
        for direction in ("gained", "lost", "other")
    )
    if gained:
        yield f"RuntimeDefault ALLOWS what {found.before} denied: {gained}."
    if lost:
        yield f"RuntimeDefault {'also ' if gained else ''}denies what {found.before} allowed: {lost}."
    if other:
        yield f"With another error than before it denies: {other}."
    if not usual:
        yield "Nothing changes with the default capabilities on amd64, but elsewhere."


def _telling(changes: list[Change]) -> list[Change]:
    """Put those first that are about some arguments only: somebody made that rule on purpose."""
    return sorted(changes, key=lambda change: not change.where)
