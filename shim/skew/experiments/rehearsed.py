"""A connection as an experiment needs it, around a socket or an engine in this process.

what the release serves     a runtime answers for the versions of the CRI that its release has, and no other: a
                            server of ours speaks both, which would let a kubelet connect that could not
no log directories          nothing is written where nothing runs
its own time                steps wait without waiting; times of a server are moved to where the experiment is
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from shim.engine.clock import VirtualClock
from shim.kubelet.handshake import Fault
from shim.skew.pairing import EVERY, unknown

if TYPE_CHECKING:
    from shim.cri.client import Connection, Spoken

_TICK = 1000  # nanoseconds: of two things that happen one after the other, one is older


class Clock(Protocol):
    """The time of an experiment."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def moved(self, server_ns: int) -> int:
        """Return when something happened that a server says happened then."""
        ...


class OwnClock(VirtualClock):
    """The clock of an engine in this process, which has no other."""

    def __init__(self) -> None:
        super().__init__(tick_ns=_TICK)

    def moved(self, server_ns: int) -> int:
        """Return the same time."""
        return server_ns


class LiveClock:
    """The machine's clock, ahead of it by what was waited for."""

    def __init__(self) -> None:
        self._waits: list[tuple[int, int]] = []  # when, by the machine's clock, and how far ahead since

    def now_ns(self) -> int:
        """Return nanoseconds since 1970."""
        return self.moved(time.time_ns())

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        ahead = self._waits[-1][1] if self._waits else 0
        self._waits.append((time.time_ns(), ahead + round(seconds * 1_000_000_000)))

    def moved(self, server_ns: int) -> int:
        """Return when something happened that a server says happened then."""
        return server_ns + next((ahead for since, ahead in reversed(self._waits) if since <= server_ns), 0)


class Rehearsed:
    """The connection. `apis` are the versions of the CRI that the runtime serves."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection, self._clock = connection, clock
        self.apis: tuple[str, ...] = EVERY

    def call(self, service: Spoken, api: str, method: str, request: Any = None) -> Any:
        """Return the answer of a call, or the `Fault` that came instead (see shim.cri.client.Connection)."""
        if service != "node" and api not in self.apis:
            return unknown(service, api)
        if isinstance(request, dict):
            for name in ("config", "sandbox_config"):
                if hasattr(request.get(name), "log_directory"):
                    request[name].log_directory = ""
        answer = self._connection.call(service, api, method, request)
        if method == "ContainerStatus" and not isinstance(answer, Fault) and answer.status.finished_at:
            answer.status.finished_at = self._clock.moved(answer.status.finished_at)
        return answer
