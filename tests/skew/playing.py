"""Playing experiments in tests: in this process, and against a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from shim.report.jsonform import render
from shim.skew.experiments.experiment import Experiment
from shim.skew.experiments.file import loads
from shim.skew.experiments.judge import Verdict, judge
from shim.skew.experiments.moment import Moment, Seen
from shim.skew.experiments.play import Story, play
from shim.skew.experiments.report import report

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "skew").glob("*.yaml"))


class Played(NamedTuple):
    """What came of an experiment."""

    experiment: Experiment
    stories: dict[str, Story]
    verdicts: tuple[Verdict, ...]

    @property
    def json(self) -> str:
        """The report."""
        return render(report(self.experiment, self.stories, self.verdicts))

    @property
    def failed(self) -> list[str]:
        """What was expected and did not come, in words."""
        found = [each for each in self.verdicts if each.found]
        return [f"{each.step} {each.step_name}, {each.subject}: {each.expected}: {each.found}" for each in found]

    def moment(self, step: int, node: str = "node-1") -> Moment:
        """Return what a node was after a step that concerned it."""
        found = self.stories[node][step]
        assert found is not None
        return found

    def seen(self, step: int, container: str = "web", node: str = "node-1") -> Seen:
        """Return a container after a step, by its name."""
        (found,) = (each for each in self.moment(step, node).seen if each.container == container)
        return found


def experiment(text: str) -> Experiment:
    """Read an experiment from a text, whose paths start at the top of the tree."""
    return loads(text, "experiment.yaml", base=str(ROOT))


def played(
    asked: Experiment,
    sockets: Mapping[str, str] | None = None,
    told: Callable[[str, int], object] = lambda _node, _step: None,
) -> Played:
    """Play an experiment to its end."""
    stories = dict(play(asked, sockets, told))
    return Played(asked, stories, judge(asked, stories))
