"""Lists and their filters: every condition that is given must hold."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.errors import Refused
from runtimes.request import ImageSpec
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.store import Store
from shim.engine.values import (
    CONTAINER_CREATED,
    CONTAINER_EXITED,
    CONTAINER_RUNNING,
    SANDBOX_NOTREADY,
    SANDBOX_READY,
    ContainerFilter,
    SandboxFilter,
)
from tests.engine.fakes import box, counting_tokens, pod, toy_engine, toy_node


@pytest.fixture(scope="module")
def engine() -> Engine:
    """Three sandboxes, the last stopped; in each a container created, running and exited, but for the last."""
    engine = toy_engine()
    engine.pull_image(ImageSpec(image="busybox"))
    for number in range(3):
        sandbox = engine.run_sandbox(pod(uid=f"u{number}", labels={"pod": str(number), "app": "a" if number else "b"}))
        for name in ("created", "running", "exited"):
            made = engine.create_container(sandbox, box(name, labels={"pod": str(number), "box": name}))
            if name != "created":
                engine.start_container(made)
            if name == "exited":
                engine.stop_container(made)
    engine.stop_sandbox(engine.sandboxes()[2].id)
    return engine


@pytest.mark.parametrize(
    ("filter", "pods", "why"),
    [
        (None, "012", "no filter"),
        (SandboxFilter(), "012", "an empty filter"),
        (SandboxFilter(state=SANDBOX_READY), "01", "a state is there though its number is 0"),
        (SandboxFilter(state=SANDBOX_NOTREADY), "2", "stopped"),
        (SandboxFilter(label_selector={"app": "a"}), "12", "one label"),
        (SandboxFilter(label_selector={"app": "a", "pod": "1"}), "1", "all labels"),
        (SandboxFilter(label_selector={"app": "a", "pod": "0"}), "", "no sandbox has both"),
        (SandboxFilter(label_selector={"app": ""}), "", "an empty value is a value"),
        (SandboxFilter(label_selector={"none": ""}), "", "a label that nothing has"),
        (SandboxFilter(state=SANDBOX_READY, label_selector={"app": "a"}), "1", "state and label"),
        (SandboxFilter(state=7), "", "a state of the future"),
        (SandboxFilter(id="f" * 64), "", "an id that nothing has"),
        (SandboxFilter(id="not hex"), "", "what is no id"),
    ],
)
def test_sandboxes(engine: Engine, filter: SandboxFilter | None, pods: str, why: str) -> None:
    assert "".join(each.labels["pod"] for each in engine.sandboxes(filter)) == pods, why
    assert "".join(each.attributes.labels["pod"] for each in engine.list_sandbox_stats(filter)) == pods, why


@pytest.mark.parametrize(
    ("filter", "count", "why"),
    [
        (None, 9, "no filter"),
        (ContainerFilter(), 9, "an empty filter"),
        (ContainerFilter(state=CONTAINER_CREATED), 3, "a state is there though its number is 0"),
        (ContainerFilter(state=CONTAINER_RUNNING), 2, "one was killed with its sandbox"),
        (ContainerFilter(state=CONTAINER_EXITED), 4, "exited"),
        (ContainerFilter(label_selector={"box": "running"}), 3, "a label"),
        (ContainerFilter(state=CONTAINER_RUNNING, label_selector={"pod": "1"}), 1, "state and label"),
        (ContainerFilter(pod_sandbox_id="f" * 64), 0, "a sandbox that nothing is in"),
        (ContainerFilter(id="f" * 64), 0, "an id that nothing has"),
    ],
)
def test_containers(engine: Engine, filter: ContainerFilter | None, count: int, why: str) -> None:
    assert len(engine.containers(filter)) == count, why
    assert len(engine.list_container_stats(filter)) == count, why


def test_filters_by_id_take_prefixes_and_hold_together(engine: Engine) -> None:
    for sandbox in engine.sandboxes():
        (alone,) = engine.sandboxes(SandboxFilter(id=sandbox.id[:20]))
        assert alone is sandbox
        inside = engine.containers(ContainerFilter(pod_sandbox_id=sandbox.id[:20]))
        assert [each.pod_sandbox_id for each in inside] == [sandbox.id] * 3
        for other in engine.containers():
            both = engine.containers(ContainerFilter(id=other.id[:20], pod_sandbox_id=sandbox.id))
            assert both == ([other] if other.pod_sandbox_id == sandbox.id else [])


def test_an_ambiguous_prefix_in_a_filter_is_an_error() -> None:
    engine = Engine(toy_node(), Store.open(":memory:"), VirtualClock(), token=counting_tokens())
    engine.pull_image(ImageSpec(image="busybox"))
    sandboxes = [engine.run_sandbox(pod(uid=f"u{number}")) for number in range(2)]
    for number in range(2):
        engine.create_container(sandboxes[0], box(f"b{number}"))
    for call, text in (
        (lambda: engine.sandboxes(SandboxFilter(id="00")), "sandbox.ambiguous rpc=ListPodSandbox id=00"),
        (lambda: engine.list_sandbox_stats(SandboxFilter(id="00")), "sandbox.ambiguous rpc=ListPodSandboxStats id=00"),
        (lambda: engine.containers(ContainerFilter(id="00")), "container.ambiguous rpc=ListContainers id=00"),
        (lambda: engine.containers(ContainerFilter(pod_sandbox_id="00")), "sandbox.ambiguous rpc=ListContainers id=00"),
        (
            lambda: engine.list_container_stats(ContainerFilter(id="00")),
            "container.ambiguous rpc=ListContainerStats id=00",
        ),
    ):
        with pytest.raises(Refused) as refusal:
            call()
        assert refusal.value.message == f"alpha: {text}"


def test_lists_are_oldest_first_and_hold_the_very_same_values(engine: Engine) -> None:
    first, second = engine.containers(), engine.containers()
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert [each.created_at for each in first] == sorted(each.created_at for each in first)
    assert [each.labels["box"] for each in first] == ["created", "running", "exited"] * 3


_LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"), max_size=2)


@given(st.lists(_LABELS, min_size=1, max_size=5), _LABELS, st.none() | st.integers(0, 3), st.booleans())
def test_a_filter_lets_through_what_meets_each_condition(
    made: list[dict[str, str]], wanted: dict[str, str], state: int | None, in_first: bool
) -> None:
    engine = toy_engine()
    engine.pull_image(ImageSpec(image="busybox"))
    sandboxes = [engine.run_sandbox(pod(uid=f"u{number}")) for number in range(2)]
    for number, (labels, sandbox) in enumerate(zip(made, itertools.cycle(sandboxes))):
        inside = engine.create_container(sandbox, box(f"b{number}", labels=labels))
        if number % 2:
            engine.start_container(inside)
    asked = ContainerFilter(state=state, label_selector=wanted, pod_sandbox_id=sandboxes[0] if in_first else "")
    assert engine.containers(asked) == [
        each
        for each in engine.containers()
        if all(each.labels.get(key) == value for key, value in wanted.items())
        and (state is None or each.state == state)
        and (not in_first or each.pod_sandbox_id == sandboxes[0])
    ]
