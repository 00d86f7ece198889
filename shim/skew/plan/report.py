"""A plan as a report: a row for each container of a workload, a column for each pool, and what to act on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runtimes.decision import Step
from shim.nodefile import changes, fill
from shim.report.model import Cell, Detail, Finding, Report, Row
from shim.report.words import counted
from shim.skew.plan import order
from shim.skew.plan.inventory import OTHERS
from shim.skew.plan.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shim.nodefile import Document
    from shim.report.model import Level, Status
    from shim.skew.plan.effect import Effect, Verdict
    from shim.skew.plan.inventory import Pool
    from shim.skew.plan.plan import Part, Upgrade, Workload

_LEVELS: tuple[Level, ...] = ("error", "warning", "note")
_NODES = 5  # that are named, of those that no pool is for
_PIPE = "standard input"  # which nobody can open at a line afterwards
_ABSENT = Cell("", "absent")
_WHEN: dict[Verdict, str] = {"breaks": "fails to start", "now": "now", "next": "next restart", "same": "unchanged"}
_TOLD: tuple[tuple[Verdict, str, str], ...] = (
    ("breaks", "would fail to start", "would fail to start"),
    ("now", "changes now", "change now"),
    ("next", "changes at its next restart", "change at their next restart"),
    ("same", "stays as it is", "stay as they are"),
)


class Plan(Outcome):
    """An outcome, and the parts of the report that a workload adds to."""

    rows: list[Row] = []
    details: dict[str, Detail] = {}
    findings: list[Finding] = []

    def take(self, workload: Workload) -> None:
        """Count a workload and write it down."""
        self.add(workload)
        group = str(workload.owner)
        columns = [each.pool.name for each in self.upgrades]
        for name, pools in workload.containers.items():
            cells = tuple([self._cell(pools.get(column)) for column in columns])
            self.rows.append(Row(head=name, cells=cells, group=group))
        for pool in workload.pools:
            self.findings += self._findings(workload, pool)

    def report(self, unnamed: dict[str, int], interrupted: str = "") -> Report:
        """Return the report. `unnamed` are the nodes that no pool is for, with the number of their pods."""
        return Report(
            verb="plan",
            title="; ".join(way(each) for each in self.upgrades),
            summary=(told(self.counts), *order.steps(self)),
            corner="container",
            columns=tuple(column(each.pool) for each in self.upgrades),
            rows=tuple(self.rows),
            details=dict(sorted(self.details.items())),
            findings=(*_nodes(self.upgrades), *_unnamed(unnamed), *sorted(self.findings, key=_rank)),
            interrupted=interrupted,
        )

    def _cell(self, parts: list[Part] | None) -> Cell:
        """Say the worst of what happens; its detail is that of this one."""
        if not parts:
            return _ABSENT
        worst = parts[0]
        effect = worst.effect
        if effect.verdict == "same" and not effect.refused_before:
            return _SAME
        if worst.key not in self.details:
            self.details[worst.key] = _detail(effect)
        return Cell(_label(effect), _status(effect), worst.key)

    def _findings(self, workload: Workload, pool: str) -> Iterator[Finding]:
        found: dict[tuple[Level, str, str], list[tuple[str, tuple[str, int]]]] = {}
        for container, _pool, part in workload.parts(pool):
            for level, rule, message in self._about(part.effect, pool):
                found.setdefault((level, rule, message), []).append((container, part.place))
        for (level, rule, message), where in found.items():
            file, line = min(place for _container, place in where)
            if file == _PIPE:
                file, line = "", 0
            names = ", ".join(dict.fromkeys(container for container, _place in where))
            on = f"on {order.titled(pool)}: " if pool != OTHERS else ""
            subject = f"{workload.owner}: {names}"
            yield Finding(
                level=level, rule=rule, message=f"{on}{message}", subject=subject, file=file, line=line or None
            )

    def _about(self, effect: Effect, pool: str) -> Iterator[tuple[Level, str, str]]:
        """Say what there is to act on."""
        when = "now" if effect.verdict == "now" else "from its next restart on"
        if effect.verdict == "breaks":
            if not self._dead(pool):
                reason = effect.error.message if effect.error else effect.after
                yield "error", "would-fail-to-start", f"would fail to start: {reason}"
        elif effect.verdict == "same":
            if effect.refused_before:
                reason = effect.error.message if effect.error else effect.after
                yield "note", "fails-before", f"does not start as it is, either: {reason}"
        elif effect.less:
            for name in effect.lost:
                yield "warning", "loses-mitigation", f"loses the mitigation {name} {when}"
            if not effect.lost:
                yield "note", "less-confined", f"may do more {when}: {effect.before} -> {effect.after}"
        elif effect.differs:
            rule = "changes-now" if effect.verdict == "now" else "changes-at-restart"
            yield "note", rule, f"{_how(effect) or 'differs'} {when}: {effect.before} -> {effect.after}"

    def _dead(self, pool: str) -> bool:
        """Whether nothing at all starts on the new nodes of a pool, which is said once."""
        return any(each.after.refusal is not None for each in self.upgrades if each.pool.name == pool)


_SAME = Cell(_WHEN["same"], "same")


def _rank(finding: Finding) -> int:
    return _LEVELS.index(finding.level)


def _nodes(upgrades: Iterable[Upgrade]) -> Iterator[Finding]:
    for each in upgrades:
        refusal = each.after.refusal
        if refusal is not None:
            message = f"no pod starts on {order.titled(each.pool.name)}: {refusal}"
            yield Finding(
                level="error", rule="node-does-not-run", message=message, subject=way(each), file=each.pool.files[1]
            )


def _unnamed(unnamed: dict[str, int]) -> Iterator[Finding]:
    if unnamed:
        names = [name or "no node yet" for name in sorted(unnamed)]
        more = f" and {counted(len(names) - _NODES, 'other')}" if len(names) > _NODES else ""
        message = (
            f"{counted(sum(unnamed.values()), 'pod')} of nodes that no pool is for are left out: "
            f"{', '.join(names[:_NODES])}{more}"
        )
        yield Finding(level="warning", rule="node-not-named", message=message)


def _detail(effect: Effect) -> Detail:
    restarted = (effect.restarted,) if effect.restarted else ()
    refused = (Step(effect.error.where, effect.error.reason, effect.error.message),) if effect.error else ()
    return Detail(
        title=_label(effect),
        before=effect.before,
        after=effect.after,
        digest=effect.digest,
        changes=effect.changes,
        steps=(*restarted, *effect.facts, *effect.steps, *refused),
        steps_before=effect.steps_before,
    )


def _label(effect: Effect) -> str:
    """Say in a few words what happens: "next restart: may do less"."""
    if effect.error is not None:
        return "fails to start, as before" if effect.refused_before else _WHEN[effect.verdict]
    return f"{_WHEN[effect.verdict]}: {_how(effect)}"


def _how(effect: Effect) -> str:
    """Say in which direction what a container has changes."""
    if effect.refused_before:
        return "starts"
    if effect.less and effect.more:
        return "may do other things"
    if effect.less:
        return "may do more"
    if effect.more:
        return "may do less"
    return "is refused otherwise" if effect.changes else "restarts as it is"


def _status(effect: Effect) -> Status:
    if effect.error is not None:
        return "refused"
    if effect.verdict == "next":
        return "pending"
    if effect.less != effect.more:
        return "gained" if effect.less else "lost"
    return "changed" if effect.differs else "same"


def told(counts: dict[Verdict, int]) -> str:
    """Say how many workloads there are of each kind: "3 workloads change now, 1 stays as it is"."""
    said = [f"{counts[each]:,} {one if counts[each] == 1 else many}" for each, one, many in _TOLD if counts.get(each)]
    if not said:
        return "there are no workloads"
    first, *rest = said
    number, _, what = first.partition(" ")
    return ", ".join([f"{number} workload{'' if number == '1' else 's'} {what}", *rest])


def column(pool: Pool) -> str:
    """Name a pool at the head of its column."""
    if pool.name != OTHERS:
        return pool.name
    return " -> ".join(os.path.basename(each) for each in pool.files)  # noqa: PTH119  pathlib is slow to import


def way(upgrade: Upgrade) -> str:
    """Say from what to what a pool is upgraded: "workers: kubelet 1.30.14 -> 1.31.13, containerd 1.7.27 -> 2.0.9"."""
    pool = upgrade.pool
    head = f"{pool.name}: " if pool.name != OTHERS else ""
    return head + (", ".join(_settings(pool.before, pool.after)) or "nothing is changed")


def _settings(before: Document, after: Document) -> Iterator[str]:
    """Say settings as people do: the release of a component by its name."""
    lines = dict(line.split(": ", 1) for line in changes(before, after))
    lines.pop("host.root", None)
    old, new = fill(before).runtime, fill(after).runtime
    if lines.pop("runtime.name", None):
        lines.pop("runtime.version", None)
        yield f"{old.name} {old.version} -> {new.name} {new.version}"
    for name, value in lines.items():
        if name == "runtime.version":
            yield f"{new.name} {value}"
        else:
            yield f"{name.removesuffix('.version')} {value}"
