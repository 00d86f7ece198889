"""How a model gets at OCI artifacts without a network: the caller hands in an `Artifacts` beside the node's files.

It is found as the attribute `artifacts` of a `Files`; a `Files` without it belongs to a node that asks no registry.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class ArtifactFault(Exception):
    """A registry did not give what was asked for.

    `str(fault)` is what CRI-O's image library says, "reading manifest 1 in quay.io/a/b: manifest unknown"; `stage` is
    what failed: "reference" (no such name can be), "transport" (a name that cannot be pulled), "manifest" or "blob".
    `reference` is the canonical spelling of the name, as far as it has one.
    """

    def __init__(self, stage: str, text: str, reference: str = "") -> None:
        self.stage, self.reference = stage, reference
        super().__init__(text)


class Manifest(msgspec.Struct, frozen=True):
    """A manifest as a registry sent it: its media type without parameters, and its bytes."""

    media_type: str
    content: bytes


class Artifacts(Protocol):
    """Registries, as far as a decision asks them. Every call may ask anew, so two answers may differ."""

    def manifest(self, reference: str, digest: str = "") -> Manifest:
        """Return the manifest that a reference names, or another one of its repository. Raises `ArtifactFault`."""
        ...

    def blob(self, reference: str, digest: str, limit: int) -> bytes:
        """Return a blob of the reference's repository; of a longer one the first `limit` bytes, and perhaps some more.

        Raises `ArtifactFault`.
        """
        ...


def artifacts_of(files: object) -> Artifacts | None:
    """Return what a node's files come with, None where nothing is to be asked."""
    found: Artifacts | None = getattr(files, "artifacts", None)
    return found
