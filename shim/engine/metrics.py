"""ListMetricDescriptors and ListPodSandboxMetrics: the names that cAdvisor gave to what a container uses.

Names and labels are those that cri-tools expects (pkg/validate/pod.go, expectedMetricDescriptorNames at 2026-08) and
containerd 2.3 answers with; every value follows from the same nominal figures as in `stats`. What a process-less
container cannot have (a failed allocation, a byte read from disk) is 0, which is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from runtimes.request import LinuxContainerResources
from shim.engine import stats
from shim.engine.values import (
    CONTAINER_RUNNING,
    COUNTER,
    GAUGE,
    SANDBOX_READY,
    ContainerMetrics,
    Metric,
    MetricDescriptor,
    SandboxMetrics,
    UInt64Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shim.engine.containers import Held
    from shim.engine.values import Sandbox

_SECOND = 1_000_000_000
_LABELS = ("pod", "namespace", "container", "id", "image")


class Subject(NamedTuple):
    """What a value is computed from: since when it runs, the time, the limits in force, the memory in use."""

    started_at: int
    now: int
    limits: LinuxContainerResources
    memory: int


class _Kind(NamedTuple):
    """One metric: whether it only grows, its help, how a value is found, and labels of its own with their values."""

    type: int
    help: str
    value: Callable[[Subject], int]
    labels: dict[str, str] = {}


def _zero(_: Subject) -> int:
    return 0


def _cpu_seconds(subject: Subject) -> int:
    return (subject.now - subject.started_at) // stats.CORES_DIVISOR // _SECOND


_DISK, _NIC = {"device": "overlay"}, {"interface": "eth0"}

CONTAINER_METRICS: dict[str, _Kind] = {
    "container_last_seen": _Kind(GAUGE, "when the container was last looked at", lambda s: s.now // _SECOND),
    "container_start_time_seconds": _Kind(GAUGE, "when the container was started", lambda s: s.started_at // _SECOND),
    "container_spec_cpu_period": _Kind(GAUGE, "CPU period, in microseconds", lambda s: s.limits.cpu_period),
    "container_spec_cpu_quota": _Kind(GAUGE, "CPU quota, in microseconds", lambda s: max(s.limits.cpu_quota, 0)),
    "container_spec_cpu_shares": _Kind(GAUGE, "CPU shares", lambda s: s.limits.cpu_shares),
    "container_spec_memory_limit_bytes": _Kind(GAUGE, "memory limit", lambda s: s.limits.memory_limit_in_bytes),
    "container_spec_memory_reservation_limit_bytes": _Kind(GAUGE, "memory reservation", _zero),
    "container_spec_memory_swap_limit_bytes": _Kind(
        GAUGE, "limit of memory and swap", lambda s: max(s.limits.memory_swap_limit_in_bytes, 0)
    ),
    "container_cpu_user_seconds_total": _Kind(COUNTER, "CPU time in user space", _cpu_seconds),
    "container_cpu_system_seconds_total": _Kind(COUNTER, "CPU time in the kernel", _zero),
    "container_cpu_usage_seconds_total": _Kind(COUNTER, "CPU time", _cpu_seconds),
    "container_cpu_cfs_periods_total": _Kind(COUNTER, "enforcement periods", _zero),
    "container_cpu_cfs_throttled_periods_total": _Kind(COUNTER, "enforcement periods with throttling", _zero),
    "container_cpu_cfs_throttled_seconds_total": _Kind(COUNTER, "time spent throttled", _zero),
    "container_memory_cache": _Kind(GAUGE, "page cache", _zero),
    "container_memory_rss": _Kind(GAUGE, "anonymous memory", lambda s: s.memory // 2),
    "container_memory_kernel_usage": _Kind(GAUGE, "memory that the kernel uses for it", _zero),
    "container_memory_mapped_file": _Kind(GAUGE, "mapped files", _zero),
    "container_memory_swap": _Kind(GAUGE, "swap", _zero),
    "container_memory_failcnt": _Kind(COUNTER, "how often the memory limit was hit", _zero),
    "container_memory_usage_bytes": _Kind(GAUGE, "memory, all of it", lambda s: s.memory),
    "container_memory_max_usage_bytes": _Kind(GAUGE, "most memory so far", lambda s: s.memory),
    "container_memory_working_set_bytes": _Kind(GAUGE, "memory without inactive cache", lambda s: s.memory),
    "container_memory_total_active_file_bytes": _Kind(GAUGE, "active page cache", _zero),
    "container_memory_total_inactive_file_bytes": _Kind(GAUGE, "inactive page cache", _zero),
    "container_memory_failures_total": _Kind(
        COUNTER, "failed allocations", _zero, {"failure_type": "pgfault", "scope": "container"}
    ),
    "container_oom_events_total": _Kind(COUNTER, "out-of-memory events", _zero),
    "container_hugetlb_usage_bytes": _Kind(GAUGE, "huge pages", _zero, {"pagesize": "2MB"}),
    "container_hugetlb_max_usage_bytes": _Kind(GAUGE, "most huge pages so far", _zero, {"pagesize": "2MB"}),
    "container_fs_inodes_free": _Kind(GAUGE, "free inodes", _zero, _DISK),
    "container_fs_inodes_total": _Kind(GAUGE, "inodes", lambda _: stats.LAYER_INODES, _DISK),
    "container_fs_limit_bytes": _Kind(GAUGE, "size of the file system", _zero, _DISK),
    "container_fs_usage_bytes": _Kind(GAUGE, "bytes in the writable layer", lambda _: stats.LAYER_BYTES, _DISK),
    "container_fs_reads_bytes_total": _Kind(COUNTER, "bytes read", _zero, _DISK),
    "container_fs_reads_total": _Kind(COUNTER, "reads", _zero, _DISK),
    "container_fs_writes_bytes_total": _Kind(COUNTER, "bytes written", _zero, _DISK),
    "container_fs_writes_total": _Kind(COUNTER, "writes", _zero, _DISK),
    "container_blkio_device_usage_total": _Kind(
        COUNTER, "bytes by block device", _zero, _DISK | {"major": "0", "minor": "0", "operation": "Read"}
    ),
    "container_processes": _Kind(GAUGE, "processes", lambda _: 1),
    "container_file_descriptors": _Kind(GAUGE, "open file descriptors", _zero),
    "container_sockets": _Kind(GAUGE, "open sockets", _zero),
    "container_threads": _Kind(GAUGE, "threads", lambda _: 1),
    "container_threads_max": _Kind(GAUGE, "most threads allowed, 0 for no limit", _zero),
    "container_ulimits_soft": _Kind(GAUGE, "soft limits of the first process", _zero, {"ulimit": "max_open_files"}),
} | {
    f"container_pressure_{what}_{how}_seconds_total": _Kind(COUNTER, f"time {how} for want of {what}", _zero)
    for what in ("cpu", "io", "memory")
    for how in ("stalled", "waiting")
}

SANDBOX_METRICS: dict[str, _Kind] = {
    f"container_network_{way}_{what}_total": _Kind(
        COUNTER,
        f"network, {way}: {what.replace('_', ' ')}",
        (lambda _: stats.TRAFFIC_BYTES) if what == "bytes" else _zero,
        _NIC,
    )
    for way in ("receive", "transmit")
    for what in ("bytes", "packets", "packets_dropped", "errors")
}

DESCRIPTORS = tuple(
    MetricDescriptor(name=name, help=kind.help, label_keys=(*_LABELS, *kind.labels))
    for name, kind in (CONTAINER_METRICS | SANDBOX_METRICS).items()
)


def of_sandbox(
    shown: Sandbox, containers: Iterable[Held], limits: Callable[[str], LinuxContainerResources], now: int
) -> SandboxMetrics:
    """Return the metrics of a sandbox and of the containers that run in it. `limits` finds those in force by id."""
    pod = (shown.metadata.name, shown.metadata.namespace)
    return SandboxMetrics(
        pod_sandbox_id=shown.id,
        metrics=_values(
            SANDBOX_METRICS,
            (*pod, "POD", shown.id, ""),
            Subject(shown.created_at, now, LinuxContainerResources(), stats.PAUSE_BYTES),
        )
        if shown.state == SANDBOX_READY
        else (),
        container_metrics=tuple(
            ContainerMetrics(
                container_id=held.shown.id,
                metrics=_values(
                    CONTAINER_METRICS,
                    (*pod, held.shown.metadata.name, held.shown.id, held.shown.image.image),
                    Subject(held.started_at, now, limits(held.shown.id), stats.MEMORY_BYTES),
                ),
            )
            for held in containers
            if held.shown.state == CONTAINER_RUNNING
        ),
    )


def _values(kinds: dict[str, _Kind], labels: tuple[str, ...], subject: Subject) -> tuple[Metric, ...]:
    return tuple(
        Metric(
            name=name,
            timestamp=subject.now,
            metric_type=kind.type,
            label_values=(*labels, *kind.labels.values()),
            value=UInt64Value(value=kind.value(subject)),
        )
        for name, kind in kinds.items()
    )
