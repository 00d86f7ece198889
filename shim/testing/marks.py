"""From the marks of a test to its nodes."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from runtimes.errors import CrishimError
from shim.testing.choosing import Choice, choices, said

if TYPE_CHECKING:
    from collections.abc import Iterator


def chosen(item: pytest.Item) -> list[Choice]:
    """Return the nodes of a test: those of its marks, else of the command line, else of the configuration file.

    None where nobody says anything. What is wrong with a mark fails the collection of its file.
    """
    levels = list(_levels(item))
    fallback, base = _fallback(item.config)
    if not (levels or fallback):
        return []
    try:
        marks = [[said(*mark.args, **mark.kwargs) for mark in level] for level in levels]
        return choices(marks, fallback, base=str(item.path.parent), fallback_base=base)
    except CrishimError as fault:
        raise _told(item, fault, "its marks" if levels else "--cri-node or cri_nodes") from None


def only(request: pytest.FixtureRequest) -> Choice:
    """Return the one node of a test that came by its fixture at run time, or the node about which nothing was said."""
    found = chosen(request.node) or choices((), base=str(request.path.parent))
    if len(found) > 1:
        names = ", ".join(each.id for each in found)
        message = f"{len(found)} nodes are chosen ({names}), and the test did not ask for one when it was collected"
        pytest.fail(f"{message}: give it, or the fixture that it uses, an argument cri_choice", pytrace=False)
    return found[0]


def _levels(item: pytest.Item) -> Iterator[list[pytest.Mark]]:
    """Yield the marks level by level, those of the module before those of the test, in the order they are written."""
    pairs = list(item.iter_markers_with_node("cri_node"))
    levels = [[mark for _, mark in group] for _, group in itertools.groupby(pairs, lambda pair: pair[0])]
    if levels and pairs[0][0] is item:
        levels[0].reverse()  # decorators: the one that is written last comes first
    yield from reversed(levels)


def _fallback(config: pytest.Config) -> tuple[list[str], str]:
    """Return the nodes for tests without a mark, and where their paths start."""
    given: list[str] = config.getoption("--cri-node")
    if given:
        return given, str(config.invocation_params.dir)
    return config.getini("cri_nodes"), str(config.inipath.parent if config.inipath else config.rootpath)


def _told(item: pytest.Item, fault: CrishimError, who: str) -> BaseException:
    place = os.path.relpath(item.path, item.config.invocation_params.dir)
    return pytest.fail.Exception(f"{place}::{item.name}: the nodes of {who} are not right:\n{fault}", pytrace=False)
