"""Events: which, in which order, with what, and what becomes of those who do not listen."""

from __future__ import annotations

import asyncio

import pytest

from runtimes.errors import CapacityExceeded, Refused
from runtimes.request import ImageSpec
from shim.engine import events
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.events import Subscription
from shim.engine.values import CONTAINER_EXITED, CONTAINER_RUNNING, Event
from tests.engine.fakes import box, pod, toy_engine

_NAMES = ("created", "started", "stopped", "deleted")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine(clock: VirtualClock) -> Engine:
    engine = toy_engine(clock=clock)
    engine.pull_image(ImageSpec(image="busybox"))
    return engine


async def waiting(subscription: Subscription) -> list[Event]:
    """Take what is there: to what closes a subscription it still hands out what was waiting."""
    subscription.close()
    return [event async for event in subscription]


async def test_the_events_of_a_pods_life(engine: Engine, clock: VirtualClock) -> None:
    subscription = engine.subscribe()
    sandbox = engine.run_sandbox(pod())
    clock.advance(1)
    one, two = (engine.create_container(sandbox, box(name)) for name in "ab")
    engine.start_container(one)
    engine.stop_container(one, 10)
    engine.start_container(two)
    engine.stop_container(one)  # has ended: nothing happens
    engine.remove_container(one)
    engine.remove_sandbox(sandbox)
    told = await waiting(subscription)
    names = {sandbox: "pod", one: "a", two: "b"}
    assert [f"{names[event.container_id]} {_NAMES[event.container_event_type]}" for event in told] == [
        *("pod created", "pod started"),
        *("a created", "b created", "a started", "a stopped", "b started", "a deleted"),
        *("b stopped", "pod stopped", "b deleted", "pod deleted"),
    ]
    assert [event.created_at for event in told] == sorted(event.created_at for event in told)
    assert told[2].created_at - told[0].created_at == 1_000_000_000


async def test_an_event_carries_the_pod_as_it_then_is(engine: Engine) -> None:
    subscription = engine.subscribe()
    sandbox = engine.run_sandbox(pod(labels={"a": "b"}))
    one, _two = (engine.create_container(sandbox, box(name)) for name in "ab")
    engine.start_container(one)
    engine.stop_container(one)
    engine.remove_sandbox(sandbox)
    _, _, _, _, started, stopped, *_, deleted = await waiting(subscription)
    assert started.pod_sandbox_status
    assert started.pod_sandbox_status.labels == {"a": "b"}
    assert [status.state for status in started.containers_statuses] == [CONTAINER_RUNNING, 0]
    assert [status.state for status in stopped.containers_statuses] == [CONTAINER_EXITED, 0]
    assert (deleted.pod_sandbox_status, deleted.containers_statuses) == (None, ())


async def test_a_refused_start_is_no_event(engine: Engine) -> None:
    made = engine.create_container(engine.run_sandbox(pod()), box(profile="unstartable"))
    subscription = engine.subscribe()
    with pytest.raises(Refused):
        engine.start_container(made)
    assert [_NAMES[event.container_event_type] for event in await waiting(subscription)] == [
        *("created", "started"),  # the sandbox
        "created",
    ]


async def test_removing_what_runs_stops_it_first(engine: Engine) -> None:
    made = engine.create_container(engine.run_sandbox(pod()), box())
    engine.start_container(made)
    await waiting(engine.subscribe())
    subscription = engine.subscribe()
    engine.remove_container(made)
    assert [_NAMES[event.container_event_type] for event in await waiting(subscription)] == ["stopped", "deleted"]


async def test_what_nobody_heard_is_told_to_the_first_who_listens(engine: Engine, clock: VirtualClock) -> None:
    engine.run_sandbox(pod(uid="too old"))
    clock.advance(6 * 60)
    sandbox = engine.run_sandbox(pod())
    first, second = engine.subscribe(), engine.subscribe()
    engine.stop_sandbox(sandbox)
    told = [(event.container_id, event.container_event_type) for event in await waiting(first)]
    assert told == [(sandbox, 0), (sandbox, 1), (sandbox, 2)]
    assert [event.container_event_type for event in await waiting(second)] == [2]
    assert await waiting(engine.subscribe()) == []


async def test_events_wake_who_waits_for_them_and_closing_ends_the_wait(engine: Engine) -> None:
    subscription = engine.subscribe()
    heard: list[int] = []

    async def listen() -> None:
        heard.extend([event.container_event_type async for event in subscription])

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0)
    sandbox = engine.run_sandbox(pod())
    await asyncio.sleep(0)
    engine.stop_sandbox(sandbox)
    await asyncio.sleep(0)
    engine.close()
    await listener
    assert heard == [0, 1, 2]
    subscription.close()


async def test_who_lets_events_pile_up_is_cut_and_others_are_not(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._journal, "_limit", 3)  # noqa: SLF001  a thousand events would say no more
    slow, quick = engine.subscribe(), engine.subscribe()
    got: list[Event] = []
    for number in range(3):
        engine.run_sandbox(pod(uid=f"u{number}"))
        got += [await anext(quick), await anext(quick)]
    assert [await anext(slow) for _ in range(3)] == got[:3]
    with pytest.raises(CapacityExceeded, match="more than 3 events were left waiting"):
        await anext(slow)
    engine.run_sandbox(pod(uid="after"))
    assert len(await waiting(quick)) == 2
    assert len(await waiting(engine.subscribe())) == 0


async def test_a_listener_that_is_cancelled_loses_nothing(engine: Engine) -> None:
    subscription = engine.subscribe()
    waits = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    engine.run_sandbox(pod())
    assert len(await waiting(subscription)) == 2


def test_the_journal_stays_small(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_JOURNAL_LIMIT", 10)
    monkeypatch.setattr(events, "_PRUNE_EVERY", 5)
    for number in range(20):
        engine.remove_sandbox(engine.run_sandbox(pod(uid=f"u{number}")))
    notes = engine._journal.notes()  # noqa: SLF001  what is written down is nobody's answer yet
    assert 10 <= len(notes) < 15
    assert [note.type for note in notes[-4:]] == [0, 1, 2, 3]
