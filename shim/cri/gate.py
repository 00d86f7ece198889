"""Which calls are answered: what every release serves, what the modelled one has, and what v1alpha2 never got."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtimes.errors import Refused

if TYPE_CHECKING:
    from runtimes.persona import Persona
    from shim.engine.engine import Engine

# What v1 got after v1alpha2 was frozen.
NOT_IN_V1ALPHA2 = frozenset(
    "CheckpointContainer CheckpointPod GetContainerEvents ListMetricDescriptors ListPodSandboxMetrics RestorePod"
    " RuntimeConfig StreamContainerStats StreamContainers StreamImages StreamPodSandboxMetrics StreamPodSandboxStats"
    " StreamPodSandboxes UpdatePodSandboxResources".split()
)

# Served whatever release is modelled, so that a list of any length can be had.
ALWAYS_SERVED = frozenset(name for name in NOT_IN_V1ALPHA2 if name.startswith("Stream"))


class ReleaseGate:
    """Refuses what the release of the node's default runtime does not have. Asked before each call, so it remembers."""

    def __init__(self, engine: Engine, package: str) -> None:
        self._engine, self._package = engine, package
        self._persona: Persona | None = None
        self._texts: dict[str, str | None] = {}

    def require(self, rpc: str) -> None:
        """Raise the refusal of an RPC that the release does not have."""
        refused = self(rpc)
        if refused is not None:
            raise refused

    def __call__(self, rpc: str) -> Refused | None:
        """Return the refusal of an RPC that the release does not have."""
        persona = self._engine.node.default.runtime.persona
        if persona is not self._persona:
            self._persona, self._texts = persona, {}
        if rpc not in self._texts:
            self._texts[rpc] = self._text(persona, rpc)
        text = self._texts[rpc]
        return None if text is None else Refused("UNIMPLEMENTED", text)

    def _text(self, persona: Persona, rpc: str) -> str | None:
        refused = None if rpc in ALWAYS_SERVED else persona.unimplemented(rpc)
        return re.sub(r"runtime\.v1(alpha2)?\.", f"{self._package}.", refused.message) if refused else None
