"""Deciding a matrix: as little as there is to decide, on one process, on several, or on a Dask cluster.

Theory of operation. Kubelets and runtimes are started once each. What a runtime does depends on the requests that reach
it, and many kubelets send the same ones: a pod is decided once for each runtime and each different set of requests
(`shim.answer.answer_pod`), and cells share what came out. Whether the two of a cell can talk at all is the kubelet's
handshake (`shim.skew.pairing`).

    pieces      one pod on one runtime under every kubelet, for all pods and runtimes
    cells       a piece, cell by cell
    Lab         the kubelets and runtimes themselves, for those who want to know more of a cell
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from runtimes.errors import Refused
from shim.answer import answer_pod, error_of, requests_for
from shim.kubelet.members import members
from shim.nodefile import images_of, open_node
from shim.skew import pairing
from shim.skew.matrix.matrix import NO_COMMON_CRI, NO_KUBELET, NO_RUNTIME, Cell, Outcome, containers
from shim.skew.posture import Build, Posture, posture, refused
from shim.skew.work import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runtimes.model import ImageFacts
    from shim.kubelet.api import Source
    from shim.kubelet.kubelet import Kubelet
    from shim.kubelet.pod import Pod
    from shim.node import Node
    from shim.skew.matrix.matrix import Matrix, Point, Settings

# How many runtimes of a pod are one piece of work. Each makes the kubelets' requests anew, which weighs as much as some
# runtimes do: where there are pods enough for everybody, it is better done once for a pod.
FEW_AT_ONCE, MANY_AT_ONCE, MANY_PODS = 8, 64, 16


class Piece(msgspec.Struct, frozen=True):
    """What comes of one pod on one runtime.

    `rows` are the different things that come out, an outcome for each of the pod's containers; `which` says for each
    kubelet of the matrix which of them does.
    """

    which: tuple[int, ...]
    rows: tuple[tuple[Outcome, ...], ...]


def pieces(
    matrix: Matrix,
    pods: Sequence[Pod],
    *,
    jobs: int = 1,
    dask: str = "",
    done: Callable[[int], object] | None = None,
) -> Iterator[tuple[Pod, Point, Piece]]:
    """Yield a piece for each pod and each runtime, the pods in their order, and for a pod the runtimes in theirs.

    The work is spread as `shim.skew.work.spread` does; `done` is told how many cells have come. Raises `BadInput` for
    settings that name what is not there.
    """
    numbers = range(len(matrix.runtimes))
    size = MANY_AT_ONCE if len(pods) >= MANY_PODS else FEW_AT_ONCE
    chunks = [tuple(numbers[at : at + size]) for at in numbers[::size]]
    items = [(pod, chunk) for pod in pods for chunk in chunks]
    made = spread(functools.partial(_work, matrix), items, jobs=jobs, dask=dask)
    for (pod, chunk), several in zip(items, made, strict=True):
        for number, piece in zip(chunk, several, strict=True):
            yield pod, matrix.runtimes[number], piece
            if done is not None:
                done(len(piece.which) * len(containers(pod)))


def cells(matrix: Matrix, pod: Pod, runtime: Point, piece: Piece) -> Iterator[Cell]:
    """Yield the cells of a piece: the kubelets in their order, and for each of them the containers in theirs."""
    names = containers(pod)
    for kubelet, row in zip(matrix.kubelets, piece.which, strict=True):
        for name, outcome in zip(names, piece.rows[row], strict=True):
            yield Cell(kubelet, runtime, pod, name, outcome)


def _work(matrix: Matrix, item: tuple[Pod, tuple[int, ...]]) -> tuple[Piece, ...]:
    pod, chunk = item
    lab = Lab.of(matrix)
    return tuple(lab.piece(pod, number) for number in chunk)


class _Asked(msgspec.Struct, frozen=True):
    """What the kubelets of a machine ask for a pod: `which` says for each of them the number of one in `firsts`, whose
    requests are the same; -1 where it does not start.
    """

    which: tuple[int, ...]
    firsts: tuple[Kubelet, ...]


class Lab:
    """The kubelets and runtimes of a matrix, each started when it is first needed."""

    _last: Lab | None = None

    def __init__(self, matrix: Matrix) -> None:
        self.matrix, self._images = matrix, images_of(matrix.base)
        self._nodes: dict[int, Node | Refused] = {}
        self._kubelets: dict[Settings, tuple[Kubelet | Refused, ...]] = {}
        self._faults: dict[tuple[object, ...], tuple[Outcome | None, ...]] = {}
        self._pod: Pod | None = None
        self._asked: dict[Settings, _Asked] = {}  # for that pod

    @classmethod
    def of(cls, matrix: Matrix) -> Lab:
        """Return the lab of a matrix. A process has one at a time; a worker gets the same matrix again and again."""
        if cls._last is None or (cls._last.matrix is not matrix and cls._last.matrix != matrix):
            cls._last = cls(matrix)
        return cls._last

    def piece(self, pod: Pod, number: int) -> Piece:
        """Decide a pod on one of the runtimes."""
        point = self.matrix.runtimes[number]
        shared, names = self.matrix.shared(point), containers(pod)
        node, asked = self.node(number), self.asked(pod, shared)
        rows: dict[tuple[Outcome, ...], int] = {}
        found: dict[tuple[int, int], int] = {}
        which: list[int] = []
        for asks, fault in zip(asked.which, self.faults(shared, node, point), strict=True):
            key = (asks, id(fault))
            if key not in found:
                row = (fault,) * len(names) if fault else self._row(node, point, pod, asked.firsts[asks])
                found[key] = rows.setdefault(row, len(rows))
            which.append(found[key])
        return Piece(tuple(which), tuple(rows))

    def node(self, number: int) -> Node | Refused:
        """Return a runtime on a node, or how it refuses to start."""
        if number not in self._nodes:
            try:
                self._nodes[number] = open_node(self.matrix.with_runtime(self.matrix.runtimes[number]))
            except Refused as refusal:
                self._nodes[number] = refusal
        return self._nodes[number]

    def kubelets(self, shared: Settings) -> tuple[Kubelet | Refused, ...]:
        """Return the kubelets on a machine, or how each refuses to start."""
        if shared not in self._kubelets:
            running: Node | None = None
            found: list[Kubelet | Refused] = []
            for point in self.matrix.kubelets:
                try:
                    running = open_node(self.matrix.with_kubelet(point, shared), running)
                    found.append(running.kubelet)
                except Refused as refusal:
                    found.append(refusal)
            self._kubelets[shared] = tuple(found)
        return self._kubelets[shared]

    def faults(self, shared: Settings, node: Node | Refused, point: Point) -> tuple[Outcome | None, ...]:
        """Return for each kubelet why it runs nothing with a runtime, None where it does.

        What a handshake depends on is the same for most releases of a family.
        """
        if isinstance(node, Refused):
            key: tuple[object, ...] = (shared, point)
        else:
            key = (shared, point.family, pairing.answers(node.default.runtime.persona))
        if key not in self._faults:
            self._faults[key] = tuple(_fault(_refusal(kubelet, node, point)) for kubelet in self.kubelets(shared))
        return self._faults[key]

    def asked(self, pod: Pod, shared: Settings) -> _Asked:
        """Return what the kubelets on a machine ask for a pod."""
        if self._pod is not pod and self._pod != pod:
            self._pod, self._asked = pod, {}
        if shared not in self._asked:
            self._asked[shared] = _asked(pod, self.kubelets(shared), self.matrix.source, self._images)
        return self._asked[shared]

    def postures(self, pod: Pod, kubelet: Point, runtime: Point) -> dict[str, Posture]:
        """Return what each container has in a cell, with every step that led there."""
        shared, node = self.matrix.shared(runtime), self.node(self.matrix.runtimes.index(runtime))
        started = self.kubelets(shared)[self.matrix.kubelets.index(kubelet)]
        refusal = _refusal(started, node, runtime)
        if refusal is not None:
            of, fault = refusal
            return dict.fromkeys(containers(pod), refused(fault, of))
        if isinstance(started, Refused):  # is a refusal
            raise started
        return self._decided(node, runtime, pod, started)

    def _decided(self, node: Node | Refused, point: Point, pod: Pod, kubelet: Kubelet) -> dict[str, Posture]:
        if isinstance(node, Refused):  # is a refusal
            raise node
        build = Build(point.family, node.default.runtime.release, node.host)
        answer = answer_pod(replace(node, kubelet=kubelet), node.default, pod, self.matrix.source)
        return {each.name: posture(each, build) for each in answer.containers}

    def _row(self, node: Node | Refused, point: Point, pod: Pod, kubelet: Kubelet) -> tuple[Outcome, ...]:
        decided = self._decided(node, point, pod, kubelet)
        return tuple(_outcome(decided.get(name)) for name in containers(pod))


def _asked(pod: Pod, kubelets: tuple[Kubelet | Refused, ...], source: Source, images: dict[str, ImageFacts]) -> _Asked:
    which: list[int] = []
    firsts: dict[bytes, tuple[int, Kubelet]] = {}
    for kubelet in kubelets:
        if isinstance(kubelet, Refused):
            which.append(-1)
        else:
            key = _requests(kubelet, pod, source, images)
            which.append(firsts.setdefault(key, (len(firsts), kubelet))[0])
    return _Asked(tuple(which), tuple(kubelet for _, kubelet in firsts.values()))


def _requests(kubelet: Kubelet, pod: Pod, source: Source, images: dict[str, ImageFacts]) -> bytes:
    """Return everything that a kubelet has to do with a pod's answer but for its steps."""
    plan = requests_for(kubelet, pod, source, images=images)
    if plan.refused is not None:
        everyone = members(pod.spec, kubelet.release, kubelet.settings.gates)
        return msgspec.json.encode((_said(plan.refused), [each.name for each in everyone]))
    asked = [_said(each.request) if isinstance(each.request, Refused) else each.request for each in plan.containers]
    return msgspec.json.encode((plan.sandbox, [(each.name, each.kind) for each in plan.containers], asked))


def _said(refusal: Refused) -> tuple[str, ...]:
    return refusal.where, refusal.reason, refusal.code, str(refusal)


def _refusal(kubelet: Kubelet | Refused, node: Node | Refused, point: Point) -> tuple[str, Refused] | None:
    """Return why a kubelet runs nothing with a runtime, None where it does."""
    if isinstance(kubelet, Refused):
        return NO_KUBELET, kubelet
    if isinstance(node, Refused):
        return NO_RUNTIME, node
    refusal = pairing.refusal(kubelet, node.default.runtime.persona, point.family)
    return (NO_COMMON_CRI, refusal) if refusal else None


def _fault(refusal: tuple[str, Refused] | None) -> Outcome | None:
    return Outcome("refused", refusal[0], error=error_of(refusal[1])) if refusal else None


def _outcome(found: Posture | None) -> Outcome:
    if found is None:
        return Outcome("absent")
    of = "" if found.kind == "RuntimeDefault" else found.of
    return Outcome(found.kind, of, found.digest, found.error)
