"""The experiment file: read whole, with everything that is wrong in it told at once, before anything is played.

A file may include others: their nodes and workloads are there, too, and their steps come first. Paths start beside the
file that names them.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput
from runtimes.facts import read_file
from shim import nodefile
from shim.kubelet import manifest
from shim.nodefile import read_user_file, reading
from shim.skew.experiments.actions import names_of, opened
from shim.skew.experiments.experiment import Experiment, Workload, matching
from shim.skew.experiments.places import Places
from shim.skew.experiments.steps import Steps

if TYPE_CHECKING:
    from shim.kubelet.pod import Pod
    from shim.nodefile import Document

_WHAT_IT_HOLDS = "an experiment holds nodes, workloads, steps and expect"


@functools.cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of an experiment file, that of a node document in it."""
    found: dict[str, Any] = msgspec.json.decode(read_file("shim", "schemas/experiment.schema.json"))
    node = dict(nodefile.schema())
    for key in ("$schema", "$id"):
        del node[key]
    found["$defs"] |= node.pop("$defs") | {"node": node}
    return found


def load(path: str, *, in_any_order: bool = False) -> Experiment:
    """Read an experiment file, "-" for standard input. Raises `BadInput` with a line for each thing that is wrong.

    With `in_any_order` its steps are what may happen, not what happens: each is looked at for itself.
    """
    where, base = ("standard input", os.getcwd()) if path == "-" else (path, os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH109, PTH120
    return loads(read_user_file(path), where, base=base, in_any_order=in_any_order)


def loads(text: str | bytes, where: str, *, base: str, in_any_order: bool = False) -> Experiment:
    """Read an experiment. `where` is what errors begin with, `base` where relative paths start."""
    whole = _Reader(in_any_order=in_any_order)
    whole.read(text, where, base)
    whole.check(where)
    if whole.faults:
        raise reading.BadDocument(whole.faults)
    return whole.experiment(where)


class _Reader:
    """One file and those that it includes."""

    def __init__(self, *, in_any_order: bool) -> None:
        self.faults: list[BadInput] = []
        self.nodes: dict[str, Document] = {}
        self.workloads: dict[str, Workload] = {}
        self._places: dict[str, tuple[Places, str]] = {}  # of each workload: the file, and its field
        self.steps = Steps(self.faults, in_any_order=in_any_order)
        self.head: dict[str, Any] = {}
        self._lacking = False  # whether nodes or workloads are named that could not be read
        self._open: list[str] = []  # the files that include each other, down to the one being read

    def read(self, text: str | bytes, where: str, base: str, path: str = "") -> None:
        """Read one file."""
        text = reading.decode(text, where) if isinstance(text, bytes) else text
        reader = reading.Reader(schema(), where, lenient_text=True)
        value = reader.read(reading.compose(text, where, _WHAT_IT_HOLDS), schema())
        self.faults += reader.faults
        if not isinstance(value, dict):
            self._lacking = True
            return
        faulty = frozenset(fault.field for fault in reader.faults)
        places = Places(where, reader.places, faulty, tuple(text.splitlines()))
        self._lacking |= any(places.is_faulty(name) for name in ("nodes", "workloads", "include"))
        self._open.append(os.path.realpath(path or where))
        for field, name in places.numbered("include", value.get("include") or ()):
            if name is not None:
                self._include(name, base, places, field)
        self._open.pop()
        for name, said in (value.get("nodes") or {}).items():
            self._node(name, said, base, places)
        for name, said in (value.get("workloads") or {}).items():
            self._workload(name, said, base, places)
        self.steps.read(value.get("steps") or (), base, places)
        self.head = {key: value[key] for key in ("title", "says", "sources") if value.get(key)}
        self.steps.last(value.get("expect") or (), places)

    def check(self, where: str) -> None:
        """Look at what one file alone cannot say."""
        if not self.nodes and not self._lacking:
            self.faults.append(BadInput("names no node", where=where, field="nodes", right="one at least"))
        names = tuple(self.nodes)
        for workload in self.workloads.values() if not self._lacking else ():
            if not matching(workload.nodes, names):
                what = f"no node is called {' or '.join(workload.nodes)}"
                places, field = self._places[workload.name]
                self.faults.append(places.fault(f"{field}.nodes", what, f"one of {', '.join(names)}"))
        self.steps.check(self.nodes, self.workloads, whole=not self._lacking)

    def experiment(self, where: str) -> Experiment:
        """Return what was read."""
        return Experiment(
            where=where,
            title=self.head.get("title", ""),
            says=" ".join(self.head.get("says", "").split()),
            sources=tuple(self.head.get("sources", ())),
            nodes=self.nodes,
            workloads=self.workloads,
            steps=tuple(self.steps.found),
            expect=tuple(self.steps.at_end),
        )

    def _include(self, name: str, base: str, places: Places, field: str) -> None:
        path = os.path.join(base, name)  # noqa: PTH118
        real = os.path.realpath(path)
        if real in self._open:
            circle = " -> ".join(os.path.basename(each) for each in (*self._open[self._open.index(real) :], real))  # noqa: PTH119
            self.faults.append(places.fault(field, f"includes itself: {circle}"))
            return
        try:
            text = read_user_file(path)
        except BadInput as fault:
            self._lacking = True
            self.faults.append(places.fault(field, f"{name}: {fault.what}"))
            return
        head = self.head
        self.read(text, path, os.path.dirname(path), real)  # noqa: PTH120
        self.head = head

    def _node(self, name: str, said: dict[str, Any] | str, base: str, places: Places) -> None:
        field = f"nodes.{name}"
        if name in self.nodes:
            self.faults.append(places.fault(field, "is there twice, through an include", "another name"))
        try:
            if isinstance(said, str):
                self.nodes[name] = nodefile.load(os.path.join(base, said))  # noqa: PTH118
            else:
                self.nodes[name] = nodefile.of_values(said, places.where, places.below(field), base=base)
            opened(self.nodes[name])
        except BadInput as fault:
            self._lacking = True
            inside = fault.faults if isinstance(fault, reading.BadDocument) else (fault,)
            self.faults += (places.blamed(field, places.under(field, each)) for each in inside)

    def _workload(self, name: str, said: dict[str, Any] | str, base: str, places: Places) -> None:
        field = f"workloads.{name}"
        if name in self.workloads:
            self.faults.append(places.fault(field, "is there twice, through an include", "another name"))
        more = {} if isinstance(said, str) else {key: value for key, value in said.items() if value is not None}
        text = said if isinstance(said, str) else more.get("manifest")
        if not text:
            self._lacking = True
            if not places.is_faulty(field):
                self.faults.append(places.fault(field, "says nothing of its pods", "manifest: the path of a file"))
            return
        try:
            pods = self._pods(text, base, places, field if isinstance(said, str) else f"{field}.manifest")
        except BadInput as fault:
            self._lacking = True
            self.faults.append(places.blamed(field, fault))
            return
        self._places[name] = places, field
        self.workloads[name] = Workload(
            name=name,
            pods=tuple(pods),
            manifest=text if "\n" in text else os.path.normpath(os.path.join(base, text)),  # noqa: PTH118
            nodes=names_of(more.get("nodes")) or ("*",),
            source=more.get("source", "api"),
            handler=more.get("handler", ""),
        )

    def _pods(self, text: str, base: str, places: Places, field: str) -> list[Pod]:
        if "\n" in text:
            above = places.above_block(field)
            if above is None:
                return manifest.pods(text, f"{places.where}, {field}")
            return manifest.pods("\n" * above + text, places.where)  # its lines are those of this file
        path = os.path.join(base, text)  # noqa: PTH118
        return manifest.pods(read_user_file(path), path)
