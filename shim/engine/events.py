"""What happened, in order, told to whoever listens.

Every event is written down with the change that it tells of. Those that nobody heard are told to the first who listens,
if that is soon enough; containerd queues them so for 5 minutes (internal/cri/server/service.go at v2.3.4). An event
carries the statuses of the pod as they are when it is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from runtimes.errors import CapacityExceeded
from shim.engine.values import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from shim.engine.ground import Ground
    from shim.engine.values import ContainerStatus, PodSandboxStatus

    Describe = Callable[[str], tuple[PodSandboxStatus | None, tuple[ContainerStatus, ...]]]

QUEUE_LIMIT = 1024  # events that a subscriber may leave waiting
_UNHEARD_NS = 5 * 60 * 1_000_000_000
_JOURNAL_LIMIT = 4096  # events that stay written down
_PRUNE_EVERY = 512


class Note(msgspec.Struct, frozen=True):
    """An event as it is written down. `sandbox` is the sandbox it happened in, or to."""

    at: int
    type: int
    id: str
    sandbox: str


class Subscription:
    """The events from now on, in order, after those that nobody heard: `async for event in subscription`.

    Iteration ends when it is closed. A subscriber that leaves more than `QUEUE_LIMIT` events waiting is cut: it still
    gets those, then `CapacityExceeded`. One reader at a time.
    """

    def __init__(self, journal: Journal, limit: int) -> None:
        self._journal, self._limit = journal, limit
        self._waiting: deque[Event] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._open, self._cut = True, False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._cut:
                raise CapacityExceeded(
                    f"more than {self._limit} events were left waiting; subscribe again and list what exists"
                )
            if not self._open:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._waiting.popleft()

    def put(self, event: Event) -> None:
        """Hand an event over, or cut the subscriber that has no room for it."""
        if len(self._waiting) < self._limit:
            self._waiting.append(event)
        else:
            self._cut = True
            self.close()
        self._wake()

    def close(self) -> None:
        """Stop listening. Closing twice is no error."""
        self._open = False
        self._journal.drop(self)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Journal:
    """All events and who listens to them."""

    def __init__(self, ground: Ground, describe: Describe, limit: int = QUEUE_LIMIT) -> None:
        self._ground, self._describe, self._limit = ground, describe, limit
        self._subscriptions: list[Subscription] = []

    def note(self, type: int, id: str, sandbox: str) -> Note:
        """Write an event down, inside of the change that it tells of."""
        note = Note(self._ground.clock.now_ns(), type, id, sandbox)
        store = self._ground.store
        seq = store.write(
            "INSERT INTO events (at, type, id, sandbox, heard) VALUES (?, ?, ?, ?, ?)",
            *(note.at, note.type, note.id, note.sandbox, bool(self._subscriptions)),
        )
        if seq % _PRUNE_EVERY == 0:
            store.write("DELETE FROM events WHERE seq <= ?", seq - _JOURNAL_LIMIT)
        return note

    def tell(self, *notes: Note) -> None:
        """Tell those who listen, once the change is committed."""
        if self._subscriptions:
            for note in notes:
                event = self._event(note)
                for subscription in tuple(self._subscriptions):
                    subscription.put(event)

    def notes(self) -> list[Note]:
        """Return what is written down, oldest first."""
        return [Note(*row) for row in self._ground.store.rows("SELECT at, type, id, sandbox FROM events ORDER BY seq")]

    def subscribe(self) -> Subscription:
        """Begin to listen."""
        subscription = Subscription(self, self._limit)
        if not self._subscriptions:
            for note in self._unheard():
                subscription.put(self._event(note))
        self._subscriptions.append(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forget one who no longer listens."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def _unheard(self) -> list[Note]:
        store = self._ground.store
        since = self._ground.clock.now_ns() - _UNHEARD_NS
        newest = store.rows(
            "SELECT at, type, id, sandbox FROM events WHERE NOT heard AND at >= ? ORDER BY seq DESC LIMIT ?",
            *(since, self._limit),
        )
        found = [Note(*row) for row in newest]
        if found:
            with store.change():
                store.write("UPDATE events SET heard = 1 WHERE NOT heard")
        return found[::-1]

    def _event(self, note: Note) -> Event:
        sandbox, containers = self._describe(note.sandbox)
        return Event(
            container_id=note.id,
            container_event_type=note.type,
            created_at=note.at,
            pod_sandbox_status=sandbox,
            containers_statuses=containers,
        )
