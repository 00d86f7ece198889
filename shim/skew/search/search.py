"""Searching for surprises: does a property hold, whatever is done to a node, as long as it is one of some moves?

The steps of an experiment are the moves, each of which may be made any number of times where it is possible. Nodes have
nothing to do with each other, so each is searched for itself.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from shim.skew.experiments.experiment import Step, Wait
from shim.skew.search.exploring import Exploration
from shim.skew.search.properties import Property, Surprise
from shim.skew.search.standing import Standing, Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.skew.experiments.experiment import Experiment
    from shim.skew.search.exploring import Path

DEPTH, STATES = 8, 5000


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A property that does not hold on a node, the steps of a shortest way there, and what surprises then."""

    node: str
    broken: Property
    steps: tuple[Step, ...]
    surprises: tuple[Surprise, ...]


class Search:
    """The search on one node. What was found, and how far it came, can be read at any time, also after Ctrl-C."""

    def __init__(
        self,
        experiment: Experiment,
        node: str,
        properties: tuple[Property, ...],
        *,
        depth: int = DEPTH,
        states: int = STATES,
    ) -> None:
        self.node, self.finished = node, False
        self.found: Found | None = None
        self.moves = tuple(step for step in experiment.steps if step.concerns(node))
        self._time_passes = any(isinstance(step.action, Wait) for step in self.moves)
        self.exploration = Exploration(self._after, depth=depth, states=states)
        self._experiment, self._properties = experiment, properties
        self.waits = False  # whether something waited for time to pass, and no move lets it
        self._possible: set[int] = set()
        self._faults: dict[int, str] = {}
        self._trail: Trail

    @property
    def exhaustive(self) -> bool:
        """Whether nothing is left that could be looked at."""
        return self.finished and self.found is None and not self.exploration.bound

    @property
    def impossible(self) -> Iterator[tuple[Step, str]]:
        """The moves that were never possible so far, and why."""
        return ((self.moves[move], why) for move, why in self._faults.items() if move not in self._possible)

    def run(self, told: Callable[[], object] = lambda: None) -> Found | None:
        """Search until a property does not hold, or nothing is left within the bounds. Raises `BadInput`.

        `told` hears of every transition that was looked at.
        """
        first = Standing.first(self._experiment, self.node)
        with contextlib.closing(Trail(first, tuple(step.action for step in self.moves))) as self._trail:
            self._first = first.moment
            self._look(first, ())
            paths = self.exploration.paths(first.key())
            while self.found is None and next(paths, None) is not None:
                told()
        self.finished = True
        return self.found

    def _after(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Make every move that is possible after a sequence, and yield where it leads."""
        here = self._trail.at(path)
        for move, step in enumerate(self.moves):
            try:
                there = here.after(step.action)
            except BadInput as fault:
                self._faults.setdefault(move, str(fault))
                continue
            self._possible.add(move)
            with contextlib.closing(there):
                self._look(there, (*path, move))
                key = there.key()
            yield move, key

    def _look(self, here: Standing, path: Path) -> None:
        self.waits |= bool(here.site.waits) and not self._time_passes
        for each in self._properties:
            surprises = tuple(each.check(self._first, here.last, here.moment))
            if surprises:
                steps = tuple(self.moves[move] for move in path)
                self.found = Found(node=self.node, broken=each, steps=steps, surprises=surprises)
                return
