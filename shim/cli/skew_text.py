"""What `crishim skew run` prints: the story of an experiment, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.cli.terminal import Terminal
from shim.report.status import LOOKS, styles_of
from shim.report.words import counted
from shim.skew.compare import lines
from shim.skew.experiments.moment import RUNNING, WAITING
from shim.skew.experiments.report import BEGIN
from shim.skew.experiments.story import Happening, happenings, titled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shim.report.model import Check, Report
    from shim.skew.experiments.experiment import Experiment
    from shim.skew.experiments.moment import Moment
    from shim.skew.experiments.play import Story

_INDENT = 4  # columns before what a step did
_CALLS = 11  # of one line that gained or lost them: the report has them all
_REASONS = 3  # of one change: the report has them all
_VERBS = {"appears": "starts with", "restarts": "is restarted, and keeps", "ends": "ends; it had"}
_PLAINLY = (RUNNING, WAITING)  # states that are not told of what ends


def told(experiment: Experiment, stories: Mapping[str, Story], report: Report, *, everything: bool = False) -> str:
    """Return the story. With `everything` every container is told of after every step."""
    teller = _Teller(experiment, stories, everything=everything)
    blocks = ["\n".join(teller.head(report)), *("\n".join(step) for step in teller.steps())]
    blocks.append("\n".join(teller.checks(report)))
    return "\n\n".join(block for block in blocks if block)


class _Teller:
    """One story on standard output."""

    def __init__(self, experiment: Experiment, stories: Mapping[str, Story], *, everything: bool) -> None:
        self.experiment, self.stories, self.everything = experiment, stories, everything
        self.terminal = Terminal()
        self._told: dict[tuple[int, str], list[Happening]] = {}
        self._announced: dict[
            tuple[object, ...], int
        ] = {}  # what a restart would change, and in which step that was said
        for each in happenings(stories):
            self._told.setdefault((each.step, each.seen.node), []).append(each)

    def head(self, report: Report) -> Iterator[str]:
        """Say what this is about."""
        yield from (self.terminal.style(line, "bold") for line in self.terminal.wrapped(report.title, 0))
        for sentence in report.summary[:-1]:
            yield from self.terminal.wrapped(sentence, 0)

    def steps(self) -> Iterator[list[str]]:
        """Tell of the beginning and of each step, if anybody has lived through them."""
        if not self.stories:
            return
        names = (BEGIN, *(f"{number} {step.name}" for number, step in enumerate(self.experiment.steps, 1)))
        for number, name in enumerate(names):
            head = [self.terminal.style(line, "bold") for line in self.terminal.wrapped(name, 0)]
            yield [*head, *self._step(number)]

    def checks(self, report: Report) -> Iterator[str]:
        """Say what was expected and did not come, and how it ended."""
        for check in report.checks:
            if not check.passed:
                yield from self._failed(check)
        if any(not check.passed for check in report.checks):
            yield ""
        yield report.summary[-1]

    def _step(self, number: int) -> Iterator[str]:
        quiet = []
        for node, story in self.stories.items():
            moment = story[number]
            if moment is None:
                continue
            lines_of_node = list(self._node(number, node, moment))
            if lines_of_node:
                yield from lines_of_node
            else:
                quiet.append(node)
        if quiet:
            on = f" on {', '.join(quiet)}" if len(self.stories) > 1 else ""
            yield f"  nothing changes{on}"

    def _node(self, number: int, node: str, moment: Moment) -> Iterator[str]:
        last = next((each for each in reversed(self.stories[node][:number]) if each is not None), None)
        told = self._told.get((number, node), [])
        down, up = moment.down(last), moment.up(last)
        if last is None or last.builds != moment.builds or told or down or up or self.everything or moment.notes:
            yield f"  {node}: {moment.builds}" if last is None or last.builds != moment.builds else f"  {node}"
        for part, there in down:
            yield from self._lines(f"the {part} does not run: {there}", "red")
        for part in up:
            yield from self._lines(f"the {part} runs again", "green")
        for note in moment.notes:
            yield from self._lines(note)
        for each in told:
            yield from self._happening(each)
        if self.everything:
            quiet = {each.seen.key for each in told}
            for seen in moment.seen:
                if seen.key not in quiet:
                    yield from self._lines(f"{seen.title}  {seen.state}: {seen.posture.title}", "dim")

    def _happening(self, each: Happening) -> Iterator[str]:
        title = self.terminal.style(each.seen.title, "bold")
        styles = LOOKS[each.status].styles
        if each.what in _VERBS:
            state = f" ({each.seen.state})" if each.what == "ends" and each.seen.state not in _PLAINLY else ""
            yield from self._lines(
                f"{title} {_VERBS[each.what]} {self.terminal.style(each.then.title, *styles)}{state}"
            )
            return
        said = self._announcement(each)
        more = f", as step {said} said" if said is not None else ""
        if each.what == "fails":
            yield from self._lines(f"{title} {self.terminal.style('does not start', 'red')}{more}: {titled(each.then)}")
            if said is not None:
                return
        else:
            verb = "will change when it is restarted" if each.what == "will change" else "changes"
            was = each.before.title if each.before else "nothing"
            now = titled(each.then)
            yield from self._lines(f"{title} {self.terminal.style(verb, *styles)}: {was} -> {now}{more}")
            if said is not None:
                return
            for line in lines(each.changes, None if self.everything else _CALLS):
                yield from self._lines(line, *styles_of(line), more=2)
        for reason in each.reasons[:_REASONS]:
            source = f" [{reason.source}]" if reason.source else ""
            yield from self._lines(f"because {reason.layer}: {reason.because}{source}", "dim", more=2)
        if len(each.reasons) > _REASONS:
            yield from self._lines(f"and {counted(len(each.reasons) - _REASONS, 'more reason')}", "dim", more=2)

    def _announcement(self, each: Happening) -> int | None:
        """Return the step that has said what happens now, if one has."""
        change = each.seen.key, each.before and each.before.digest, each.then.title, each.then.digest
        if each.what != "will change":
            return self._announced.pop(change, None)
        self._announced[change] = each.step
        return None

    def _failed(self, check: Check) -> Iterator[str]:
        place = ":".join(str(part) for part in (check.file, check.line) if part)
        head, *rest = check.message.split("\n")
        yield from self.terminal.wrapped(
            self.terminal.style("failed", "red", "bold") + f" {check.suite.rpartition(': ')[2]}, {check.name}", 0
        )
        for line in (head, *rest, place):
            yield from self._lines(line)

    def _lines(self, text: str, *styles: str, more: int = 0) -> Iterator[str]:
        """Indent a text, and break it where the terminal ends."""
        indent = _INDENT + more
        first, *rest = self.terminal.wrapped(text, indent + 2)
        for line in (first, *(f"  {each}" for each in rest)):
            yield " " * indent + self.terminal.style(line, *styles)
