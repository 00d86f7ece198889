"""What time it is: the one thing that the engine reads from the world, so that a test can turn it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970; more than 0, and never less than the time before."""
        ...


class SystemClock:
    """The machine's clock, kept from running backwards: the order of events is the order of their times."""

    def __init__(self) -> None:
        self._last = 0

    def now_ns(self) -> int:
        """Return the machine's time, or the last one given where that was set back since."""
        self._last = max(self._last, time.time_ns())
        return self._last


class VirtualClock:
    """A clock that stands still until it is told to go on, or goes `tick_ns` further whenever it is looked at."""

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000, tick_ns: int = 0) -> None:
        self._now, self._tick = start_ns, tick_ns

    def now_ns(self) -> int:
        """Return where the hands are."""
        self._now += self._tick
        return self._now

    def advance(self, seconds: float) -> None:
        """Turn the hands."""
        self._now += round(seconds * 1_000_000_000)
