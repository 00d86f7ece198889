"""What a container gains and loses when one section takes the place of another.

Two sections are compared by what they make of calls, not by how they are written: a rule that moved is no difference. A
call whose verdict depends on arguments is tried at every value at which the answer could change.
"""

from __future__ import annotations

import errno
import functools
import itertools
import math
import operator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from runtimes.errors import CapacityExceeded
from runtimes.oci import ALLOW, ERRNO
from runtimes.verdict import MASKED, Filter, Verdict, comparison, filter_of, holds, opposite
from shim.skew.constants import called

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtimes.oci import Arg
    from shim.report.model import Status

Direction = Literal["gained", "lost", "other"]
SIGNS: dict[Direction, str] = {"gained": "+", "lost": "-", "other": "~"}  # in this order
Point: TypeAlias = tuple[tuple[int, int], ...]  # arguments of a call: index and value

EVERYTHING_ELSE = "*"  # whatever both sections leave to their default
_LARGEST = (1 << 64) - 1
_MOST_POINTS = 1024  # of one call; clone in CRI-O's profile has 128, and no published one is known to have more


class Change(msgspec.Struct, frozen=True, order=True):
    """One call, or the calls with some arguments, for which the verdict is another one now.

    `syscall` is "*" for whatever both sections leave to their default, `where` the arguments ("arg0 == 38"), "" where
    all of them.
    """

    syscall: str
    where: str
    before: Verdict
    after: Verdict

    @property
    def direction(self) -> Direction:
        """Whether the container may do more than before ("gained"), less ("lost"), or is refused otherwise."""
        if self.before.allowed == self.after.allowed:
            return "other"
        return "gained" if self.after.allowed else "lost"


def compare(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[Change, ...]:
    """Return what differs between two sections, None standing for no filter at all; by name, then by argument."""
    if before == after:
        return ()
    return _compare(msgspec.json.encode(before), msgspec.json.encode(after))


@functools.lru_cache(maxsize=1024)
def _compare(before: bytes, after: bytes) -> tuple[Change, ...]:
    old, new = filter_of(msgspec.json.decode(before)), filter_of(msgspec.json.decode(after))
    changes = [Change(EVERYTHING_ELSE, "", old.default, new.default)] if old.default != new.default else []
    for name in sorted({*old.names, *new.names}):
        changes += _of_call(name, old, new)
    return tuple(changes)


def less_confined(changes: Iterable[Change]) -> bool:
    """Whether a container with these changes may do anything that it could not do before."""
    return any(change.direction == "gained" for change in changes)


def more_confined(changes: Iterable[Change]) -> bool:
    """Whether it may no longer do something that it could do before."""
    return any(change.direction == "lost" for change in changes)


def status_of(changes: Iterable[Change]) -> Status:
    """Return which way changes go, as a report marks it."""
    found = tuple(changes)
    if less_confined(found) == more_confined(found):
        return "changed" if found else "same"
    return "gained" if less_confined(found) else "lost"


def _of_call(name: str, old: Filter, new: Filter) -> Iterator[Change]:
    defaults = old.default, new.default
    if old.rules(name) == new.rules(name) and old.default == new.default:
        return
    conditions = tuple(sorted({*old.conditions(name), *new.conditions(name)}, key=_in_order))
    pairs = {point: (old.of(name, dict(point)), new.of(name, dict(point))) for point in points(conditions)}
    for pair in dict.fromkeys(pairs.values()):
        before, after = pair
        # What the line about everything else says is not said again, but where a rule lets the other calls of this name
        # through: then a reader would think that all of them are let through.
        if before == after or (pair == defaults and before.allowed == after.allowed):
            continue
        there = [point for point, found in pairs.items() if found == pair]
        where = "" if len(there) == len(pairs) else _described(conditions, there, list(pairs))
        yield Change(name, where, before, after)


def _in_order(arg: Arg) -> tuple[int, str, int, int]:
    return arg.index, arg.op, arg.value, arg.value_two


def points(conditions: tuple[Arg, ...]) -> list[Point]:
    """Return arguments of every kind that the comparisons tell apart, one each. Raises `CapacityExceeded`."""
    arguments: dict[int, list[Arg]] = {}
    for arg in conditions:
        arguments.setdefault(arg.index, []).append(arg)
    choices = [[(index, value) for value in _values(found)] for index, found in sorted(arguments.items())]
    if math.prod(map(len, choices)) > _MOST_POINTS:
        raise CapacityExceeded(f"the rules of a call tell more than {_MOST_POINTS} kinds of arguments apart")
    return list(itertools.product(*choices))


def _values(conditions: list[Arg]) -> list[int]:
    """Return values of one argument in their order, the least one that was found of each kind."""
    masks = [arg for arg in conditions if arg.op == MASKED]
    edges = {0, *(arg.value + step for arg in conditions if arg.op != MASKED for step in (-1, 0, 1))}
    values = {value for value in edges if 0 <= value <= _LARGEST}
    bits = functools.reduce(operator.or_, (arg.value for arg in masks), 0)
    values |= {value & ~bits | pattern for value in tuple(values) for pattern in _patterns(masks)}
    kinds: dict[tuple[bool, ...], int] = {}
    for value in sorted(values):
        kinds.setdefault(tuple(holds(arg, value) for arg in conditions), value)
    return sorted(kinds.values())


def _patterns(masks: list[Arg]) -> list[int]:
    """Return bits that meet and miss masks in every way: those that the same masks look at go together."""
    together: dict[tuple[bool, ...], int] = {}
    for bit in (1 << at for at in range(64)):
        looked_at = tuple(bool(arg.value & bit) for arg in masks)
        if any(looked_at):
            together[looked_at] = together.get(looked_at, 0) | bit
    choices = []
    for looked_at, bits in together.items():
        wanted = {arg.value_two & bits for arg, looks in zip(masks, looked_at, strict=True) if looks}
        choices.append(wanted | set(itertools.islice((some for some in _some(bits) if some not in wanted), 1)))
    if math.prod(map(len, choices)) > _MOST_POINTS:
        raise CapacityExceeded(f"the rules of a call tell more than {_MOST_POINTS} kinds of an argument apart")
    return [functools.reduce(operator.or_, some, 0) for some in itertools.product(*choices)]


def _some(bits: int) -> Iterator[int]:
    """Yield the numbers that have no other bits, each once."""
    some = bits
    while some:
        yield some
        some = (some - 1) & bits
    yield 0


def _described(conditions: tuple[Arg, ...], there: list[Point], every: list[Point]) -> str:
    """Say for which arguments something holds, given points where it does, among all kinds that there are."""
    if len({arg.index for arg in conditions}) == 1 and all(arg.op != MASKED for arg in conditions):
        return _ranges(conditions, set(there))
    kinds, wanted = ({_kind(conditions, point) for point in points} for points in (every, there))
    alternatives: list[tuple[int, int]] = []
    for bit in (1 << at for at in range(len(conditions))):  # one comparison says it, or its opposite does
        for value in (bit, 0):
            if {kind for kind in kinds if kind & bit == value} == wanted:
                return _said(conditions, bit, value)
    for kind in sorted(wanted):
        if not any(kind & care == value for care, value in alternatives):
            alternatives.append(_fewest(kind, len(conditions), kinds - wanted))
    return " or ".join(_said(conditions, care, value) for care, value in alternatives)


def _kind(conditions: tuple[Arg, ...], point: Point) -> int:
    """Return which comparisons hold at a point, a bit for each."""
    given = dict(point)
    return sum(1 << at for at, arg in enumerate(conditions) if holds(arg, given[arg.index]))


def _fewest(kind: int, count: int, unwanted: set[int]) -> tuple[int, int]:
    """Return comparisons that set a kind apart from all that are unwanted: which ones count, and which of them hold."""
    care = (1 << count) - 1
    for bit in (1 << at for at in range(count)):
        fewer = care & ~bit
        if not any(other & fewer == kind & fewer for other in unwanted):
            care = fewer
    return care, kind & care


def _said(conditions: tuple[Arg, ...], care: int, value: int) -> str:
    return " and ".join(
        comparison(arg) if value >> at & 1 else opposite(arg) for at, arg in enumerate(conditions) if care >> at & 1
    )


def _ranges(conditions: tuple[Arg, ...], found: set[Point]) -> str:
    """Say it as ranges of the one argument that is looked at. All values between two edges are of one kind."""
    index = conditions[0].index
    kinds = {tuple(holds(arg, value) for arg in conditions) for ((_, value),) in found}
    edges = sorted({0, *(arg.value + step for arg in conditions for step in (0, 1) if arg.value + step <= _LARGEST)})
    spans = [
        (first, following - 1)
        for first, following in itertools.pairwise((*edges, _LARGEST + 1))
        if tuple(holds(arg, first) for arg in conditions) in kinds
    ]
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and joined[-1][1] == first - 1:
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return " or ".join(_range(f"arg{index}", first, last) for first, last in joined)


def _range(name: str, first: int, last: int) -> str:
    if first == last:
        return f"{name} == {first}"
    if last == _LARGEST:
        return f"{name} >= {first}"
    return f"{name} <= {last}" if first == 0 else f"{first} <= {name} <= {last}"


def lines(changes: Iterable[Change], most: int | None = None) -> tuple[str, ...]:
    """Say changes in lines: "+ socket(AF_ALG)", "- clone3 (ENOSYS)"; those that are alike in one line.

    Of a line's calls not more than `most` are named, and the others are counted. Arguments that only the defaults speak
    of are part of "everything else".
    """
    alike: dict[tuple[Direction, str], list[str]] = {}
    every = tuple(changes)
    defaults = {(each.before, each.after) for each in every if each.syscall == EVERYTHING_ELSE}
    for each in every:
        if each.where and (each.before, each.after) in defaults:
            continue
        alike.setdefault((each.direction, _told(each)), []).append(call(each))
    return tuple(
        f"{SIGNS[direction]} {some(calls, most)}" + (f" ({outcome})" if outcome else "")
        for (direction, outcome), calls in sorted(alike.items(), key=lambda item: list(SIGNS).index(item[0][0]))
    )


def some(words: Iterable[str], most: int | None) -> str:
    """Return words in a row: the first of them, and how many more there are than `most`."""
    every = list(words)
    rest = len(every) - most if most is not None else 0
    return f"{', '.join(every[:most])} and {rest} more" if rest > 1 else ", ".join(every)


def _told(change: Change) -> str:
    if change.direction == "gained":
        return "" if change.after.action == ALLOW else outcome(change.after)
    after = outcome(change.after)
    return f"{outcome(change.before)} -> {after}" if change.direction == "other" else after


def outcome(verdict: Verdict) -> str:
    """Say what a call meets: "EPERM", "SCMP_ACT_KILL"."""
    if verdict.action == ERRNO:
        return errno.errorcode.get(verdict.errno or 0, f"errno {verdict.errno}")
    return verdict.action + (f" {verdict.errno}" if verdict.errno is not None else "")


def call(change: Change) -> str:
    """Name the calls of a change: "socket(AF_ALG)", "everything else"."""
    return "everything else" if change.syscall == EVERYTHING_ELSE else called(change.syscall, change.where)
