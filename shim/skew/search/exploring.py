"""Breadth first over the sequences of moves that lead to distinct states: what comes first comes by a shortest one.

It knows nothing of what a state is: it is told the key of each, and two states with the same key count as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Literal

Path = tuple[int, ...]
"""A sequence of moves, by their numbers."""


class Exploration:
    """One walk. `after` names the moves that are possible after a sequence, and the key of the state each leads to.

    Sequences have at most `depth` moves, and at most `states` states are told apart. What was done so far can be read
    at any time.
    """

    def __init__(self, after: Callable[[Path], Iterable[tuple[int, Hashable]]], *, depth: int, states: int) -> None:
        self._after, self._depth, self._most = after, depth, states
        self._known: set[Hashable] = set()
        self.transitions = 0
        self.longest = 0  # sequence that was looked at
        self.bound: Literal["", "depth", "states"] = ""  # what kept it from going on, "" where nothing did

    @property
    def states(self) -> int:
        """How many states were told apart."""
        return len(self._known)

    def paths(self, first: Hashable) -> Iterator[Path]:
        """Yield a sequence for every transition between states that can be reached from `first`: one that ends with it,
        and leads to where it begins in as few moves as possible.
        """
        self._known = {first}
        waiting: deque[Path] = deque([()])
        while waiting:
            path = waiting.popleft()
            if len(path) == self._depth:
                self.bound = "depth"
                return  # those that wait are as long
            self.longest = len(path) + 1
            for move, key in self._after(path):
                longer = (*path, move)
                if key not in self._known:
                    if len(self._known) == self._most:
                        self.bound = "states"
                        return
                    self._known.add(key)
                    waiting.append(longer)
                self.transitions += 1
                yield longer
