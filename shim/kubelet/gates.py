"""Feature gates of a kubelet: which ones a release knows, and what setting one does."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.facts import load, read_data
from runtimes.release import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.release import Release

# Two gates that stand for all others of a stage, as far as these were not set by name.
_ALL_OF = {"alpha": "AllAlpha", "beta": "AllBeta"}


class Gate(msgspec.Struct, frozen=True):
    """One gate as one release has it. `stage` is alpha, beta, GA or deprecated; a locked one keeps its default."""

    stage: str
    default: bool
    locked: bool = False


@functools.lru_cache(maxsize=4096)
def find(name: str, release: Release) -> Gate | None:
    """Return a gate as a release has it, None where the release does not know it."""
    if name in _ALL_OF.values():
        return Gate("alpha" if name == "AllAlpha" else "beta", default=False)
    fact = f"gate.{name}"
    facts = load("shim.kubelet")
    if fact in facts:
        value = facts.value(fact, release)
        return msgspec.convert(value, Gate) if value else None
    return _recorded(name, release)


def enabled(name: str, release: Release, gates: Mapping[str, bool]) -> bool:
    """Whether a gate is on, given what was set: by its own name, by the name of its stage, or its default."""
    gate = find(name, release)
    if gate is None:
        return False
    return gates.get(name, gates.get(_ALL_OF.get(gate.stage, ""), gate.default))


def on(feature: str, release: Release, gates: Mapping[str, bool]) -> bool:
    """Whether a feature works in a release: its gate is on, or it became general so long ago that the gate is gone."""
    if find(feature, release) is not None:
        return enabled(feature, release, gates)
    passed = [text for line, text in _table().get(feature, {}).items() if release >= parse(f"{line}.0")]
    return len(passed) > 1 and passed[-1] == "removed" and passed[-2].startswith("GA")


def refusal(gates: Mapping[str, bool], release: Release) -> str | None:
    """Return why a kubelet does not take these gates, in its own words, None where it takes them.

    Where several are wrong a real kubelet names whichever its map yields first; here it is the first as written.
    Source: k8s.io/component-base/featuregate/feature_gate.go (SetFromMap) at v1.18.6, v1.29.9 and v1.36.3.
    """
    for name, value in gates.items():
        gate = find(name, release)
        if gate is None:
            return f"unrecognized feature gate: {name}"
        if gate.locked and gate.default != value:
            return f"cannot set feature gate {name} to {_go(value)}, feature is locked to {_go(gate.default)}"
    return None


def _recorded(name: str, release: Release) -> Gate | None:
    """Look a gate up in gates.yaml, where the newest entry up to the release's line counts."""
    found = None
    for line, text in _table().get(name, {}).items():
        if release < parse(f"{line}.0"):
            break
        found = text
    if found in (None, "removed"):
        return None
    stage, default, *locked = found.split()
    return Gate(stage, default=default == "on", locked=bool(locked))


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    return read_data("shim.kubelet", "gates")  # type: ignore[no-any-return]


def _go(value: bool) -> str:
    return "true" if value else "false"
