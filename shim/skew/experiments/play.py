"""Playing an experiment: each node for itself, step by step, in this process or against a live server.

Nodes have nothing to do with each other here, so they are played one after the other; what came of it is put together
by step. A live server is given back as it was found.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from runtimes.errors import BadInput, CrishimError
from shim.cri.client import Client
from shim.cri.direct import Direct
from shim.engine.engine import Engine
from shim.engine.store import MEMORY, Store
from shim.kubelet.handshake import Fault
from shim.nodefile import default_document, open_node
from shim.skew.experiments.experiment import Deploy, Experiment
from shim.skew.experiments.moment import Moment
from shim.skew.experiments.rehearsed import LiveClock, OwnClock
from shim.skew.experiments.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from shim.cri.client import Connection
    from shim.skew.experiments.rehearsed import Clock

Story = tuple[Moment | None, ...]
"""A node over time: how it began, and what it was after each step; None after a step that did not concern it."""


def play(
    experiment: Experiment,
    sockets: Mapping[str, str] | None = None,
    told: Callable[[str, int], object] = lambda _node, _step: None,
) -> Iterator[tuple[str, Story]]:
    """Play every node and yield what became of it, by its name. `told` hears of each step that is done.

    `sockets` names the live server of each node ("" for all that are not named); without it everything happens in this
    process. Raises `BadInput` with its step's place for what cannot be done. Interrupted while it plays the only node,
    it yields the story so far, which has fewer moments.
    """
    for name in experiment.nodes:
        with _connection(name, sockets) as (connection, clock):
            story: list[Moment | None] = []
            try:
                for moment in _node(experiment, name, connection, clock, told):
                    story.append(moment)  # noqa: PERF402  one after the other: what was played stays
            except KeyboardInterrupt:
                if story and len(experiment.nodes) == 1:
                    yield name, tuple(story)
                raise
            yield name, tuple(story)


def _node(
    experiment: Experiment,
    name: str,
    connection: Connection,
    clock: Clock,
    told: Callable[[str, int], object],
) -> Iterator[Moment | None]:
    site = Site(name, experiment.nodes[name], experiment.on(name), connection, clock)
    try:
        if experiment.first:
            site.do(Deploy(workloads=experiment.first))
        told(name, 0)
        yield site.moment()
        for number, step in enumerate(experiment.steps, 1):
            if step.concerns(name):
                try:
                    site.do(step.action)
                except BadInput as fault:
                    what = f"step {number} on node {name}: {fault}"
                    raise BadInput(what, where=step.place.file, line=step.place.line) from None
            told(name, number)
            yield site.moment() if step.concerns(name) else None
    finally:
        site.clear()


@contextlib.contextmanager
def _connection(name: str, sockets: Mapping[str, str] | None) -> Iterator[tuple[Connection, Clock]]:
    if sockets is None:
        clock = OwnClock()
        engine = Engine(open_node(default_document()), Store.open(MEMORY), clock)
        with contextlib.closing(engine):
            yield Direct(engine), clock
        return
    path = sockets.get(name, sockets.get(""))
    if path is None:
        raise BadInput(f"no server is named for node {name}", where="--socket", right=f"{name}=unix:///PATH")
    with Client(path) as client, _borrowed(client, path):
        yield client, LiveClock()


@contextlib.contextmanager
def _borrowed(client: Client, path: str) -> Iterator[None]:
    """Take a live server that has nothing on it, and give it back with the node that it had."""
    shown = client.call("node", "", "Show")
    if isinstance(shown, Fault):
        raise CrishimError(f"no crishim answers at unix://{path}: {shown.message} (start one with crishim serve)")
    if client.call("runtime", "v1", "ListPodSandbox").items:
        raise CrishimError(f"pods run at unix://{path}: an experiment needs a server to itself (--state :memory:)")
    images = _images(client)
    try:
        yield
    finally:
        for image in _images(client) - images:
            client.call("image", "v1", "RemoveImage", {"image": {"image": image}})
        client.call("node", "", "Replace", {"node_yaml": shown.node_yaml, "origin": "the node before the experiment"})


def _images(client: Client) -> set[str]:
    answer = client.call("image", "v1", "ListImages")
    return set() if isinstance(answer, Fault) else {image.id for image in answer.images}
