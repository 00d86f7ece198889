"""What things use. No process runs, so the figures are nominal; they are there because clients need them to be.

A running container uses a thousandth of a core since it was started and the same memory all the time: enough for
`crictl stats`, which wants a time that advances and hides rows of zeros. One that does not run has only the size of its
layer, as in containerd, and CRI-O does not list it at all once it has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.engine.values import (
    CONTAINER_RUNNING,
    SANDBOX_READY,
    ContainerAttributes,
    ContainerStats,
    CpuUsage,
    FilesystemIdentifier,
    FsInfo,
    FsUsage,
    LinuxSandboxStats,
    MemoryUsage,
    NetworkInterfaceUsage,
    NetworkUsage,
    ProcessUsage,
    Sandbox,
    SandboxAttributes,
    SandboxStats,
    SwapUsage,
    UInt64Value,
)

if TYPE_CHECKING:
    from shim.engine.containers import Held

CORES_DIVISOR = 1000  # a thousandth of a core
MEMORY_BYTES = 4 << 20
PAUSE_BYTES = 512 << 10
LAYER_BYTES, LAYER_INODES = 32 << 10, 8
TRAFFIC_BYTES = 4 << 10
_PAGE_FAULTS = 1000


def container(held: Held, now: int, mountpoint: str) -> ContainerStats:
    """Return the figures of a container."""
    shown = held.shown
    runs = shown.state == CONTAINER_RUNNING
    return ContainerStats(
        attributes=ContainerAttributes(
            id=shown.id, metadata=shown.metadata, labels=shown.labels, annotations=shown.annotations
        ),
        cpu=_cpu(now, held.started_at) if runs else None,
        memory=_memory(now, MEMORY_BYTES) if runs else None,
        writable_layer=_filesystem(now, mountpoint, LAYER_BYTES, LAYER_INODES),
        swap=SwapUsage(timestamp=now, swap_available_bytes=_number(0), swap_usage_bytes=_number(0)) if runs else None,
    )


def sandbox(shown: Sandbox, containers: tuple[ContainerStats, ...], now: int) -> SandboxStats:
    """Return the figures of a sandbox: its pause container and all that runs in it."""
    running = sum(1 for each in containers if each.cpu is not None)
    used = sum(
        each.cpu.usage_core_nano_seconds.value for each in containers if each.cpu and each.cpu.usage_core_nano_seconds
    )
    ready = shown.state == SANDBOX_READY
    interface = NetworkInterfaceUsage(
        name="eth0",
        rx_bytes=_number(TRAFFIC_BYTES),
        rx_errors=_number(0),
        tx_bytes=_number(TRAFFIC_BYTES),
        tx_errors=_number(0),
    )
    return SandboxStats(
        attributes=SandboxAttributes(
            id=shown.id, metadata=shown.metadata, labels=shown.labels, annotations=shown.annotations
        ),
        linux=LinuxSandboxStats(
            cpu=CpuUsage(
                timestamp=now,
                usage_core_nano_seconds=_number((now - shown.created_at) // CORES_DIVISOR + used),
                usage_nano_cores=_number((running + 1) * 1_000_000_000 // CORES_DIVISOR),
            ),
            memory=_memory(now, PAUSE_BYTES + running * MEMORY_BYTES),
            network=NetworkUsage(timestamp=now, default_interface=interface),
            process=ProcessUsage(timestamp=now, process_count=_number(running + 1)),
            containers=containers,
        )
        if ready
        else LinuxSandboxStats(containers=containers),
    )


def filesystem(now: int, mountpoint: str, used: int, inodes: int) -> FsInfo:
    """Return the figures of the file system that holds the images, which holds the containers too."""
    usage = (_filesystem(now, mountpoint, used, inodes),)
    return FsInfo(image_filesystems=usage, container_filesystems=usage)


def _cpu(now: int, started_at: int) -> CpuUsage:
    return CpuUsage(
        timestamp=now,
        usage_core_nano_seconds=_number((now - started_at) // CORES_DIVISOR),
        usage_nano_cores=_number(1_000_000_000 // CORES_DIVISOR),
    )


def _memory(now: int, used: int) -> MemoryUsage:
    return MemoryUsage(
        timestamp=now,
        working_set_bytes=_number(used),
        available_bytes=_number(0),
        usage_bytes=_number(used),
        rss_bytes=_number(used // 2),
        page_faults=_number(_PAGE_FAULTS),
        major_page_faults=_number(0),
    )


def _filesystem(now: int, mountpoint: str, used: int, inodes: int) -> FsUsage:
    return FsUsage(
        timestamp=now,
        fs_id=FilesystemIdentifier(mountpoint=mountpoint),
        used_bytes=_number(used),
        inodes_used=_number(inodes),
    )


def _number(value: int) -> UInt64Value:
    return UInt64Value(value=value)
