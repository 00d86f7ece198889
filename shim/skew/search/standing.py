"""A node in one of the states that moves lead to, in this process: going on from it leaves it as it is.

What makes two states one is the `key`: all that decides what can become of a node, and nothing that only tells when and
how often something happened. Not in it are times (only whether a kubelet waits before it tries again, not how long
still), ids and counts, and what is left of pods that are gone.
"""

from __future__ import annotations

import hashlib
import re
from copy import copy
from typing import TYPE_CHECKING, Any

import msgspec

from shim.cri.direct import Direct
from shim.engine.engine import Engine
from shim.engine.store import MEMORY, Store
from shim.kubelet import sync
from shim.kubelet.labels import CONTAINER_HASH
from shim.kubelet.observed import wanted
from shim.nodefile import default_document, open_node
from shim.skew.experiments.actions import written
from shim.skew.experiments.experiment import Deploy
from shim.skew.experiments.rehearsed import OwnClock
from shim.skew.experiments.site import Site
from shim.skew.search.properties import remembered

if TYPE_CHECKING:
    from shim.node import Entry, Node
    from shim.skew.experiments.experiment import Action, Experiment
    from shim.skew.experiments.moment import Moment, Seen
    from shim.skew.experiments.observer import Deployed
    from shim.skew.search.exploring import Path
    from shim.skew.search.properties import Last

ID_OR_TIME = re.compile(r"[0-9a-fTZ:.+-]{12,}")  # in a message


class Standing:
    """Where a node stands: its moment, and what every container had last before it. To be closed."""

    def __init__(self, site: Site, engine: Engine, last: Last, nodes: dict[bytes, Node]) -> None:
        self.site, self.last = site, last
        self._engine, self._nodes = engine, nodes
        # Nodes that are alike are one, so that what pods would get there is found out once.
        self._in_force = _encoded(
            [site.node.document.host, site.node.kubelet.release.upstream, site.node.kubelet.settings],
            [_in_force(entry) for entry in site.node.entries.values()],
        )
        site.node = nodes.setdefault(self._in_force, site.node)
        self.moment: Moment = site.moment()

    @classmethod
    def first(cls, experiment: Experiment, node: str) -> Standing:
        """Return how a node begins. Raises `BadInput` where it does not."""
        clock = OwnClock()
        engine = Engine(open_node(default_document()), Store.open(MEMORY), clock)
        try:
            site = Site(node, experiment.nodes[node], experiment.on(node), Direct(engine), clock)
            if experiment.first:
                site.do(Deploy(workloads=experiment.first))
            return cls(site, engine, {}, {})
        except BaseException:
            engine.close()
            raise

    def after(self, action: Action) -> Standing:
        """Return where it stands after an action. Raises `BadInput` where that is not possible."""
        written(self.site.document, action)  # what that refuses is refused before anything is copied
        clock = copy(self.site.clock)
        engine = self._engine.copy(clock)
        try:
            site = self.site.copy(Direct(engine), clock)
            site.do(action)
            return Standing(site, engine, remembered(self.last, self.moment), self._nodes)
        except BaseException:
            engine.close()
            raise

    def close(self) -> None:
        """Give its memory back."""
        self._engine.close()

    def key(self) -> bytes:
        """Return what tells it from another state of the node."""
        site, moment = self.site, self.moment
        there = site.observer.there()
        seen: dict[tuple[str, str], list[Seen]] = {}
        for each in moment.seen:
            seen.setdefault((each.workload, each.pod), []).append(each)
        agent = site.agent
        last = remembered(self.last, moment)
        whole = _encoded(
            (moment.setup, _without_ids(moment.kubelet), _without_ids(moment.runtime)),
            (site.served_by.release.upstream, site.served_by.settings),
            agent and agent.dialect,
            sorted(site.away),
            [(key, self._pod(pod, seen.get(key, []), there)) for key, pod in site.pods.items()],
            [(key, last[key].posture.kind, last[key].posture.digest) for key in sorted(last)],
        )
        return hashlib.blake2b(self._in_force + whole, digest_size=16).digest()

    def _pod(self, pod: Deployed, seen: list[Seen], there: dict[tuple[str, str], Any]) -> list[Any]:
        site, agent = self.site, self.site.agent
        now = site.clock.now_ns()
        uid = wanted(site.served_by, pod.current).uid
        made = pod.current
        found: list[Any] = [str(pod.refused or ""), made.labels, made.annotations, made.spec]
        found.append(agent is not None and agent.backoff.resumes(uid) > now)
        for each in seen:
            item = there.get((uid, each.container))
            errors = [one.error.message if one.error else "" for one in (each.posture, each.next)]
            has = [each.posture.kind, each.posture.digest, each.next.kind, each.next.digest, *map(_without_ids, errors)]
            found.append((each.container, each.state, each.id != "", has))
            if item is not None:
                written = item.annotations.get(CONTAINER_HASH, "")
                back_off = sync.key(uid, each.container, written)
                waits = agent is not None and agent.backoff.until(back_off, now, now) > now
                found.append((item.state, written, waits, agent is not None and item.id in agent.ended))
        return found


class Trail:
    """The standings along one sequence of moves. The next sequence is not far: those before its last moves are kept."""

    def __init__(self, first: Standing, actions: tuple[Action, ...]) -> None:
        self._actions = actions
        self._path: Path = ()
        self._standings = [first]

    def at(self, path: Path) -> Standing:
        """Return where the node stands after a sequence; it is closed with a later one, or with the trail."""
        shared = next(
            (number for number, pair in enumerate(zip(path, self._path, strict=False)) if pair[0] != pair[1]),
            min(len(path), len(self._path)),
        )
        self._close(shared + 1)
        for move in path[shared:]:
            self._standings.append(self._standings[-1].after(self._actions[move]))
        self._path = path
        return self._standings[-1]

    def close(self) -> None:
        """Give its memory back."""
        self._close(0)

    def _close(self, kept: int) -> None:
        for each in self._standings[kept:]:
            each.close()
        del self._standings[kept:]


def _encoded(*parts: Any) -> bytes:
    return msgspec.json.encode(parts, enc_hook=_content, order="deterministic")


def _content(thing: Any) -> Any:
    """Return what is in something that JSON has no word for; what shows nothing is like nothing else."""
    return getattr(thing, "__dict__", None) or repr(thing)


def _without_ids(text: str) -> str:
    """Return a message without the ids and times in it."""
    return ID_OR_TIME.sub("", text)


def _in_force(entry: Entry) -> tuple[Any, ...]:
    """Return what a runtime runs with: what it was started from, and where its family reloads, what became of that."""
    runtime = entry.runtime
    config = getattr(runtime, "config", None) if hasattr(runtime, "reload") else None
    return entry.name, entry.handler, runtime.release.upstream, entry.started_from, config
