"""Pods, counted by what they have in common: the part of a plan that grows with the cluster.

A count can be made of any part of the input, in any process. Counts of parts add up to that of the whole, in whatever
order they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from shim.kubelet import dump
from shim.kubelet.manifest import NoPods
from shim.nodefile import BadDocument
from shim.skew.plan.cases import Names, case_of
from shim.skew.plan.owners import Owner, owner

if TYPE_CHECKING:
    from shim.kubelet.dump import Piece, Whole
    from shim.kubelet.pod import Pod
    from shim.skew.plan.inventory import Routes

EXAMPLES = 3  # names of pods that are kept of those that are alike

Place = tuple[str, int]
"""A file and a line, 0 where that is not known."""


class Group(msgspec.Struct, frozen=True):
    """Pods of one workload, on nodes of one pool, that come out alike. `case` is in the form of `cases.case_of`."""

    pool: str
    owner: Owner
    names: Names
    case: bytes


class Count(msgspec.Struct):
    """How many pods there are in a group, the first few by name, and where the first of them stands."""

    pods: int
    examples: list[str]
    place: Place

    def add(self, other: Count) -> None:
        """Count others, too."""
        self.pods += other.pods
        if self.examples != other.examples:
            self.examples = sorted({*self.examples, *other.examples})[:EXAMPLES]
        self.place = min(self.place, other.place)


class Fault(msgspec.Struct, frozen=True, order=True):
    """Something that is wrong with a file."""

    where: str
    line: int
    says: str


class Tally(msgspec.Struct):
    """What was counted. `unnamed` are the nodes that no pool is for, with the number of their pods."""

    groups: dict[Group, Count] = {}
    unnamed: dict[str, int] = {}
    faults: set[Fault] = set()
    pods: int = 0
    _shared: dict[Any, Any] = {}

    def add(self, other: Tally) -> None:
        """Count what others have counted. They are not to be used afterwards."""
        for group, count in other.groups.items():
            mine = self.groups.get(group)
            if mine is None:
                self.groups[self._sharing(group)] = count
            else:
                mine.add(count)
        for node, pods in other.unnamed.items():
            self.unnamed[node] = self.unnamed.get(node, 0) + pods
        self.faults |= other.faults
        self.pods += other.pods

    @property
    def cases(self) -> int:
        """How many cases there are to decide, at the most."""
        return len({(group.pool, group.case) for group in self.groups})

    def blame(self, fault: BadInput) -> None:
        """Keep what is wrong with a file for later."""
        self.faults.add(Fault(fault.where, fault.line or 0, str(fault)))

    def raise_faults(self) -> None:
        """Raise `BadInput` for everything that is wrong, a line each, if anything is."""
        if self.faults:
            raise BadDocument([BadInput(each.says) for each in sorted(self.faults)])

    def _sharing(self, group: Group) -> Group:
        """Return a group that shares what it has in common with others: the few names and cases of many workloads."""
        shared = self._shared
        return Group(
            group.pool,
            group.owner,
            shared.setdefault(group.names, group.names),
            shared.setdefault(group.case, group.case),
        )


class Part(msgspec.Struct, frozen=True):
    """A part of the input. `searched` marks a file that was found in a directory: it may hold anything but pods."""

    content: Piece | Whole
    searched: bool = False


def count(part: Part, routes: Routes) -> Tally:
    """Count the pods of one part. What is wrong with it is in `faults`."""
    found = Tally()
    try:
        for pod in dump.pods(part.content):
            _count(pod, routes, found)
    except BadInput as fault:
        if not (part.searched and isinstance(fault, NoPods)):
            found.blame(fault)
    return found


def _count(pod: Pod, routes: Routes, found: Tally) -> None:
    found.pods += 1
    pool = routes.pool(pod.node)
    if pool is None:
        found.unnamed[pod.node] = found.unnamed.get(pod.node, 0) + 1
        return
    case, names = case_of(pod, routes.images)
    group = Group(pool, owner(pod), names, case)
    known = found.groups.get(group)
    if known is None:
        found.groups[group] = Count(1, [pod.name], (pod.origin.where, pod.origin.line or 0))
        return
    known.pods += 1
    known.place = min(known.place, (pod.origin.where, pod.origin.line or 0))
    if len(known.examples) < EXAMPLES or pod.name < known.examples[-1]:
        known.examples = sorted({*known.examples, pod.name})[:EXAMPLES]
