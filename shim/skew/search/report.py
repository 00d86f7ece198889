"""What came of a search, in sentences and as a report: the way to a surprise as a table, or that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from shim.report.model import Finding, Report
from shim.report.words import counted
from shim.skew.experiments import report as story_report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shim.skew.experiments.experiment import Experiment
    from shim.skew.experiments.judge import Verdict
    from shim.skew.experiments.play import Story
    from shim.skew.search.properties import Property
    from shim.skew.search.search import Found, Search

VERB = "skew search"


def shortest(searches: Sequence[Search]) -> Found | None:
    """Return what was found in the fewest steps, on whichever node."""
    return min((each.found for each in searches if each.found), key=lambda found: len(found.steps), default=None)


def sentences(properties: tuple[Property, ...], searches: Sequence[Search]) -> tuple[str, ...]:
    """Say what was found, how much was looked at, and whether that was everything."""
    return (_outcome(properties, searches), *(line for each in searches for line in _of_node(each)))


def report(
    searched: Experiment, properties: tuple[Property, ...], searches: Sequence[Search], interrupted: str
) -> Report:
    """Return the report of a search that found nothing."""
    return Report(
        verb=VERB,
        title=searched.title or searched.where,
        summary=sentences(properties, searches),
        interrupted=interrupted,
    )


def with_example(
    plain: Report, found: Found, example: Experiment, stories: Mapping[str, Story], verdicts: tuple[Verdict, ...]
) -> Report:
    """Return the report with what was found: the containers of the counter-example over its steps."""
    shown = story_report.report(example, stories, verdicts)
    place = found.steps[-1].place if found.steps else None
    finding = Finding(
        level="error",
        rule="property-does-not-hold",
        message=f"{found.broken.name} does not hold: {'; '.join(each.says for each in found.surprises)}",
        subject=f"node {found.node}",
        file=place.file if place else "",
        line=place.line if place else None,
    )
    return replace(
        shown,
        verb=VERB,
        title=example.title,
        summary=(example.says, *plain.summary),
        findings=(finding, *shown.findings),
        interrupted=plain.interrupted,
    )


def _outcome(properties: tuple[Property, ...], searches: Sequence[Search]) -> str:
    found = shortest(searches)
    names = " and ".join(each.name for each in properties)
    if found is not None:
        way = f"{counted(len(found.steps), 'step')} lead{'s' if len(found.steps) == 1 else ''} there"
        how = f"{way}, and no shorter way does" if found.steps else "it does not hold at the beginning"
        return f"{found.broken.name} does not hold on {found.node}: {how}"
    if all(each.exhaustive for each in searches):
        return f"{names} {'hold' if len(properties) > 1 else 'holds'}, in whichever order these steps are taken"
    return f"nothing speaks against {names} as far as was looked"


def _of_node(search: Search) -> Iterator[str]:
    seen = search.exploration
    looked = f"{search.node}: {counted(seen.states, 'state')} and {counted(seen.transitions, 'transition')}"
    if search.exhaustive:
        yield f"{looked} looked at, and nothing is left"
    elif search.found and not search.found.steps:
        return
    elif search.found or not search.finished:
        yield f"{looked} looked at, up to {counted(seen.longest, 'step')}"
    else:
        beyond = {
            "depth": f"more than {counted(seen.longest, 'step')}",
            "states": f"more than {counted(seen.states, 'state')}",
        }
        yield f"{looked} looked at; not exhaustive: there are {beyond[seen.bound]}"
    if search.finished and not search.found:
        if search.waits:
            yield f"{search.node}: something waited (as in CrashLoopBackOff), and no step lets time pass: add wait: 5m"
        for step, why in search.impossible:
            yield f"{search.node}: {step.name} was never possible: {why}"
