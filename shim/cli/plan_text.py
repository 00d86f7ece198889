"""A plan for a person: how many, what happens to whom, and what to do; what stays as it is takes no lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.report.status import styles_of
from shim.report.words import counted
from shim.skew.compare import some
from shim.skew.plan.inventory import OTHERS
from shim.skew.plan.report import told, way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.decision import Step
    from shim.cli.terminal import Terminal
    from shim.report.model import Report
    from shim.skew.plan.effect import Effect, Verdict
    from shim.skew.plan.outcome import Happening
    from shim.skew.plan.report import Plan

_HEADS: tuple[tuple[Verdict, str, str], ...] = (
    ("breaks", "would fail to start", "red"),
    ("now", "changes now: the upgrade restarts it", "yellow"),
    ("next", "changes at its next restart", "cyan"),
)
_SHOWN = 6  # things that happen of one kind
_CHANGES = 4  # lines of changes of one thing
_REASONS = 3
_NAMES = 6  # calls of one line
_MARGIN = 13


def text(plan: Plan, report: Report, pods: int, terminal: Terminal) -> str:
    """Return the plan in lines."""
    lines = [terminal.style(line, "bold") for each in plan.upgrades for line in terminal.wrapped(way(each), 0)]
    lines += terminal.wrapped(f"{told(plan.counts)} ({counted(pods, 'pod')})", 0)
    for verdict, head, colour in _HEADS:
        happenings = plan.of(verdict)
        if happenings:
            lines += ["", terminal.style(head, colour)]
        for each in happenings[:_SHOWN]:
            lines += _happening(each, terminal)
        if len(happenings) > _SHOWN:
            lines += [f"  and {len(happenings) - _SHOWN} other things; --report FILE.html shows them all"]
    lines += _notes(plan, report, terminal)
    steps = report.summary[1:]
    if steps:
        lines += ["", terminal.style("what to do", "bold")]
    for number, step in enumerate(steps, 1):
        first, *rest = terminal.wrapped(step, 5)
        lines += [f"  {number}. {first}", *(f"     {line}" for line in rest)]
    return "\n".join(lines)


def _happening(happening: Happening, terminal: Terminal) -> Iterator[str]:
    effect = happening.effect
    said = f"{effect.before} -> {effect.after}" if effect.before != effect.after else f"{effect.after}, as before"
    yield from (f"  {terminal.style(line, 'bold')}" for line in terminal.wrapped(said, 2))
    for line in effect.changes[:_CHANGES]:
        yield from _indented(_short(line), terminal, 4, *styles_of(line))
    if len(effect.changes) > _CHANGES:
        yield f"    and {len(effect.changes) - _CHANGES} other changes"
    if effect.error is not None:
        yield from _indented(effect.error.message, terminal, 4, "red")
    if effect.lost:
        yield from _indented(f"loses the mitigation {', '.join(effect.lost)}", terminal, 4, "red")
    for number, step in enumerate(_reasons(effect)):
        yield from _labelled("" if number else "because", step.because, step.source, terminal)
    names = [f"{owner}: {', '.join(containers)}" for owner, containers in happening.examples.items()]
    more = happening.workloads - len(names)
    others = f" and {counted(more, 'other')}" if more > 0 else ""
    pools = sorted(pool for pool in happening.pools if pool != OTHERS)
    on = f", on {', '.join(pools)}" if pools else ""
    yield from _labelled("whom", f"{'; '.join(names)}{others} ({counted(happening.pods, 'pod')}{on})", "", terminal)


def _reasons(effect: Effect) -> list[Step]:
    """Return the reasons that tell most: why it restarts, what lies between the releases, or other rules; each once."""
    restarted = (effect.restarted,) if effect.restarted else ()
    rules = effect.facts or tuple(each for each in effect.steps if each.layer != "profile") or effect.steps
    if effect.error is not None:
        rules = () if effect.missing else effect.steps[-1:]
    elif not effect.changes:
        rules = ()
    sources: dict[str, Step] = {}
    for each in (*restarted, *rules):
        sources.setdefault(each.source or each.because, each)
    return list(sources.values())[:_REASONS]


def _notes(plan: Plan, report: Report, terminal: Terminal) -> Iterator[str]:
    """Yield what is to be known besides: nodes that do not run or are not named, and what does not start today."""
    lines = [each.message for each in report.findings if each.rule in ("node-does-not-run", "node-not-named")]
    failing = [each for each in plan.of("same") if each.effect.refused_before]
    lines += [
        f"{counted(each.workloads, 'workload')} would not start as the nodes are, either: "
        f"{each.effect.error.message if each.effect.error else each.effect.after} ({', '.join(each.examples)})"
        for each in failing[:_SHOWN]
    ]
    if lines:
        yield ""
    for line in lines:
        first, *rest = terminal.wrapped(line, 2)
        yield terminal.style("! ", "yellow") + first
        yield from (f"  {each}" for each in rest)


def _short(line: str) -> str:
    """Cut a long list of calls; what they meet stays."""
    names, bracket, outcome = line.partition(" (")
    return some(names.split(", "), _NAMES) + bracket + outcome


def _indented(said: str, terminal: Terminal, indent: int, *styles: str) -> Iterator[str]:
    first, *rest = terminal.wrapped(said, indent + 2)
    yield " " * indent + terminal.style(first, *styles)
    yield from (" " * (indent + 2) + terminal.style(each, *styles) for each in rest)


def _labelled(label: str, said: str, source: str, terminal: Terminal) -> Iterator[str]:
    cited = f" [{source}]" if source else ""
    first, *rest = terminal.wrapped(said + cited, _MARGIN, dim_from=len(said))
    yield f"    {label:<{_MARGIN - 4}}{first}"
    yield from (" " * _MARGIN + each for each in rest)
