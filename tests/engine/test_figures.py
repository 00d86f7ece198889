"""Stats and metrics: nominal figures, in the shape that clients insist on."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from runtimes.request import ImageSpec, LinuxContainerConfig, LinuxContainerResources
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.values import COUNTER, GAUGE, ContainerStats, UInt64Value
from tests.engine.fakes import box, pod, toy_engine

EXPECTED = json.loads((Path(__file__).parent / "metric_names.json").read_text())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine(clock: VirtualClock) -> Engine:
    """One sandbox with a container that runs and one that does not."""
    engine = toy_engine(clock=clock)
    engine.pull_image(ImageSpec(image="busybox"))
    sandbox = engine.run_sandbox(pod(labels={"a": "b"}))
    clock.advance(1)
    limits = LinuxContainerConfig(resources=LinuxContainerResources(memory_limit_in_bytes=1 << 30, cpu_quota=-1))
    engine.start_container(engine.create_container(sandbox, msgspec.structs.replace(box("runs"), linux=limits)))
    engine.create_container(sandbox, box("waits"))
    return engine


def number(value: UInt64Value | None) -> int:
    assert value is not None
    return value.value


def test_what_a_running_container_uses_advances_with_the_clock(engine: Engine, clock: VirtualClock) -> None:
    runs = engine.containers()[0].id

    def sample() -> ContainerStats:
        clock.advance(1)
        return engine.container_stats(runs)

    first, second = sample(), sample()
    assert first.cpu
    assert second.cpu
    assert first.memory
    assert first.writable_layer
    assert first.swap
    assert second.cpu.timestamp - first.cpu.timestamp == 1_000_000_000
    rate = number(second.cpu.usage_core_nano_seconds) - number(first.cpu.usage_core_nano_seconds)
    assert rate == number(first.cpu.usage_nano_cores) > 0
    assert number(first.memory.working_set_bytes) > 0
    assert number(first.writable_layer.used_bytes) > 0
    assert (first.attributes.id, first.attributes.metadata.name) == (runs, "runs")
    assert engine.list_container_stats()[0] == second


def test_of_what_does_not_run_only_the_layer_is_known(engine: Engine) -> None:
    runs, waits = engine.containers()
    engine.stop_container(runs.id)
    for each in (runs.id, waits.id):
        stats = engine.container_stats(each)
        assert (stats.cpu, stats.memory, stats.swap) == (None, None, None)
        assert stats.writable_layer is not None


def test_a_sandbox_uses_what_runs_in_it_and_its_pause_container(engine: Engine, clock: VirtualClock) -> None:
    clock.advance(1)
    (sandbox,) = engine.list_sandbox_stats()
    (runs, _waits) = engine.list_container_stats()
    assert engine.sandbox_stats(sandbox.attributes.id[:12]) == sandbox
    assert sandbox.attributes.labels == {"a": "b"}
    linux = sandbox.linux
    assert linux
    assert linux.cpu
    assert linux.memory
    assert linux.process
    assert linux.network
    assert runs.cpu
    assert runs.memory
    assert number(linux.cpu.usage_core_nano_seconds) > number(runs.cpu.usage_core_nano_seconds)
    assert number(linux.memory.working_set_bytes) > number(runs.memory.working_set_bytes)
    assert number(linux.process.process_count) == 2
    assert linux.network.default_interface
    assert linux.network.default_interface.name == "eth0"
    assert linux.containers == tuple(engine.list_container_stats())


def test_a_stopped_sandbox_uses_nothing(engine: Engine) -> None:
    engine.stop_sandbox(engine.sandboxes()[0].id)
    (sandbox,) = engine.list_sandbox_stats()
    assert sandbox.linux
    assert (sandbox.linux.cpu, sandbox.linux.memory, sandbox.linux.network) == (None, None, None)


def test_every_metric_that_cri_tools_expects_is_described_and_has_a_value(engine: Engine) -> None:
    described = {each.name: each for each in engine.metric_descriptors()}
    assert len(described) == len(engine.metric_descriptors())
    assert set(EXPECTED["names"]) <= set(described)
    assert all(each.help for each in described.values())
    (sandbox,) = engine.sandbox_metrics()
    (runs,) = sandbox.container_metrics
    values = [*sandbox.metrics, *runs.metrics]
    assert {each.name for each in values} == set(described)
    for each in values:
        assert len(each.label_values) == len(described[each.name].label_keys), each.name
        only_grows = each.name.endswith("_total") and each.name != "container_fs_inodes_total"
        assert each.metric_type == (COUNTER if only_grows or each.name == "container_memory_failcnt" else GAUGE)


@pytest.mark.parametrize("name", sorted(EXPECTED["labels"]))
def test_metrics_carry_the_labels_that_a_real_runtime_gives_them(engine: Engine, name: str) -> None:
    described = {each.name: each for each in engine.metric_descriptors()}
    assert list(described[name].label_keys) == EXPECTED["labels"][name]


def test_metrics_tell_limits_and_times(engine: Engine, clock: VirtualClock) -> None:
    clock.advance(2000)
    (sandbox,) = engine.sandbox_metrics()
    (runs,) = sandbox.container_metrics
    shown = {each.name: number(each.value) for each in runs.metrics}
    assert shown["container_spec_memory_limit_bytes"] == 1 << 30
    assert shown["container_spec_cpu_quota"] == 0  # no limit is no negative number
    assert shown["container_cpu_usage_seconds_total"] == 2
    assert shown["container_last_seen"] - shown["container_start_time_seconds"] == 2000
    assert runs.metrics[0].label_values[:3] == ("pod", "ns", "runs")


def test_a_stopped_sandbox_has_no_values(engine: Engine) -> None:
    engine.stop_sandbox(engine.sandboxes()[0].id)
    (sandbox,) = engine.sandbox_metrics()
    assert (sandbox.metrics, sandbox.container_metrics) == ((), ())
