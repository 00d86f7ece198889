"""One side of an upgrade: a node as it is or will be, whether it starts and its parts can talk, and what pods get.

Every answer is the engine's: a node is started and its kubelet's own handshake tries the runtime
(`shim.skew.pairing`), `answer_pod` takes a pod through both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import Refused
from shim.answer import NO_SANDBOX, answer_pod
from shim.skew import pairing
from shim.skew.posture import Build, Posture, build_of, localhost_file, posture, refused

if TYPE_CHECKING:
    from shim.node import Entry, Node
    from shim.nodefile import Document
    from shim.skew.plan.cases import Case


class Had(msgspec.Struct, frozen=True):
    """One container of a case and what it has.

    `kind` is that of `shim.kubelet.members`, `file` the Localhost profile that it asks for ("" for none), `build` the
    runtime that was asked.
    """

    kind: str
    posture: Posture
    file: str = ""
    build: Build | None = None


class Side(msgspec.Struct, frozen=True):
    """A node, None where one of its components does not start.

    `refusal` says why it starts no pod at all: its kubelet or runtime does not start, or they cannot talk.
    """

    document: Document
    node: Node | None
    refusal: Refused | None = None

    def had(self, case: Case, handler: str) -> dict[str, Had]:
        """Return what each container of a pod has on this node, by name. `handler` is that of its RuntimeClass."""
        if self.node is None:
            return {}
        try:
            entry = self.node.entry(handler)
        except Refused as refusal:
            missing = refused(refusal, NO_SANDBOX)
            return {name: Had(had.kind, missing) for name, had in self._answers(case, self.node.default).items()}
        return self._answers(case, entry)

    def _answers(self, case: Case, entry: Entry) -> dict[str, Had]:
        node = self.node
        if node is None:
            return {}
        build = build_of(node, entry)
        answers = answer_pod(node, entry, case.pod(), case.source).containers
        return {
            each.name: Had(each.kind, self._now(posture(each, build)), localhost_file(each.cri), build)
            for each in answers
        }

    def _now(self, there: Posture) -> Posture:
        return there if self.refusal is None else refused(self.refusal)

    def family(self, handler: str) -> str:
        """Return the family of the runtime behind a handler, "" where there is none."""
        try:
            return build_of(self.node, self.node.entry(handler)).family if self.node is not None else ""
        except Refused:
            return ""


def open_side(document: Document) -> Side:
    """Start a node. Raises `BadInput` where its document cannot be right, whatever the releases."""
    return Side(document, *pairing.started(document))


def mixed(before: Document, after: Document) -> tuple[Document, Document]:
    """Return the two nodes in the middle of an upgrade: the kubelet is new already, or the runtimes are."""
    kubelet_first = msgspec.structs.replace(after, runtime=before.runtime, handlers=before.handlers)
    runtime_first = msgspec.structs.replace(after, kubelet=before.kubelet)
    return kubelet_first, runtime_first
