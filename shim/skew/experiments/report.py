"""An experiment as a report: every container over time, what to act on, and which expectations held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shim.report.model import Cell, Check, Detail, Finding, Level, Report, Row, Status
from shim.report.words import counted
from shim.skew.compare import Change, less_confined, lines, status_of
from shim.skew.experiments.experiment import Place
from shim.skew.experiments.judge import at
from shim.skew.experiments.moment import RUNNING, Moment, Seen
from shim.skew.experiments.story import differing, happenings, titled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shim.skew.experiments.experiment import Experiment
    from shim.skew.experiments.judge import Verdict
    from shim.skew.experiments.play import Story
    from shim.skew.posture import Posture

BEGIN = "begin"


def report(
    experiment: Experiment, stories: Mapping[str, Story], verdicts: tuple[Verdict, ...], interrupted: str = ""
) -> Report:
    """Return the experiment as a table: every container over time."""
    table = _Table(stories)
    return Report(
        verb="skew run",
        title=experiment.title or experiment.where,
        summary=(*((experiment.says,) if experiment.says else ()), summary(experiment, stories, verdicts)),
        corner="container",
        columns=(BEGIN, *(f"{number} {step.name}" for number, step in enumerate(experiment.steps, 1))),
        rows=table.rows,
        details=table.details,
        findings=(*_of_containers(experiment, stories), *_of_nodes(experiment, stories), *_at_the_end(stories)),
        checks=tuple(_check(experiment, verdict) for verdict in verdicts),
        interrupted=interrupted,
    )


def summary(experiment: Experiment, stories: Mapping[str, Story], verdicts: tuple[Verdict, ...]) -> str:
    """Say in a line how much was played, and what came of it."""
    if not stories:
        return "no node was played to its end"
    nodes = counted(len(experiment.nodes), "node")
    if len(stories) < len(experiment.nodes):
        nodes = f"{len(stories)} of {nodes}"
    failed = sum(bool(verdict.found) for verdict in verdicts)
    counts = f"{nodes}, {counted(len(experiment.steps), 'step')}"
    if not verdicts:
        return f"{counts}; nothing was expected"
    return f"{counts}; {counted(len(verdicts), 'expectation')}: {f'{failed} failed' if failed else 'all held'}"


class _Table:
    """The rows, and the details that they refer to; equal ones are kept once."""

    def __init__(self, stories: Mapping[str, Story]) -> None:
        self.details: dict[str, Detail] = {}
        self._keys: dict[Detail, str] = {}
        self.rows = tuple(row for story in stories.values() for row in self._rows(story))

    def _rows(self, story: Story) -> Iterator[Row]:
        keys = dict.fromkeys(seen.key for moment in story if moment for seen in moment.seen)
        for key in keys:
            cells: list[Cell] = []
            last: Seen | None = None
            for moment in story:
                if moment is None:
                    cells.append(msgspec.structs.replace(cells[-1], status="same"))
                    continue
                seen = moment.by_key().get(key)
                cells.append(self._cell(last, seen))
                last = seen
            title = next(moment.by_key()[key].title for moment in story if moment and key in moment.by_key())
            yield Row(head=title, cells=tuple(cells), group=key[0])

    def _cell(self, before: Seen | None, seen: Seen | None) -> Cell:
        if seen is None:
            return Cell(label="", status="absent")
        old = before.posture if before else None
        changes = differing(old, seen.posture)
        status: Status = "plain" if old is None or old.kind == "none" else status_of(changes)
        label = seen.posture.title if seen.state == RUNNING else seen.state
        if not seen.posture.exists:
            status = "refused" if seen.posture.kind == "refused" else "absent"
        elif old is not None and old.kind == "refused":
            status = "changed"
        then = seen.posture
        if seen.pending and status in ("same", "plain"):
            status, then, changes = "pending", seen.next, differing(seen.posture, seen.next)
            old = seen.posture
        return Cell(label=label, status=status, detail=self._detail(seen, old, then, changes))

    def _detail(self, seen: Seen, before: Posture | None, then: Posture, changes: tuple[Change, ...]) -> str:
        made = Detail(
            title=f"{seen.title} on {seen.node}: {seen.state}",
            before=before.title if before else "",
            after=titled(then),
            digest=then.digest,
            changes=lines(changes),
            steps=then.steps,
            steps_before=before.steps if before and before.steps != then.steps else (),
        )
        if made not in self._keys:
            self._keys[made] = f"d{len(self._keys)}"
            self.details[self._keys[made]] = made
        return self._keys[made]


def _of_containers(experiment: Experiment, stories: Mapping[str, Story]) -> Iterator[Finding]:
    for each in happenings(stories):
        subject, place = f"{each.seen.title} on {each.seen.node}", _place(experiment, each.step)
        if each.what == "fails":
            message = f"{subject} does not start: {titled(each.then)}"
            yield _finding("error", "does-not-start", message, subject, place)
        elif each.what == "changes" and less_confined(each.changes):
            said = "; ".join(line for line in lines(each.changes) if line.startswith("+"))
            message = f"{subject} may do more than before: {said}"
            yield _finding("warning", "less-confined", message, subject, place)


def _of_nodes(experiment: Experiment, stories: Mapping[str, Story]) -> Iterator[Finding]:
    for node, story in stories.items():
        last: Moment | None = None
        for number, moment in enumerate(story):
            for part, why in moment.down(last) if moment else ():
                message = f"the {part} of node {node} does not run: {why}"
                yield _finding("error", f"{part}-down", message, f"node {node}", _place(experiment, number))
            for note in moment.notes if moment else ():
                message = f"node {node}: {note}"
                yield _finding("note", "node-says", message, f"node {node}", _place(experiment, number))
            last = moment or last


def _at_the_end(stories: Mapping[str, Story]) -> Iterator[Finding]:
    for node, story in stories.items():
        for seen in at(story, len(story) - 1).seen:
            if seen.pending:
                subject = f"{seen.title} on {node}"
                message = f"{subject} will change when it is restarted: {seen.posture.title} -> {titled(seen.next)}"
                yield _finding("note", "changes-at-restart", message, subject, Place())


def _finding(level: Level, rule: str, message: str, subject: str, place: Place) -> Finding:
    return Finding(level=level, rule=rule, message=message, subject=subject, file=place.file, line=place.line)


def _check(experiment: Experiment, verdict: Verdict) -> Check:
    place: Place = verdict.expectation.place
    message = ""
    if verdict.found:
        parts = [f"expected {verdict.expected}, found {verdict.found}"]
        for head, steps in (("before", verdict.before), ("after", verdict.after)):
            parts += [f"{head}: {step.layer}: {step.because}" for step in steps]
        message = "\n".join(parts)
    return Check(
        suite=f"{experiment.title or experiment.where}: {verdict.step} {verdict.step_name}",
        name=f"{verdict.subject}: {verdict.expected}",
        passed=not verdict.found,
        message=message,
        file=place.file,
        line=place.line,
    )


def _place(experiment: Experiment, number: int) -> Place:
    """Return where a step stands; nowhere for the beginning."""
    return experiment.steps[number - 1].place if number else Place()
