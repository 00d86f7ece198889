"""What differs between two nodes: their settings, and what the same pods get on each of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import Refused
from shim.answer import Error, answer_pod
from shim.kubelet import manifest
from shim.kubelet.pod import Origin
from shim.nodefile import changes as setting_changes
from shim.report.model import Cell, Detail, Finding, Level, Report, Row, Status
from shim.report.words import counted
from shim.skew import pairing
from shim.skew.compare import Change, compare, lines, status_of
from shim.skew.posture import Posture, build_of, posture, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtimes.decision import Step
    from shim.kubelet.pod import Pod
    from shim.node import Entry, Node
    from shim.nodefile import Document

_WORDS: dict[Status, str] = {
    "refused": "would fail to start",
    "gained": "MAY DO MORE",
    "changed": "may do some things more, others less, or fails otherwise",
    "lost": "may do less",
    "same": "get the same in other words",
}
_RULES: dict[Status, tuple[Level, str]] = {
    "refused": ("error", "would-fail-to-start"),
    "gained": ("warning", "less-confined"),
    "changed": ("warning", "confined-otherwise"),
    "lost": ("note", "more-confined"),
}

# The four kinds of containers that there are most of, where nobody says which ones are meant.
_PROBES = """
apiVersion: v1
kind: Pod
metadata: {name: says-nothing}
spec: {containers: [{name: app, image: i}]}
---
apiVersion: v1
kind: Pod
metadata: {name: asks-for-RuntimeDefault}
spec: {containers: [{name: app, image: i, securityContext: {seccompProfile: {type: RuntimeDefault}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: asks-for-Unconfined}
spec: {containers: [{name: app, image: i, securityContext: {seccompProfile: {type: Unconfined}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: privileged}
spec: {containers: [{name: app, image: i, securityContext: {privileged: true}}]}
"""


class Pair(msgspec.Struct, frozen=True):
    """One container, or a sandbox, on both nodes; `pod` is "namespace/name" and `origin` where it stands."""

    pod: str
    container: str
    before: Posture
    after: Posture
    changes: tuple[Change, ...] = ()
    origin: Origin | None = None

    @property
    def status(self) -> Status:
        """What somebody inside would notice."""
        if self.before.error is not None and self.after.error is not None:
            return "same" if self.before.error == self.after.error else "refused"
        if self.after.error is not None:
            return "refused"
        return "changed" if self.before.error is not None else status_of(self.changes)

    @property
    def differs(self) -> bool:
        """Whether it gets anything else, be it only the same in other words."""
        return (self.before.section, self.before.error) != (self.after.section, self.after.error)

    @property
    def new_steps(self) -> tuple[Step, ...]:
        """The steps that lead to what it gets now, and did not before."""
        return tuple(step for step in self.after.steps if step not in self.before.steps)

    @property
    def old_steps(self) -> tuple[Step, ...]:
        """The steps that led to what it got before, and do not now; none where nobody is there to decide now."""
        if self.after.error is not None and not self.after.steps:
            return ()
        return tuple(step for step in self.before.steps if step not in self.after.steps)


class NodeDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two nodes; `probes` says whether the containers are made up."""

    before: str
    after: str
    settings: tuple[str, ...]
    pairs: tuple[Pair, ...]
    probes: bool

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.settings) or any(pair.differs for pair in self.pairs)


def diff_nodes(
    before: Document, after: Document, pods: Iterable[Pod] | None = None, handler: str = ""
) -> NodeDifference:
    """Compare two nodes: what was set, and what becomes of pods (None for four that are made up).

    A node of which a component refuses to start, or whose kubelet cannot talk to its runtime, makes no container.
    Raises `BadInput` where a document is wrong.
    """
    one, other = _Side(before, handler), _Side(after, handler)
    tried = manifest.pods(_PROBES, "probes") if pods is None else pods
    return NodeDifference(
        before=before.origin.where,
        after=after.origin.where,
        settings=setting_changes(before, after),
        pairs=tuple(pair for pod in tried for pair in _pairs(pod, one, other) if pair.container or pods is not None),
        probes=pods is None,
    )


class _Side:
    """One of the nodes, or why there is none."""

    def __init__(self, document: Document, handler: str) -> None:
        nobody = Error("kubelet", "", "", "it is not there")
        self.missing = Posture(kind="refused", of="no such container", error=nobody)
        self.opened: tuple[Node, Entry] | None = None
        node, refusal = pairing.started(document)
        if refusal is not None:
            self.missing = refused(refusal, f"the {refusal.where} does not start")
        elif node is not None:
            try:
                self.opened = node, node.entry(handler)
            except Refused as unknown:
                self.missing = refused(unknown, f"no handler {handler}")

    def postures(self, pod: Pod) -> dict[str, Posture]:
        """Return what each container of a pod gets, and its sandbox (""); nothing where the node makes none."""
        if self.opened is None:
            return {}
        answer, build = answer_pod(*self.opened, pod), build_of(*self.opened)
        everyone = {**{each.name: each for each in answer.containers}, "": answer.sandbox}
        return {name: posture(each, build) for name, each in everyone.items()}


def _pairs(pod: Pod, one: _Side, other: _Side) -> Iterator[Pair]:
    before, after = one.postures(pod), other.postures(pod)
    manifest_says = [each.name or "" for each in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))]
    for name in dict.fromkeys((*before, *after)) or manifest_says:
        was, now = before.get(name, one.missing), after.get(name, other.missing)
        unmade = was.error is not None or now.error is not None
        pair = Pair(str(pod), name, was, now, () if unmade else compare(was.section, now.section), pod.origin)
        # A sandbox is of interest where it differs and no container says so already.
        if name or (pair.differs and not unmade):
            yield pair


def lines_of(pair: Pair, most: int | None = None) -> tuple[str, ...]:
    """Say in lines what a container gains and loses, not more than `most` calls a line."""
    if pair.after.error is not None and pair.differs:
        return (f"- {pair.after.error.message}",)
    return lines(pair.changes, most)


def title_of(pair: Pair) -> str:
    """Name a container as people do: "shop/web container app"."""
    return f"{pair.pod} {pair.container}" if pair.container else f"{pair.pod} (sandbox)"


def summary_of(found: NodeDifference) -> tuple[str, ...]:
    """Say it in sentences for a person in a hurry."""
    containers = [pair for pair in found.pairs if pair.container]
    statuses = Counter(pair.status for pair in containers if pair.differs)
    said = [f"{statuses[status]} {words}" for status, words in _WORDS.items() if statuses[status]]
    every = counted(len(containers), "container")
    what = "No manifest was given: these containers are made up, one of each kind." if found.probes else ""
    fate = f"Of {every}: {'; '.join(said)}." if said else f"Of {every}, none gets anything else."
    return tuple(each for each in (fate, what) if each)


def report_of(found: NodeDifference) -> Report:
    """Return the report of two nodes: a row for each container, its reasons behind it."""
    rows, details = [], {}
    for at, pair in enumerate(found.pairs):
        details[f"container-{at}"] = Detail(
            title=title_of(pair),
            before=pair.before.title,
            after=pair.after.title,
            digest=pair.after.digest,
            changes=lines_of(pair),
            steps=pair.after.steps,
            steps_before=pair.before.steps,
        )
        cells = (
            Cell(label=pair.before.title),
            Cell(label=pair.after.title, status=pair.status, detail=f"container-{at}"),
        )
        rows.append(Row(head=pair.container or "sandbox", group=pair.pod, cells=cells))
    return Report(
        verb="diff",
        title=f"{found.before} -> {found.after}",
        summary=(*summary_of(found), *found.settings),
        corner="container",
        columns=(found.before, found.after),
        rows=tuple(rows),
        details=details,
        findings=tuple(finding for pair in found.pairs for finding in _findings(pair)),
    )


def _findings(pair: Pair) -> Iterator[Finding]:
    status = pair.status
    if not pair.differs or status not in _RULES:
        return
    level, rule = _RULES[status]
    said = "; ".join(lines_of(pair))
    message = f"{pair.before.title} -> {pair.after.title}" + (f": {said}" if said else "")
    file, line = (pair.origin.where, pair.origin.line) if pair.origin is not None else ("", None)
    yield Finding(level=level, rule=rule, message=message, subject=title_of(pair), file=file, line=line)
