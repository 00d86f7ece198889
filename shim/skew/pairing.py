"""Whether a kubelet finds a runtime that it can talk to, without a socket between them.

From 1.26 on kubelets speak the CRI in version v1 alone, which containerd has since 1.6: such a pair never runs a pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.errors import Refused
from shim.kubelet.handshake import Call, Fault, handshake

if TYPE_CHECKING:
    from runtimes.persona import Persona
    from shim.kubelet.kubelet import Kubelet

_SERVED = "cri-apis"
_SERVICES = {"runtime": "RuntimeService", "image": "ImageService"}
# The file of a socket where it is not called as its family is.
_SOCKETS = {"cri-o": "crio"}


def answers(persona: Persona) -> tuple[object, ...]:
    """Return what the handshake with a runtime depends on; () where its family does not say which CRI it serves."""
    if _SERVED not in persona.facts:
        return ()
    return persona.apis, persona.unimplemented("RuntimeConfig") is None


def refusal(kubelet: Kubelet, persona: Persona, family: str) -> Refused | None:
    """Return how the kubelet refuses to start with a runtime, None where they go together, as far as is known."""
    if not answers(persona):
        return None
    name = _SOCKETS.get(family, family)
    talk = handshake(kubelet.release, kubelet.settings.gates, f"unix:///run/{name}/{name}.sock")
    answer: Any = None
    while True:
        try:
            answer = _answer(talk.send(answer), persona)
        except StopIteration:
            return None
        except Refused as refused:
            return refused


def _answer(call: Call, persona: Persona) -> Any:
    if call.api not in persona.apis:
        return Fault("UNIMPLEMENTED", f"unknown service runtime.{call.api}.{_SERVICES[call.service]}")
    missing = persona.unimplemented(call.method)
    if missing is not None:
        return Fault(missing.code, str(missing))
    return persona.version(call.api) if call.method == "Version" else ()
