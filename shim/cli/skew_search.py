"""`crishim skew search`: look for the shortest sequence of steps that does what nobody expects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from shim.cli.outputs import Output, checked, interrupted, outputs, write
from shim.cli.terminal import Terminal

if TYPE_CHECKING:
    from shim.report.model import Report
    from shim.skew.experiments.experiment import Experiment
    from shim.skew.search.properties import Property
    from shim.skew.search.search import Found, Search


@click.command("search")
@click.argument("file", metavar="FILE")
@click.option("--property", "names", multiple=True, metavar="NAME", help="What has to hold.  [never-less-confined]")
@click.option("--call", "calls", multiple=True, metavar="CALL", help="Look at this system call only: socket(AF_ALG).")
@click.option("--depth", type=click.IntRange(min=0), default=8, show_default=True, metavar="N", help="Steps at most.")
@click.option(
    "--states", type=click.IntRange(min=1), default=5000, show_default=True, metavar="N", help="States at most."
)
@click.option("-o", "--write", "target", callback=checked, metavar="FILE", help="Write the sequence there.")
@outputs
def search(
    file: str, names: tuple[str, ...], calls: tuple[str, ...], depth: int, states: int, target: str, output: Output
) -> int:
    """Find the shortest sequence of steps after which something does not hold.

    FILE is an experiment. Its steps are the moves: each may be made any number of times, in any order, wherever it is
    possible. Every state that they lead to is looked at once, the nearest first; what the file expects is not looked
    at. The sequence is printed as an experiment that crishim skew run plays, with the surprise as what it expects.

    \b
    never-less-confined      No container's filter ever allows a system call that
                             the one before it did not.
    rollback-exact           Whenever the node is set up as at the beginning, every
                             container has the filter that it had then.
    always-starts            Kubelet and runtime always run, and no container that
                             ran fails to start.
    restart-changes-nothing  No restart of a container would ever change its filter.
    never-unconfined         No container ever runs without a filter.

    Exit code: 0 where nothing was found, 1 where something was, 2 where the file is wrong, 130 when interrupted.
    """  # noqa: D301  the character that tells click to leave the lines as they are
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the C core writes to stderr what we say in sentences

    from shim.skew.calls import call
    from shim.skew.experiments.file import load
    from shim.skew.search.properties import named
    from shim.skew.search.report import report, shortest

    properties = named(names, tuple(call(text) for text in calls))
    experiment = load(file, in_any_order=True)
    searches, missing = _searched(experiment, properties, depth, states)
    made = report(experiment, properties, searches, missing)
    found = shortest(searches)
    if found is None:
        output.deliver(made, lambda: "\n".join(made.summary))
    else:
        _deliver(experiment, found, made, target, output)
    if missing:
        return interrupted("skew search", missing)
    return int(found is not None)


def _searched(
    experiment: Experiment, properties: tuple[Property, ...], depth: int, states: int
) -> tuple[list[Search], str]:
    """Search every node, later ones only for something shorter; after Ctrl-C a sentence says what is missing."""
    from shim.cli.progress import progress
    from shim.skew.search.report import shortest
    from shim.skew.search.search import Search

    searches: list[Search] = []
    for node in experiment.nodes:
        best = shortest(searches)
        most = depth if best is None else len(best.steps) - 1
        if most < 0:
            break
        search = Search(experiment, node, properties, depth=most, states=states)
        searches.append(search)
        try:
            with progress(f"node {node}, transitions", None) as advance:
                search.run(lambda: advance(1))
        except KeyboardInterrupt:
            missing = list(experiment.nodes)[len(searches) - 1 :]
            return searches, f"node {', '.join(missing)} was not searched to the end"
    return searches, ""


def _deliver(experiment: Experiment, found: Found, made: Report, target: str, output: Output) -> None:
    """Print what was found as a file, or write it and say so; the report has it played."""
    from shim.skew.experiments.file import loads
    from shim.skew.experiments.judge import judge
    from shim.skew.experiments.play import play
    from shim.skew.experiments.text import text
    from shim.skew.search.counterexample import counterexample
    from shim.skew.search.report import with_example

    # What is printed may end up anywhere: its paths are absolute.
    base = os.path.dirname(os.path.abspath(target)) if target else "/"  # noqa: PTH100, PTH120
    written = text(counterexample(experiment, found), base)
    if target:
        write(target, written)
    example = loads(written, target, base=base)
    stories = dict(play(example))
    whole = with_example(made, found, example, stories, judge(example, stories))
    output.deliver(whole, lambda: _told(made, found, written, target))


def _told(made: Report, found: Found, written: str, target: str) -> str:
    """Say what was found; without a file for it the sentences are comments of what is printed, which is a file, too."""
    wrapped = Terminal().wrapped
    if not target:
        comments = [line for each in made.summary for line in wrapped(each, 2)]
        return "\n".join([*(f"# {line}" for line in comments), written.rstrip()])
    head = [line for each in made.summary for line in wrapped(each, 0)]
    steps = [f"  {number} {step.name}" for number, step in enumerate(found.steps, 1)]
    says = [f"  {line}" for each in found.surprises for line in wrapped(each.says, 2)]
    return "\n".join([*head, "", *steps, "", *says, "", f"crishim skew run {target} plays it."])
