"""What to do, and in which order, as it follows from what was found: one small rule each, and none about versions.

What the new nodes lack comes first, then what somebody has to decide; then the parts of a node, its drain and the order
of the pools; then what has a better filter only once it is started again, and what the way back would restore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.report.words import counted
from shim.skew.plan.effect import VERDICTS
from shim.skew.plan.inventory import OTHERS
from shim.skew.plan.side import mixed, open_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shim.skew.plan.effect import Verdict
    from shim.skew.plan.outcome import Outcome, Whom
    from shim.skew.plan.plan import Upgrade


def steps(outcome: Outcome) -> tuple[str, ...]:
    """Return what to do, a sentence each, in the order in which to do it."""
    return (
        *_files(outcome),
        *_weaker(outcome),
        *_parts(outcome.upgrades),
        *_drain(outcome),
        *_pools(outcome),
        *_restart(outcome),
        *_back(outcome),
    )


def _files(outcome: Outcome) -> Iterator[str]:
    for (pool, path), workloads in sorted(outcome.missing.items()):
        yield f"put {path} on {titled(pool)}: {counted(workloads, 'workload')} cannot start without it"


def _weaker(outcome: Outcome) -> Iterator[str]:
    whom = outcome.whom.get("weaker")
    if whom:
        lost, loses = _listed(whom), "lose" if whom.workloads > 1 else "loses"
        yield f"decide about {whom}, which {loses} the mitigation {lost}: a Localhost profile keeps what there is"


def _parts(upgrades: Iterable[Upgrade]) -> Iterator[str]:
    for upgrade in upgrades:
        sentence = first_part(upgrade)
        if sentence:
            yield f"on {titled(upgrade.pool.name)} upgrade {sentence}"


def first_part(upgrade: Upgrade) -> str:
    """Say which part of a node is upgraded first, "" where only one of them is, or neither order leads anywhere."""
    before, after = upgrade.pool.before, upgrade.pool.after
    runtimes = (before.runtime, before.handlers) != (after.runtime, after.handlers)
    if upgrade.after.refusal is not None or before.kubelet == after.kubelet or not runtimes:
        return ""
    kubelet_first, runtime_first = (open_side(each).refusal for each in mixed(before, after))
    if kubelet_first and runtime_first:
        return "kubelet and runtime at once, the node being drained: neither runs with the other as it was"
    if kubelet_first:
        return f"the runtime first, then the kubelet, which would not run before: {kubelet_first}"
    if runtime_first:
        return f"the kubelet first, then the runtime, with which the old kubelet would not run: {runtime_first}"
    return "kubelet and runtime in either order: each runs with the other as it was"


def _drain(outcome: Outcome) -> Iterator[str]:
    whom = outcome.whom.get("restarted")
    if whom:
        on = " and ".join(titled(pool) for pool in sorted(whom.pools))
        yield f"drain {on} before, because the upgrade restarts {whom}: {'; '.join(sorted(whom.words))}"


def _pools(outcome: Outcome) -> Iterator[str]:
    if len(outcome.pools) > 1:
        ranked = sorted(outcome.pools.items(), key=lambda item: (_harm(item[1]), item[0]))
        yield "upgrade the pools in this order: " + ", ".join(
            f"{titled(name)} ({_told(them)})" for name, them in ranked
        )


def _harm(counts: dict[Verdict, int]) -> tuple[int, ...]:
    return tuple(counts.get(each, 0) for each in VERDICTS[:-1])


def _told(counts: dict[Verdict, int]) -> str:
    words: dict[Verdict, tuple[str, str]] = {
        "breaks": ("fails to start", "fail to start"),
        "now": ("changes now", "change now"),
        "next": ("changes later", "change later"),
    }
    numbers = ((counts.get(each, 0), *forms) for each, forms in words.items())
    said = [f"{number:,} {one if number == 1 else many}" for number, one, many in numbers if number]
    return ", ".join(said) or "nothing changes"


def _restart(outcome: Outcome) -> Iterator[str]:
    whom = outcome.whom.get("stronger later")
    if whom:
        won = f" ({_listed(whom)})" if whom.words else ""
        yield f"restart {whom} afterwards: what the upgrade closes stays open until then{won}"


def _back(outcome: Outcome) -> Iterator[str]:
    whom = outcome.whom.get("not restored")
    if whom:
        who = counted(whom.workloads, "workload")
        yield f"the way back is not exact: what starts meanwhile keeps its filter until it is restarted ({who})"
    elif outcome.whom.get("restored"):
        yield "the way back is exact: it restarts what has changed, too"


def _listed(whom: Whom) -> str:
    return ", ".join(sorted(whom.words))


def titled(pool: str) -> str:
    """Name a pool as a person would."""
    return f"pool {pool}" if pool != OTHERS else "the nodes"
