"""How a daemon that does not come up, or not with its CRI service, refuses."""

from __future__ import annotations

from runtimes.errors import Refused


def not_started(text: str) -> Refused:
    """Return the refusal of a daemon in its own words. Whoever calls its socket finds nobody there."""
    return Refused("UNAVAILABLE", text, reason="RuntimeNotReady", where="runtime")
