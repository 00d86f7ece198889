"""`crishim skew`: rehearse a sequence of upgrades, flags and restarts before a node is touched."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from shim.cli.outputs import INTERRUPTED, Output, interrupted, outputs
from shim.cli.skew_search import search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.skew.experiments.experiment import Experiment
    from shim.skew.experiments.play import Story


@click.group("skew")
def command() -> None:
    """Rehearse upgrades, downgrades, flags and restarts: who changes, who will at the next restart, and why."""


command.add_command(search)


@command.command("run")
@click.argument("file", metavar="FILE")
@click.option(
    "--socket",
    "sockets",
    multiple=True,
    metavar="[NODE=]unix:///PATH",
    help="Play it against a live server, started with crishim serve; once for each node.  [default: in this process]",
)
@click.option("--all", "everything", is_flag=True, help="Tell of every container after every step.")
@outputs
def run(file: str, sockets: tuple[str, ...], everything: bool, output: Output) -> int:
    """Play an experiment and tell after each step what it did to whom.

    FILE names nodes, workloads, steps and what is expected (crishim skew schema prints the JSON Schema); it is read
    whole, and nothing is played where anything is wrong in it. A running container keeps its filter. A restarted one
    gets what the node would give it then, and a setting counts when its component reads it.

    With --socket the same is done to live servers, over the CRI and the admin service. Such a server has to be empty,
    and gets its node back.

    Exit code: 0 where every expectation held, 1 where one did not or a server went away, 2 where the file is wrong, 130
    when interrupted (Ctrl-C, SIGTERM). What was finished until then is told: nodes, and steps of an only node.
    """
    from shim.cli.skew_text import told
    from shim.skew.experiments.file import load
    from shim.skew.experiments.judge import judge
    from shim.skew.experiments.report import report

    experiment = load(file)
    stories, missing, code = _played(experiment, _paths(sockets, experiment))
    steps = min((len(story) - 1 for story in stories.values()), default=len(experiment.steps))
    if steps < len(experiment.steps):
        experiment = experiment.up_to(steps)
    verdicts = judge(experiment, stories)
    made = report(experiment, stories, verdicts, missing)
    output.deliver(made, lambda: told(experiment, stories, made, everything=everything))
    if missing:
        interrupted("skew run", missing)
        return code
    return int(any(verdict.found for verdict in verdicts))


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of an experiment file, for editors."""
    import json

    from shim.skew.experiments.file import schema as experiment_schema

    click.echo(json.dumps(experiment_schema(), indent=2))


def _played(experiment: Experiment, sockets: dict[str, str] | None) -> tuple[dict[str, Story], str, int]:
    """Play every node; after Ctrl-C or a lost server those that were finished, with a sentence and an exit code."""
    import os

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the C core writes to stderr what we say in sentences

    from runtimes.errors import BadInput, CrishimError
    from shim.skew.experiments.play import play

    stories: dict[str, Story] = {}
    why, code = "", INTERRUPTED
    try:
        with _interrupted_by_sigterm():  # or a server would not get its node back
            stories.update(play(experiment, sockets))  # one after the other: what was finished stays
    except KeyboardInterrupt:
        pass
    except BadInput:
        raise
    except CrishimError as fault:
        if not stories:
            raise
        why, code = f": {fault}", 1
    else:
        return stories, "", 0
    missing = [name for name in experiment.nodes if name not in stories]
    if not missing:
        ((name, story),) = stories.items()
        return stories, f"node {name} was played up to step {len(story) - 1} of {len(experiment.steps)}", code
    return stories, f"node {', '.join(missing)} was not played to its end{why}", code


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take SIGTERM, and a terminal that is closed, for Ctrl-C."""
    import signal

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _paths(sockets: tuple[str, ...], experiment: Experiment) -> dict[str, str] | None:
    """Return the socket of each node, None where none was named."""
    from runtimes.errors import BadInput
    from shim.cli.node import server_path

    if not sockets:
        return None
    found = {}
    for text in sockets:
        node, named, path = text.partition("=")
        if not named:
            node, path = "", text
        if node and node not in experiment.nodes:
            raise BadInput(f"there is no node {node}", where="--socket", right=f"one of {', '.join(experiment.nodes)}")
        found[node] = server_path(path)
    missing = [name for name in experiment.nodes if name not in found and "" not in found]
    if missing:
        right = " ".join(f"--socket {name}=unix:///PATH" for name in missing)
        raise BadInput(f"no server for node {', '.join(missing)}", where="--socket", right=right)
    return found
