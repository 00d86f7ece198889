"""The steps of an experiment file and what is expected after them: values that meet the schema -> `Step`s.

What a schema cannot say is looked at here: that a step does one thing, that releases exist and lie in the right
direction from those that the nodes have by then, that settings are settings, and that names mean somebody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.errors import BadInput
from shim.builtin import capabilities
from shim.nodefile import reading
from shim.skew.calls import call
from shim.skew.experiments.actions import VERBS, action, names_of, startable, written
from shim.skew.experiments.experiment import (
    CHECKS,
    Delete,
    Deploy,
    Expectation,
    Kill,
    Reboot,
    Reload,
    Restart,
    Step,
    Upgrade,
    Which,
    matching,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shim.nodefile import Document
    from shim.skew.experiments.experiment import Workload
    from shim.skew.experiments.places import Places

_STARTING = (Upgrade, Restart, Reload, Reboot)  # what has a component read what is written down


class Steps:
    """The steps that were read so far. What is wrong goes into `faults`.

    With `in_any_order` they are what may happen, not what happens: each is looked at for itself.
    """

    def __init__(self, faults: list[BadInput], *, in_any_order: bool = False) -> None:
        self.faults, self._in_any_order = faults, in_any_order
        self.found: list[Step] = []
        self.at_end: list[Expectation] = []
        self._places: list[tuple[Places, str]] = []  # of each step: the file, and its field
        self._lost: int | None = None  # the first step after one that could not be read

    def read(self, said: Sequence[dict[str, Any] | str], base: str, places: Places) -> None:
        """Take the steps of one file."""
        for field, each in places.numbered("steps", said):
            if each is None:
                self._lose()
                continue
            step = {each: None} if isinstance(each, str) else each
            expected = self._expect(step.get("expect") or (), places, f"{field}.expect")
            verbs = [key for key in VERBS if key in step]
            if len(verbs) == 1:
                (verb,) = verbs
                try:
                    done = action(verb, step[verb], base)
                except BadInput as fault:
                    self.faults.append(places.blamed(f"{field}.{verb}", fault))
                else:
                    self._places.append((places, f"{field}.{verb}" if isinstance(each, dict) else field))
                    nodes = names_of(step.get("nodes")) or ("*",)
                    name = step.get("name") or str(done)
                    self.found.append(
                        Step(name=name, action=done, nodes=nodes, expect=expected, place=places.of(field))
                    )
                    continue
            elif not places.is_faulty(field):
                what = f"does {' and '.join(verbs)}" if verbs else "does nothing"
                self.faults.append(places.fault(field, what, f"one of {', '.join(VERBS)}"))
            self._lose()

    def _lose(self) -> None:
        self._lost = len(self.found) if self._lost is None else self._lost

    def last(self, said: Sequence[dict[str, Any]], places: Places) -> None:
        """Take what one file expects at the end."""
        self.at_end += self._expect(said, places, "expect")

    def check(self, nodes: dict[str, Document], workloads: dict[str, Workload], *, whole: bool) -> None:
        """Look at every step with the nodes and workloads that there are by then.

        Unless it is the `whole` of them that could be read, nobody is missed.
        """
        documents = dict(nodes)
        there = [
            (node, workload.name, str(pod), container.name or "")
            for workload in workloads.values()
            for node in matching(workload.nodes, tuple(nodes))
            for pod in workload.pods
            for container in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))
        ]
        for number, (step, (places, field)) in enumerate(zip(self.found, self._places, strict=True)):
            if whole:
                self._names(step, places, field, tuple(nodes), tuple(workloads))
                if isinstance(step.action, Kill) and not any(step.action.which.matches(*each) for each in there):
                    self._fault(places, field, f"nothing is {step.action.which}")
            if self._in_any_order or self._lost is None or number < self._lost:
                self._written(step, places, field, dict(nodes) if self._in_any_order else documents)
        if not whole:
            return
        for expected in (*(each for step in self.found for each in step.expect), *self.at_end):
            about_node = expected.kubelet is not None or expected.runtime is not None
            is_there = any(expected.which.matches(*each) for each in there)
            if not is_there and not (about_node and matching(expected.which.node, tuple(nodes))):
                what = f"there is never a container with {expected.which}"
                if about_node:
                    what = f"no node is called {' or '.join(expected.which.node)}"
                place = expected.place
                self.faults.append(
                    BadInput(what, where=place.file, line=place.line, column=place.column, field=place.field)
                )

    def _names(
        self, step: Step, places: Places, field: str, nodes: tuple[str, ...], workloads: tuple[str, ...]
    ) -> None:
        """Look whether the nodes and workloads are there that a step names."""
        if not matching(step.nodes, nodes):
            what = f"no node is called {' or '.join(step.nodes)}"
            self._fault(places, f"{field.partition('.')[0]}.nodes", what, nodes)
        if isinstance(step.action, (Deploy, Delete)):
            for name in step.action.workloads:
                if not matching((name,), workloads):
                    self._fault(places, field, f"there is no workload {name}", workloads)

    def _written(self, step: Step, places: Places, field: str, documents: dict[str, Document]) -> None:
        """Write down on every node what a step does, and tell what is wrong with it once."""
        for name in matching(step.nodes, tuple(documents)):
            try:
                documents[name] = written(documents[name], step.action, at_once=not self._in_any_order)
                if self._in_any_order or isinstance(step.action, _STARTING):
                    startable(documents[name])
            except BadInput as fault:
                inside = fault.faults if isinstance(fault, reading.BadDocument) else (fault,)
                for each in inside:
                    told = BadInput(f"{each.field}: {each.what}" if each.field else each.what, right=each.right)
                    self.faults.append(places.blamed(field, told))
                return

    def _fault(self, places: Places, field: str, what: str, known: tuple[str, ...] = ()) -> None:
        names = ", ".join(known)
        self.faults.append(places.fault(field, what, f"one of {names}" if names else ""))

    def _expect(self, said: Sequence[dict[str, Any]], places: Places, field: str) -> tuple[Expectation, ...]:
        found = []
        for place, each in places.numbered(field, said):
            if each is None or places.is_faulty(place):
                continue
            try:
                found.append(_expectation(each, places, place))
            except BadInput as fault:
                self.faults.append(places.blamed(place, fault))
        return tuple(found)


def _expectation(said: dict[str, Any], places: Places, field: str) -> Expectation:
    which = Which(**{name: names_of(said.get(name)) for name in Which.__struct_fields__})
    checks = {name: said[name] for name in CHECKS if said.get(name) is not None}
    more = {name: names_of(said.get(name)) for name in ("capabilities", "allows", "denies")}
    if not checks and not any(more.values()):
        raise BadInput("expects nothing", right=f"one of {', '.join((*CHECKS, *more))}")
    for name in more["capabilities"]:
        capabilities([name.removeprefix("!")])
    return Expectation(
        which=which,
        place=places.of(field),
        capabilities=more["capabilities"],
        allows=tuple(call(text) for text in more["allows"]),
        denies=tuple(call(text) for text in more["denies"]),
        **checks,
    )
