"""How a decision is kept: the spec of each object for itself, what many share only once.

A default profile is most of a spec and the same for nearly every container; so the `linux.seccomp` section is taken out
and kept by its digest, as are the steps and what the node was like. It is put back at its own place: the key order of a
spec is part of the answer.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.decision import Decision, Step
from runtimes.errors import CapacityExceeded
from shim.engine import codec

if TYPE_CHECKING:
    from shim.engine.store import Store

# The columns of a table that holds decisions, in the order of the values that `keep` returns.
COLUMNS = "section, steps, origin, spec"


def keep(store: Store, decision: Decision, origin: bytes) -> tuple[bytes | None, bytes, bytes, bytes]:
    """Write down what can be shared, inside of a change; return the values of `COLUMNS`."""
    section = decision.section
    spec = decision.spec
    if section is not None:
        spec = {**spec, "linux": {**spec["linux"], "seccomp": None}}
    return (
        None if section is None else store.keep(codec.encode(section)),
        store.keep(codec.encode(decision.steps)),
        store.keep(origin),
        codec.encode(spec),
    )


def read(store: Store, section: bytes | None, steps: bytes, spec: bytes) -> Decision:
    """Put a decision together again."""
    whole = codec.decode(spec, dict[str, Any])
    if section is not None:
        whole["linux"]["seccomp"] = codec.decode(store.body(section), object)
    return Decision(whole, codec.decode(store.body(steps), tuple[Step, ...]))


def explanation(store: Store, decision: Decision, origin: bytes) -> str:
    """Return our own key of the verbose info, `crishim`: why the spec is what it is.

    {"steps": [{"layer", "rule", "because", "source"}, ...], "node": {"kubelet", "runtime", "host"}, "warnings": [...]}
    """
    return codec.encode(
        {
            "steps": decision.steps,
            "node": msgspec.Raw(store.body(origin)),
            "warnings": [step.because for step in decision.steps if step.warns],
        }
    ).decode()


def forget_unused(store: Store) -> None:
    """Drop the bodies that nothing refers to any more. Done when a store is opened, not at each removal.

    A full disk, on which even that finds no room, is no reason not to open: removing things is what helps then.
    """
    with contextlib.suppress(CapacityExceeded), store.change():
        store.write(
            "DELETE FROM bodies WHERE digest NOT IN ("
            "SELECT section FROM sandboxes WHERE section NOT NULL UNION SELECT steps FROM sandboxes "
            "UNION SELECT origin FROM sandboxes UNION SELECT section FROM containers WHERE section NOT NULL "
            "UNION SELECT steps FROM containers UNION SELECT origin FROM containers)"
        )
