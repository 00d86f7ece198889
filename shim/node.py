"""One node: a host, a kubelet, and a runtime for each handler. It turns a request into a decision.

A node is a value: it holds nothing that exists on it, and changes nothing. Whatever a decision needs besides comes in
as a *place*: ids, addresses and the image, which the engine keeps, or which a rehearsal makes up (`rehearsed_sandbox`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import BadInput, Refused
from runtimes.model import ContainerPlace, SandboxPlace, pairing
from shim.images import image_facts, look_up, normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.decision import Decision, Step
    from runtimes.files import Files
    from runtimes.host import Host
    from runtimes.model import ImageFacts, Runtime
    from runtimes.request import ContainerRequest, SandboxRequest
    from shim.kubelet.kubelet import Kubelet


class Entry(msgspec.Struct, frozen=True):
    """A runtime as a RuntimeHandler picks it.

    `name` is the CRI's handler ("" for the default), `handler` the runtime's own ("" for the one that its configuration
    makes the default). `started_from` is what the runtime was started with, for those to compare who open nodes.
    """

    name: str
    runtime: Runtime
    handler: str = ""
    started_from: Any = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node. `entries` always has the default one, under ""; `images` are those of which something is said, by
    canonical reference; `document` is what it was opened from, which is for those to know who open nodes
    (`shim.nodefile.Document`).
    """

    host: Host
    files: Files
    kubelet: Kubelet
    entries: dict[str, Entry]
    images: dict[str, ImageFacts] = {}
    document: Any

    def image(self, text: str) -> ImageFacts:
        """Return what a registry has under a name, for whoever pulls it. Raises `BadInput` for what is no name."""
        return look_up(self.images, text)

    @property
    def default(self) -> Entry:
        """The entry of a request that names no handler."""
        return self.entries[""]

    @property
    def behind_kubelet(self) -> Node:
        """The node as it answers its own kubelet: to requests that were made from a pod, and need no filling in."""
        return msgspec.structs.replace(self, kubelet=msgspec.structs.replace(self.kubelet, step="none"))

    def entry(self, requested_handler: str) -> Entry:
        """Return the runtime that a RuntimeHandler picks: an entry of the node, or a handler of the default runtime.

        Raises `Refused` as the default runtime does where there is no such handler.
        """
        if requested_handler in self.entries:
            return self.entries[requested_handler]
        runtime = self.default.runtime
        if requested_handler in runtime.handlers:
            return Entry(requested_handler, runtime, requested_handler)
        refusal = runtime.persona.refusal("RunPodSandbox.handler-unknown", handler=requested_handler)
        if refusal:
            raise refusal
        return self.default

    def sandbox(self, entry: Entry, request: SandboxRequest, place: SandboxPlace) -> tuple[SandboxRequest, Decision]:
        """Return a sandbox request as the kubelet passes it on, and what the runtime makes of it. Raises `Refused`."""
        request, steps = self.kubelet.sandbox(request)
        steps += self._pairing(entry)
        try:
            return request, entry.runtime.sandbox(request, place).after(steps)
        except Refused as refusal:
            raise refusal.after(steps) from None

    def container(
        self,
        entry: Entry,
        request: ContainerRequest,
        place: ContainerPlace,
        sandbox_request: SandboxRequest,
        sandbox_place: SandboxPlace,
    ) -> tuple[ContainerRequest, Decision]:
        """Do the same for a container."""
        request, steps = self.kubelet.container(request, sandbox_request)
        steps += self._pairing(entry)
        try:
            return request, entry.runtime.container(request, place, sandbox_request, sandbox_place).after(steps)
        except Refused as refusal:
            raise refusal.after(steps) from None

    def pairing(self, entry: Entry) -> tuple[Step, ...]:
        """Return what there is to say about this kubelet with a runtime."""
        return pairing(entry.runtime, self.kubelet.release)

    def _pairing(self, entry: Entry) -> tuple[Step, ...]:
        """A request that passes the kubelet by has nothing to do with its release."""
        says = hasattr(entry.runtime, "pairing") and self.kubelet.step == "apply"
        return self.pairing(entry) if says else ()


# The moment at which every rehearsal takes place, in nanoseconds since 1970: two rehearsals of one pod are the same.
REHEARSED_AT = 1_704_067_200_000_000_000


def rehearsed_sandbox(
    entry: Entry, request: SandboxRequest, image: Callable[[str], ImageFacts] = image_facts
) -> SandboxPlace:
    """Make up the place of a sandbox that does not exist. It follows from the pod's name alone.

    `image` tells the facts of an image by its name (`Node.image`).
    """
    name = request.metadata
    key = f"{name.namespace}/{name.name}/{name.attempt}" if name else ""
    return SandboxPlace(
        id=_digits("sandbox", key),
        created_at=REHEARSED_AT,
        pid=1000,
        network=_uuid(_digits("network", key)),
        ip="10.88.0.2",
        handler=entry.handler,
        requested_handler=entry.name,
        image=image(entry.runtime.persona.pause_image),
    )


def rehearsed_container(
    request: ContainerRequest, sandbox: SandboxPlace, image: Callable[[str], ImageFacts] = image_facts
) -> ContainerPlace:
    """Make up the place of a container that does not exist. `image` tells the facts of an image by its name.

    Raises `Refused` with the kubelet's words where its image has a name that no image can have.
    """
    key = f"{sandbox.id}/{request.metadata.name}/{request.metadata.attempt}" if request.metadata else sandbox.id
    name = request.image.image if request.image else ""
    try:
        facts, reference = image(name), normalise(name)
    except BadInput as fault:
        message = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": {fault.what}'
        raise Refused("UNKNOWN", message, reason="InvalidImageName", where="kubelet") from None
    return ContainerPlace(
        id=_digits("container", key),
        created_at=REHEARSED_AT,
        pid=1001,
        storage=_digits("storage", key),
        image=facts,
        image_reference=reference,
    )


def _digits(kind: str, key: str) -> str:
    """Return the 64 digits of an id."""
    return hashlib.sha256(f"{kind} of {key}".encode()).hexdigest()


def _uuid(digits: str) -> str:
    """Write the first digits as a UUID is written; importing the module for it takes longer."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))
