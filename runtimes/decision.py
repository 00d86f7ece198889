"""An answer and every rule that led to it."""

from __future__ import annotations

from typing import Any

import msgspec


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule that had a say.

    `layer` is who applied it ("api", "kubelet", "runtime", "profile", "host"), `rule` its name in the facts,
    `because` a sentence for a person, `source` where the fact is written down.
    `warns` marks a step in which something that the author of a file or request meant was silently lost.
    """

    layer: str
    rule: str
    because: str
    source: str = ""
    warns: bool = False


class Decision(msgspec.Struct, frozen=True):
    """What a runtime makes of one request.

    `spec` is the whole OCI runtime spec as JSON-shaped values in the key order of the spec's own structs;
    `steps` are in the order in which the rules were applied.
    """

    spec: dict[str, Any]
    steps: tuple[Step, ...] = ()

    @property
    def section(self) -> dict[str, Any] | None:
        """The `linux.seccomp` section, or None where the container runs unconfined."""
        linux: dict[str, Any] = self.spec.get("linux") or {}
        return linux.get("seccomp")

    def after(self, steps: tuple[Step, ...]) -> Decision:
        """Return this decision with the steps that an earlier layer took in front of its own."""
        return Decision(self.spec, steps + self.steps) if steps else self
