"""Calls that show a difference between two sections: one refuses them and the other does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.verdict import filter_of
from shim.skew.compare import EVERYTHING_ELSE, compare
from shim.skew.experiments.calls import CONSTANTS
from shim.skew.experiments.experiment import Call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.oci import Arg
    from runtimes.verdict import Filter

_MOST = 3
_LARGEST = (1 << 64) - 1
_FAMILIES = {number: name for name, number in CONSTANTS.items() if name.startswith("AF_")}
_TAKE_FAMILIES = ("socket", "socketpair")


def gained(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[Call, ...]:
    """Return a few calls that the section `after` allows and `before` does not, those with arguments first.

    They are found by trying single arguments. Where everything is allowed that had not been there is nothing to name.
    """
    old, new = filter_of(before), filter_of(after)
    changes = [each for each in compare(before, after) if each.direction == "gained"]
    changes.sort(key=lambda each: not each.where)
    names = dict.fromkeys(each.syscall for each in changes if each.syscall != EVERYTHING_ELSE)
    found = (_example(name, old, new) for name in names)
    return tuple(call for call in found if call is not None)[:_MOST]


def _example(name: str, old: Filter, new: Filter) -> Call | None:
    conditions = (*old.conditions(name), *new.conditions(name))
    for args in ({}, *_tries(conditions)) if not conditions else _tries(conditions):
        if new.of(name, args).allowed and not old.of(name, args).allowed:
            return Call(_written(name, args), name, args)
    return None


def _tries(conditions: tuple[Arg, ...]) -> Iterator[dict[int, int]]:
    for arg in conditions:
        for value in (arg.value, arg.value_two, arg.value + 1, arg.value - 1, 0):
            if 0 <= value <= _LARGEST:
                yield {arg.index: value}


def _written(name: str, args: dict[int, int]) -> str:
    """Write a call as `shim.skew.experiments.calls` reads it."""
    if not args:
        return name
    words = [_word(name, index, args[index]) if index in args else "_" for index in range(max(args) + 1)]
    return f"{name}({', '.join(words)})"


def _word(name: str, index: int, value: int) -> str:
    if name in _TAKE_FAMILIES and not index and value in _FAMILIES:
        return _FAMILIES[value]
    return str(value)
