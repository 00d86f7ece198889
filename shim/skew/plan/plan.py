"""A cluster's pods and what an upgrade does to them -> a plan: what happens to each workload, and why.

Pods come as a `Tally`, in which those that are alike are counted once: from here on it matters how many workloads there
are, and how many cases, not how many pods.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import BadInput
from shim.nodefile import BadDocument, Document
from shim.skew.plan import cases
from shim.skew.plan.effect import VERDICTS, Effect, Verdict, effects
from shim.skew.plan.side import Side, open_side
from shim.skew.work import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.skew.plan.inventory import Inventory, Pool
    from shim.skew.plan.owners import Owner
    from shim.skew.plan.tally import Tally

_BATCH = 32  # cases that one piece of work decides
_WORTH = 4  # such pieces for each process: with less, starting it takes longer than what it does


class Upgrade(msgspec.Struct, frozen=True):
    """A pool's nodes before and after."""

    pool: Pool
    before: Side
    after: Side


class Part(msgspec.Struct):
    """What happens to one container of a workload on the nodes of a pool.

    `key` is the effect's, `place` the file and line at which the first of the pods stands.
    """

    effect: Effect
    key: str
    pods: int
    place: tuple[str, int]


class Workload(msgspec.Struct, frozen=True):
    """A workload: for each of its containers by name, and each pool, what happens; the worst first.

    That is mostly one thing. It is more than one while a workload is being rolled out.
    """

    owner: Owner
    containers: dict[str, dict[str, list[Part]]]

    @property
    def pools(self) -> list[str]:
        """The pools on which it has pods, by name."""
        return sorted({pool for pools in self.containers.values() for pool in pools})

    def parts(self, pool: str | None = None) -> Iterator[tuple[str, str, Part]]:
        """Yield what happens, with the container and the pool, in all pools or in one."""
        for container, pools in self.containers.items():
            for name, parts in pools.items():
                if pool in (None, name):
                    yield from ((container, name, part) for part in parts)

    def verdict(self, pool: str | None = None) -> Verdict | None:
        """Return the worst that happens to it (in a pool), None where it has no pods there."""
        found = {part.effect.verdict for _container, _pool, part in self.parts(pool)}
        return next((each for each in VERDICTS if each in found), None)


Effects = dict[str, tuple[str, Effect]]
"""What happens to each container of a case, by its name: an effect, and before it the effect's key."""

Decided = dict[tuple[str, bytes], Effects]
"""The same for every case in every pool."""


def begin(inventory: Inventory) -> tuple[Upgrade, ...]:
    """Start every node that is named. Raises `BadInput` for all that are said to run and do not."""
    found, faults = [], []
    _sides.cache_clear()  # a file of theirs may have changed since
    for pool in inventory.pools:
        upgrade = Upgrade(pool, *_sides(_way(pool.before, pool.after)))
        refusal = upgrade.before.refusal
        if refusal is not None:
            right = "the nodes as they are, and run"
            faults.append(BadInput(f"such a node does not run: {refusal}", where=pool.files[0], right=right))
        found.append(upgrade)
    if faults:
        raise BadDocument(faults)
    return tuple(found)


def decide(
    upgrades: tuple[Upgrade, ...], tally: Tally, classes: dict[str, str], decided: Decided, *, jobs: int = 1
) -> Iterator[int]:
    """Decide about every case of every pool, pools that are upgraded alike together, and put it into `decided`.

    `classes` are the handlers of RuntimeClasses. Yields how many cases were decided since it did so last.
    """
    ways = {each.pool.name: _way(each.pool.before, each.pool.after) for each in upgrades}
    pools: dict[tuple[bytes, bytes], set[str]] = {}
    for group in tally.groups:
        pools.setdefault((ways[group.pool], group.case), set()).add(group.pool)
    wanted = sorted(pools)
    batches = [wanted[begin : begin + _BATCH] for begin in range(0, len(wanted), _BATCH)]
    worth_it = len(batches) >= _WORTH * jobs
    results = spread(functools.partial(_decide, classes), batches, jobs=jobs if worth_it else 1)
    for batch, answers in zip(batches, results, strict=True):
        for key, answer in zip(batch, answers, strict=True):
            decided.update(dict.fromkeys([(pool, key[1]) for pool in pools[key]], answer))
        yield len(batch)


def _way(before: Document, after: Document) -> bytes:
    return msgspec.json.encode((before, after))


@functools.lru_cache(maxsize=16)
def _sides(way: bytes) -> tuple[Side, Side]:
    before, after = msgspec.json.decode(way, type=tuple[Document, Document])
    return open_side(before), open_side(after)


def _decide(classes: dict[str, str], batch: list[tuple[bytes, bytes]]) -> list[Effects]:
    """Decide about some cases, each on the way from one node to another."""
    found = []
    for way, key in batch:
        case = cases.read(key)
        handler = classes.get(case.handler, case.handler)
        answers = effects(*_sides(way), case, handler)
        found.append({name: (_key(effect), effect) for name, effect in answers.items()})
    return found


def _key(effect: Effect) -> str:
    """Return a short name for an effect, the same wherever it is worked out."""
    return hashlib.sha256(msgspec.json.encode(effect)).hexdigest()[:12]


def workloads(tally: Tally, decided: Decided) -> Iterator[Workload]:
    """Yield every workload in the order of its name, with what happens to it as far as that is decided."""
    ordered = sorted(tally.groups, key=lambda group: (group.owner, group.pool, group.names, group.case))
    for owner, groups in itertools.groupby(ordered, key=lambda group: group.owner):
        containers: dict[str, dict[str, list[Part]]] = {}
        for group in groups:
            count = tally.groups[group]
            own = dict(zip(_names(group.case), itertools.chain(*group.names), strict=True))
            for name, (key, effect) in decided.get((group.pool, group.case), {}).items():
                parts = containers.setdefault(own[name], {}).setdefault(group.pool, [])
                _put(parts, Part(effect, key, count.pods, count.place))
        if containers:
            yield Workload(owner, containers)


def _put(parts: list[Part], part: Part) -> None:
    for each in parts:
        if each.key == part.key:
            each.pods += part.pods
            each.place = min(each.place, part.place)
            return
    parts.append(part)
    parts.sort(key=lambda each: (VERDICTS.index(each.effect.verdict), each.key))


@functools.lru_cache(maxsize=1 << 12)
def _names(key: bytes) -> tuple[str, ...]:
    """Return what a case calls its containers, in the order in which a pod names its own."""
    spec = cases.read(key).spec
    groups = (spec.init_containers, spec.containers, spec.ephemeral_containers)
    return tuple(each.name or "" for group in groups for each in group or ())
