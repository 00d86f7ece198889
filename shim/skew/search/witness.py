"""Calls that show a difference between two sections: one refuses them and the other does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.verdict import filter_of
from shim.skew.calls import Call, call_of
from shim.skew.compare import EVERYTHING_ELSE, compare, points

if TYPE_CHECKING:
    from runtimes.verdict import Filter

_MOST = 3


def gained(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[Call, ...]:
    """Return a few calls that the section `after` allows and `before` does not, those with arguments first.

    Where everything is allowed that had not been there is nothing to name.
    """
    old, new = filter_of(before), filter_of(after)
    changes = [each for each in compare(before, after) if each.direction == "gained"]
    changes.sort(key=lambda each: not each.where)
    names = dict.fromkeys(each.syscall for each in changes if each.syscall != EVERYTHING_ELSE)
    found = (_example(name, old, new) for name in names)
    return tuple(call for call in found if call is not None)[:_MOST]


def _example(name: str, old: Filter, new: Filter) -> Call | None:
    for args in map(dict, points((*old.conditions(name), *new.conditions(name)))):
        if new.of(name, args).allowed and not old.of(name, args).allowed:
            return call_of(name, args)
    return None
