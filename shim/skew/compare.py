"""What a container gains and loses when one section takes the place of another.

Two sections are compared by what they make of calls, not by how they are written: a rule that moved is no difference. A
call whose verdict depends on arguments is tried at every value at which the answer could change.
"""

from __future__ import annotations

import errno
import functools
import itertools
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from runtimes.oci import ALLOW, ERRNO
from runtimes.verdict import MASKED, Filter, Verdict, comparison, filter_of, holds, opposite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtimes.oci import Arg

Direction = Literal["gained", "lost", "other"]

EVERYTHING_ELSE = "*"  # whatever both sections leave to their default
_LARGEST = (1 << 64) - 1
_MOST_POINTS = 4096  # of one call; no profile that was ever published comes near


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


def _of_call(name: str, old: Filter, new: Filter) -> Iterator[Change]:
    conditions = tuple(dict.fromkeys((*old.conditions(name), *new.conditions(name))))
    pairs = {point: (old.of(name, dict(point)), new.of(name, dict(point))) for point in _points(conditions)}
    for pair in dict.fromkeys(pairs.values()):
        before, after = pair
        if before == after or pair == (old.default, new.default):
            continue
        there = [point for point, found in pairs.items() if found == pair]
        where = "" if len(there) == len(pairs) else _described(conditions, there, list(pairs))
        yield Change(name, where, before, after)


def _points(conditions: tuple[Arg, ...]) -> list[tuple[tuple[int, int], ...]]:
    """Return arguments of which at least one is on either side of every comparison."""
    values: dict[int, dict[int, None]] = {}
    for arg in conditions:
        values.setdefault(arg.index, {0: None}).update(dict.fromkeys(_around(arg)))
    choices = [[(index, value) for value in sorted(found)] for index, found in sorted(values.items())]
    return list(itertools.islice(itertools.product(*choices), _MOST_POINTS))


def _around(arg: Arg) -> Iterator[int]:
    if arg.op == MASKED:
        bits = [1 << bit for bit in range(64) if arg.value >> bit & 1]
        yield from (arg.value_two, arg.value_two ^ arg.value, *(arg.value_two ^ bit for bit in bits))
    else:
        yield from (value for value in (arg.value - 1, arg.value, arg.value + 1) if 0 <= value <= _LARGEST)


def _described(
    conditions: tuple[Arg, ...], there: list[tuple[tuple[int, int], ...]], every: list[tuple[tuple[int, int], ...]]
) -> str:
    """Say for which arguments something holds, given points where it does, among all that were tried."""
    if len({arg.index for arg in conditions}) == 1 and all(arg.op != MASKED for arg in conditions):
        return _ranges(conditions[0].index, [point[0][1] for point in there], [point[0][1] for point in every])
    found = set(there)
    for arg in conditions:  # one comparison says it, or its opposite does
        meeting = {point for point in every if holds(arg, dict(point)[arg.index])}
        if meeting == found:
            return comparison(arg)
        if set(every) - meeting == found:
            return opposite(arg)
    met = {tuple(holds(arg, dict(point)[arg.index]) for arg in conditions) for point in there}
    alternatives = (
        " and ".join(
            comparison(arg) if truth else opposite(arg) for arg, truth in zip(conditions, signature, strict=True)
        )
        for signature in sorted(met, reverse=True)
    )
    return " or ".join(alternatives)


def _ranges(index: int, there: list[int], every: list[int]) -> str:
    """Write values as ranges: the ones that were tried stand for all that lie between them."""
    found, parts = set(there), []
    every = sorted(every)
    for is_in, group in itertools.groupby(range(len(every)), lambda at: every[at] in found):
        if not is_in:
            continue
        at = list(group)
        first, last = every[at[0]], every[at[-1]]
        from_start, to_end = at[0] == 0, at[-1] == len(every) - 1
        if from_start and to_end:
            return ""
        if to_end:
            parts.append(f"arg{index} >= {first}")
        elif from_start:
            parts.append(f"arg{index} <= {last}" if last else f"arg{index} == 0")
        else:
            parts.append(f"arg{index} == {first}" if first == last else f"{first} <= arg{index} <= {last}")
    return " or ".join(parts)


def lines(changes: Iterable[Change]) -> tuple[str, ...]:
    """Say changes in lines: "+ socket where arg0 == 38", "- clone3 (errno 38)"; those that are alike in one line."""
    signs = {"gained": "+", "lost": "-", "other": "~"}
    alike: dict[tuple[Direction, str, str], list[str]] = {}
    for each in changes:
        alike.setdefault((each.direction, each.where, _outcome(each)), []).append(each.syscall)
    return tuple(
        f"{signs[direction]} {', '.join(_called(name) for name in names)}"
        + (f" where {where}" if where else "")
        + (f" ({outcome})" if outcome else "")
        for (direction, where, outcome), names in sorted(alike.items(), key=lambda item: list(signs).index(item[0][0]))
    )


def _outcome(change: Change) -> str:
    if change.direction == "gained":
        return "" if change.after.action == ALLOW else _shown(change.after)
    return f"{_shown(change.before)} -> {_shown(change.after)}" if change.direction == "other" else _shown(change.after)


def _shown(verdict: Verdict) -> str:
    if verdict.action == ERRNO:
        return errno.errorcode.get(verdict.errno or 0, f"errno {verdict.errno}")
    return verdict.action + (f" {verdict.errno}" if verdict.errno is not None else "")


def _called(name: str) -> str:
    return "everything else" if name == EVERYTHING_ELSE else name
