"""`crishim plan`: what an upgrade of a cluster's nodes does to the pods on them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import click

from shim.cli.outputs import interrupted, outputs
from shim.cli.spreading import spreads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shim.cli.outputs import Output
    from shim.skew.files import Source
    from shim.skew.plan.inventory import Inventory
    from shim.skew.plan.plan import Decided, Upgrade
    from shim.skew.plan.tally import Part, Tally

_NOTHING, _UNPLANNED, _CHANGES, _BREAKS = 0, 1, 3, 4


@click.command("plan")
@click.option("--from", "before", default="", metavar="FILE", help="The node file: the nodes as they are.")
@click.option("--to", "after", default="", metavar="FILE", help="The node file: the nodes as they will be.")
@click.option(
    "--nodes", "inventory_file", default="", metavar="FILE", help="An inventory: which nodes go from what to what."
)
@click.option(
    "-f",
    "--filename",
    "words",
    multiple=True,
    metavar="FILE|GLOB|DIR",
    help="Pods and workloads; - is stdin.  [default: stdin]",
)
@spreads
@outputs
def command(
    before: str, after: str, inventory_file: str, words: tuple[str, ...], jobs: int, dask: str, output: Output
) -> int:
    """Say what an upgrade of nodes does to the pods of a cluster.

    kubectl get pods -A -o json | crishim plan --from now.yaml --to then.yaml

    Every container is taken through the old and the new kubelet and runtime. It changes now (the upgrade itself
    restarts it), at its next restart, not at all, or it would fail to start. The dump may be larger than memory.

    Exit code: 0 where nothing changes, 3 where something changes, 4 where something would fail to start; 1 where no
    pool names the node of any pod, or the output cannot be written, 2 where a file is wrong, 130 where the plan was
    interrupted.
    """
    from shim.cli import plan_text
    from shim.cli.sources import sources
    from shim.cli.terminal import Terminal
    from shim.skew.plan import inventory as inventories
    from shim.skew.plan.plan import begin, workloads
    from shim.skew.plan.report import Plan

    inventory = inventories.read(inventory_file, before, after)
    files = sources(words)
    upgrades = begin(inventory)
    tally, unread = _read(inventory, files, jobs, dask)
    decided, undecided = _decide(inventory, upgrades, tally, jobs)
    missing = "; ".join(each for each in (unread, undecided) if each)
    plan = Plan(upgrades)
    for workload in workloads(tally, decided):
        plan.take(workload)
    report = plan.report(tally.unnamed, missing)
    output.deliver(report, lambda: plan_text.text(plan, report, tally.pods, Terminal()))
    if missing:
        return interrupted("plan", missing)
    if plan.worst == "breaks" or any(each.after.refusal is not None for each in upgrades):
        return _BREAKS
    if tally.pods and sum(tally.unnamed.values()) == tally.pods:
        return _UNPLANNED
    return _NOTHING if plan.worst == "same" else _CHANGES


def _read(inventory: Inventory, files: list[Source], jobs: int, dask: str) -> tuple[Tally, str]:
    """Count the pods, and say what is missing where that is interrupted. Raises `BadInput` for all that is wrong."""
    from shim.cli.progress import progress
    from shim.skew.plan.tally import Tally, count
    from shim.skew.work import spread

    tally = Tally()
    missing = ""
    try:
        task = functools.partial(count, routes=inventory.routes)
        with progress("reading pods", None) as advance:
            for found in spread(task, _parts(files, tally), jobs=jobs, dask=dask):
                tally.add(found)
                advance(found.pods)
    except KeyboardInterrupt:
        missing = f"only {tally.pods:,} pods were read"
    tally.raise_faults()
    return tally, missing


def _decide(inventory: Inventory, upgrades: tuple[Upgrade, ...], tally: Tally, jobs: int) -> tuple[Decided, str]:
    """Decide about the pods, and say what is missing where that is interrupted."""
    from shim.cli.progress import progress
    from shim.skew.plan.plan import decide

    decided: Decided = {}
    done = 0
    try:
        with progress("deciding", tally.cases) as advance:
            for number in decide(upgrades, tally, inventory.runtime_classes, decided, jobs=jobs):
                done += number
                advance(number)
    except KeyboardInterrupt:
        return decided, f"only {done:,} of {tally.cases:,} kinds of pods are decided"
    return decided, ""


def _parts(files: list[Source], tally: Tally) -> Iterator[Part]:
    """Cut the input into parts. A file that cannot be cut is a fault, like what is wrong with a part of one."""
    from contextlib import nullcontext

    from runtimes.errors import BadInput
    from shim.kubelet import dump
    from shim.skew.plan.tally import Part

    for each in files:
        try:
            stream = each.open()
            with nullcontext(stream) if each.path == "-" else stream:
                for piece in dump.pieces(stream, each.title):
                    yield Part(piece, each.searched)
        except BadInput as fault:
            tally.blame(fault)
