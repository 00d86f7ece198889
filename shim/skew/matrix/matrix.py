"""The product of kubelets, runtimes and settings: what a pod's containers would get in each cell.

    Matrix      what is multiplied; `document(kubelet, runtime)` is the node of a cell
    Outcome     what a container gets in a cell

`shim.skew.matrix.lab` decides them, `shim.skew.matrix.folding` tells those that come out alike together.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from runtimes.errors import BadInput
from runtimes.model import names
from shim.answer import Error
from shim.nodefile import BadDocument, Document, apply_settings
from shim.nodefile.document import DEFAULT_RUNTIME, KubeletPart, RuntimePart, fill
from shim.skew.matrix import ranges
from shim.skew.matrix.axes import Axis, axes
from shim.skew.posture import Kind, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shim.kubelet.api import Source
    from shim.kubelet.pod import Pod

Settings = tuple[tuple[str, str], ...]  # the user's keys and values

NO_KUBELET, NO_RUNTIME, NO_COMMON_CRI = "kubelet fails", "runtime fails", "no common CRI"


class Point(msgspec.Struct, frozen=True):
    """One kubelet (its family is "kubelet") or runtime. `settings` are the user's keys and values, in their order."""

    family: str
    release: str
    settings: Settings = ()

    def __str__(self) -> str:
        """As people name it: "containerd 2.0.9"."""
        return f"{self.family} {self.release}"


class Outcome(msgspec.Struct, frozen=True):
    """What a container gets in a cell: a posture without what is too large to keep for each of them.

    "absent" is a container that a kubelet of that release drops. `of` is the file of a Localhost profile, and for a
    refusal what a person sees.
    """

    kind: Kind | Literal["absent"]
    of: str = ""
    digest: str = ""
    error: Error | None = None

    def title(self, runtime: Point) -> str:
        """Say it in a few words: "RuntimeDefault of containerd 2.0.9"."""
        return title(self.kind, str(runtime) if self.kind == "RuntimeDefault" else self.of, self.digest)


class Cell(msgspec.Struct, frozen=True):
    """One container in one cell."""

    kubelet: Point
    runtime: Point
    pod: Pod
    container: str
    outcome: Outcome


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """What is multiplied, on top of the node `base`. `source` says where kubelets have the pods from."""

    base: Document
    axes: tuple[Axis, ...]
    kubelets: tuple[Point, ...]
    runtimes: tuple[Point, ...]
    source: Source = "api"

    def document(self, kubelet: Point, runtime: Point) -> Document:
        """Return the node of a cell: what `crishim explain` would be given for it."""
        part = replace(self.base.kubelet, version=kubelet.release)
        document = replace(self.base, kubelet=part, runtime=self._runtime(runtime), handlers={})
        return self._with(document, (*kubelet.settings, *runtime.settings))

    def with_runtime(self, runtime: Point) -> Document:
        """Return a node with a runtime, for whichever kubelet."""
        policy = KubeletPart(policy=self.base.kubelet.policy, policy_profile=self.base.kubelet.policy_profile)
        document = replace(self.base, kubelet=policy, runtime=self._runtime(runtime), handlers={})
        return self._with(document, runtime.settings)

    def with_kubelet(self, kubelet: Point, shared: Settings) -> Document:
        """Return a node with a kubelet, and a runtime that starts anywhere."""
        part = replace(self.base.kubelet, version=kubelet.release)
        document = replace(self.base, kubelet=part, runtime=_any_runtime(), handlers={})
        return self._with(document, (*kubelet.settings, *shared))

    def shared(self, runtime: Point) -> Settings:
        """Return the settings that a runtime's cells have in common with its kubelets: the machine's."""
        paths = {axis.key: axis.path for axis in self.axes}
        return tuple(pair for pair in runtime.settings if not paths[pair[0]].startswith("runtime."))

    def _runtime(self, point: Point) -> RuntimePart:
        """What the base says of its runtime holds for its own family only: others have other files."""
        same = (self.base.runtime.name or DEFAULT_RUNTIME) == point.family
        part = self.base.runtime if same else RuntimePart()
        return replace(part, name=point.family, version=point.release)

    def _with(self, document: Document, settings: Settings) -> Document:
        paths = {axis.key: axis.path for axis in self.axes}
        return apply_settings(document, {paths[key]: value or "null" for key, value in settings})


def matrix(
    base: Document,
    kubelets: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    settings: Sequence[str] = (),
    source: Source = "api",
) -> Matrix:
    """Return the matrix of some options, each as `shim.skew.matrix.ranges` and `shim.skew.matrix.axes` read them.

    Without kubelets or runtimes there is one of them, the base's. Raises `BadInput` with all that is
    wrong.
    """
    faults: list[BadInput] = []
    filled = fill(base)
    of_kubelets: tuple[str, ...] = (str(filled.kubelet.version),)
    of_runtimes: dict[str, tuple[str, ...]] = {filled.runtime.name or "": (str(filled.runtime.version),)}
    varied: tuple[Axis, ...] = ()
    try:
        of_kubelets = tuple(map(str, ranges.kubelets(kubelets))) if kubelets else of_kubelets
    except BadInput as fault:
        faults += _each(fault)
    try:
        found = {name: tuple(map(str, releases)) for name, releases in ranges.runtimes(runtimes).items()}
        of_runtimes = found or of_runtimes
    except BadInput as fault:
        faults += _each(fault)
        of_runtimes = dict.fromkeys(names(), ())
    try:
        varied = axes(settings, tuple(of_runtimes), base)
    except BadInput as fault:
        faults += _each(fault)
    if faults:
        raise BadDocument(faults)
    of_kubelet = [axis for axis in varied if axis.of_kubelet]
    others = [axis for axis in varied if not axis.of_kubelet]
    return Matrix(
        base=base,
        axes=varied,
        kubelets=tuple(_points(ranges.KUBELET, of_kubelets, of_kubelet)),
        runtimes=tuple(
            point
            for family, releases in of_runtimes.items()
            for point in _points(family, releases, [axis for axis in others if axis.holds_for(family)])
        ),
        source=source,
    )


def _each(fault: BadInput) -> tuple[BadInput, ...]:
    return fault.faults if isinstance(fault, BadDocument) else (fault,)


def _points(family: str, releases: tuple[str, ...], varied: list[Axis]) -> Iterator[Point]:
    for values in itertools.product(*(axis.values for axis in varied)):
        pairs = tuple(zip((axis.key for axis in varied), values, strict=True))
        yield from (Point(family, release, pairs) for release in releases)


@functools.cache
def _any_runtime() -> RuntimePart:
    return fill(Document()).runtime


def containers(pod: Pod) -> tuple[str, ...]:
    """Return the names of all containers of a pod, as they stand in it."""
    spec = pod.spec
    every = (*(spec.init_containers or ()), *(spec.containers or ()), *(spec.ephemeral_containers or ()))
    return tuple(dict.fromkeys(each.name or "" for each in every))
