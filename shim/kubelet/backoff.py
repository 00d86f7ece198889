"""When a kubelet tries again: the back-off of crashed containers, and the pause after a pod could not be synced.

Time comes in as nanoseconds with each call, so that a test turns its own clock.
Source: k8s.io/client-go util/flowcontrol/backoff.go and pkg/kubelet/kuberuntime/kuberuntime_manager.go (doBackOff) at
v1.18.6 and v1.36.3; pkg/kubelet/kubelet.go for the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.kubelet import gates as _gates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.release import Release

SECOND = 1_000_000_000
INITIAL, MOST = 10 * SECOND, 300 * SECOND
# With the gate ReduceDefaultCrashLoopBackOffDecay.
_REDUCED_INITIAL, _REDUCED_MOST = 1 * SECOND, 60 * SECOND
SYNC_PAUSE = 10 * SECOND  # after a sync that failed


class BackOff:
    """What one kubelet process remembers; a restart forgets it, as it does in a kubelet."""

    def __init__(self, initial: int = INITIAL, most: int = MOST) -> None:
        self.initial, self.most = initial, most
        self._entries: dict[str, tuple[int, int]] = {}  # key -> the pause, and when it was set
        self._failed: dict[str, int] = {}  # uid of a pod -> when its sync failed

    @classmethod
    def of(cls, release: Release, gates: Mapping[str, bool]) -> BackOff:
        """Return the back-off of a release."""
        if _gates.enabled("ReduceDefaultCrashLoopBackOffDecay", release, gates):
            return cls(_REDUCED_INITIAL, _REDUCED_MOST)
        return cls()

    def copy(self) -> BackOff:
        """Return another one that remembers the same."""
        other = BackOff(self.initial, self.most)
        other._entries, other._failed = dict(self._entries), dict(self._failed)
        return other

    def until(self, key: str, finished_at: int, now: int) -> int:
        """Return when a container that ended may start again: `now` or earlier where it may at once."""
        pause, set_at = self._entries.get(key, (0, 0))
        if not pause or self._expired(finished_at, set_at):
            return now
        return finished_at + pause

    def restarted(self, key: str, finished_at: int, now: int) -> None:
        """Note a restart: the next pause is twice as long, or the first one again after a long time without."""
        pause, set_at = self._entries.get(key, (0, 0))
        grown = self.initial if not pause or self._expired(finished_at, set_at) else min(pause * 2, self.most)
        self._entries[key] = (grown, now)

    def failed(self, uid: str, now: int) -> None:
        """Note that a pod could not be synced."""
        self._failed[uid] = now

    def resumes(self, uid: str) -> int:
        """Return when a pod is synced again, 0 for at once."""
        return self._failed[uid] + SYNC_PAUSE if uid in self._failed else 0

    def synced(self, uid: str) -> None:
        """Note that a pod could be synced."""
        self._failed.pop(uid, None)

    def _expired(self, event: int, set_at: int) -> bool:
        return event - set_at > 2 * self.most
