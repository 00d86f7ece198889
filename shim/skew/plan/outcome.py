"""Workloads and what happens to them, summed up: how many, on which pools, and to whom the same happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shim.report.words import counted
from shim.skew.plan.effect import VERDICTS, Effect, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from shim.skew.plan.plan import Part, Upgrade, Workload

EXAMPLES = 3  # workloads that are named of those to which the same happens


class Happening(msgspec.Struct):
    """One thing that happens, and to whom: how many workloads and pods, in which pools, and the first few by name.

    `effect` is the first of those that a person cannot tell apart.
    """

    effect: Effect
    pools: set[str] = set()
    pods: int = 0
    workloads: int = 0
    examples: dict[str, list[str]] = {}  # the containers of a workload
    last: str = ""


class Whom(msgspec.Struct):
    """The workloads to which a rule applies: how many, the first few by name, where, and words that tell more."""

    workloads: int = 0
    names: list[str] = []
    pools: set[str] = set()
    words: set[str] = set()

    def add(self, name: str, pools: set[str], words: set[str]) -> None:
        """Count one more."""
        self.workloads += 1
        self.pools |= pools
        self.words |= words
        if len(self.names) < EXAMPLES:
            self.names.append(name)

    def __str__(self) -> str:
        """Name them where they are few, else count them."""
        if self.workloads > len(self.names):
            return f"{counted(self.workloads, 'workload')}, such as {self.names[0]}"
        return ", ".join(self.names)


# What there may be to do about a workload: when, and in which words.
RULES: dict[str, Callable[[Effect], Iterable[str] | None]] = {
    "weaker": lambda effect: effect.lost or None,
    "restarted": lambda effect: (effect.restarted.because,) if effect.restarted else None,
    "stronger later": lambda effect: effect.won if effect.verdict == "next" and _stronger(effect) else None,
    "not restored": lambda effect: () if _changes(effect) and not effect.comes_back else None,
    "restored": lambda effect: () if _changes(effect) and effect.comes_back else None,
}


def _stronger(effect: Effect) -> bool:
    """Whether a restart closes what is open to a container that runs."""
    return bool(effect.won or (effect.more and not effect.less)) and not (effect.lost or effect.over)


def _changes(effect: Effect) -> bool:
    return effect.verdict in ("now", "next") and effect.differs and not effect.over


class Outcome(msgspec.Struct):
    """The sum.

    `counts` are workloads by the worst that happens to them, in all and in each pool; `whom` are those to which one of
    the rules applies, `missing` the files that are not on the nodes of a pool, with the number of workloads that cannot
    start without them.
    """

    upgrades: tuple[Upgrade, ...]
    counts: dict[Verdict, int] = {}
    pools: dict[str, dict[Verdict, int]] = {}
    happenings: dict[tuple[object, ...], Happening] = {}
    whom: dict[str, Whom] = {}
    missing: dict[tuple[str, str], int] = {}

    def add(self, workload: Workload) -> None:
        """Count a workload."""
        for pool in (None, *workload.pools):
            verdict = workload.verdict(pool)
            counts = self.counts if pool is None else self.pools.setdefault(pool, {})
            if verdict is not None:
                counts[verdict] = counts.get(verdict, 0) + 1
        applying: dict[str, tuple[set[str], set[str]]] = {}
        missing = set()
        for name, pool, part in workload.parts():
            self._happens(str(workload.owner), name, pool, part)
            for rule, words in self._rules(part):
                pools, said = applying.setdefault(rule, (set(), set()))
                pools.add(pool)
                said.update(words)
            if part.effect.missing and part.effect.verdict == "breaks":
                missing.add((pool, part.effect.missing))
        for rule, (pools, said) in applying.items():
            self.whom.setdefault(rule, Whom()).add(str(workload.owner), pools, said)
        for each in missing:
            self.missing[each] = self.missing.get(each, 0) + 1

    def _rules(self, part: Part) -> Iterator[tuple[str, Iterable[str]]]:
        for rule, words in RULES.items():
            said = words(part.effect)
            if said is not None:
                yield rule, said

    def _happens(self, owner: str, container: str, pool: str, part: Part) -> None:
        effect = part.effect
        if effect.verdict == "same" and not effect.refused_before:
            return
        happening = self.happenings.setdefault(_story(effect), Happening(effect))
        if happening.effect is not effect:
            happening.effect = min(happening.effect, effect, key=msgspec.json.encode)
        happening.pools.add(pool)
        happening.pods += part.pods
        if happening.last != owner:
            happening.last = owner
            happening.workloads += 1
            if len(happening.examples) < EXAMPLES:
                happening.examples[owner] = []
        if container not in happening.examples.get(owner, (container,)):
            happening.examples[owner].append(container)

    def of(self, verdict: Verdict) -> list[Happening]:
        """Return what happens of one kind: where something differs first, and then that to the most workloads."""
        found = [each for each in self.happenings.values() if each.effect.verdict == verdict]
        return sorted(
            found, key=lambda each: (not each.effect.differs, -each.workloads, msgspec.json.encode(each.effect))
        )

    @property
    def worst(self) -> Verdict:
        """The worst that happens to any workload."""
        return next((each for each in VERDICTS if self.counts.get(each)), "same")


def _story(effect: Effect) -> tuple[object, ...]:
    """Return what a person would tell of an effect: two that agree in it are told together."""
    error = effect.error.message if effect.error else ""
    restarted = effect.restarted.rule if effect.restarted else ""
    return (effect.verdict, effect.before, effect.after, effect.changes, error, restarted, effect.refused_before)
