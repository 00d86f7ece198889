"""Whether a kubelet finds a runtime that it can talk to, without a socket between them.

From 1.26 on kubelets speak the CRI in version v1 alone, which containerd has since 1.6: such a pair never runs a pod. A
family that does not say which versions it serves is taken to serve every one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.errors import Refused
from runtimes.model import find
from shim.kubelet.handshake import Call, Fault, handshake
from shim.nodefile import open_node
from shim.skew.posture import build_of

if TYPE_CHECKING:
    from runtimes.persona import Persona
    from runtimes.release import Release
    from shim.kubelet.kubelet import Kubelet
    from shim.node import Node
    from shim.nodefile import Document

EVERY = ("v1", "v1alpha2")
_SERVED = "cri-apis"
# The file of a socket where it is not /run/NAME/NAME.sock.
_SOCKETS = {"cri-o": "/var/run/crio/crio.sock"}


def started(document: Document) -> tuple[Node | None, Refused | None]:
    """Start a node: None for one of which a component does not start; and why it starts no pod, None where it does.

    Raises `BadInput` where the document cannot be right, whatever the releases.
    """
    try:
        node = open_node(document)
    except Refused as fault:
        return None, fault
    entry = node.default
    return node, refusal(node.kubelet, entry.runtime.persona, build_of(node, entry).family)


def apis(family: str, release: Release) -> tuple[str, ...]:
    """Return the versions of the CRI that a release serves."""
    facts = find(family).facts()
    return tuple(facts.value(_SERVED, release)) if _SERVED in facts else EVERY


def answers(persona: Persona) -> tuple[object, ...]:
    """Return what the handshake with a runtime depends on; () where its family does not say which CRI it serves."""
    if _SERVED not in persona.facts:
        return ()
    return persona.apis, persona.unimplemented("RuntimeConfig") is None


def refusal(kubelet: Kubelet, persona: Persona, family: str) -> Refused | None:
    """Return how the kubelet refuses to start with a runtime, None where they go together, as far as is known."""
    if not answers(persona):
        return None
    socket = _SOCKETS.get(family, f"/run/{family}/{family}.sock")
    talk = handshake(kubelet.release, kubelet.settings.gates, f"unix://{socket}")
    answer: Any = None
    while True:
        try:
            answer = _answer(talk.send(answer), persona)
        except StopIteration:
            return None
        except Refused as refused:
            return refused


def unknown(service: str, api: str) -> Fault:
    """Return what gRPC says where a server does not have a service ("runtime", "image") in a version of the CRI."""
    return Fault("UNIMPLEMENTED", f"unknown service runtime.{api}.{service.capitalize()}Service")


def _answer(call: Call, persona: Persona) -> Any:
    if call.api not in persona.apis:
        return unknown(call.service, call.api)
    missing = persona.unimplemented(call.method)
    if missing is not None:
        return Fault(missing.code, str(missing))
    return persona.version(call.api) if call.method == "Version" else ()
