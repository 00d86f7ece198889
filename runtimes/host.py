"""What a decision needs to know about the machine it is made on."""

from __future__ import annotations

import msgspec

from runtimes.capabilities import KERNEL_CAPABILITIES


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One machine.

    `arch` is a GOARCH ("amd64"), `kernel` a uname release ("6.1.0-18-amd64"), `seccomp` whether the kernel filters,
    `cgroup` the hierarchy (1 or 2), `capabilities` what the runtime's own process holds (the meaning of "ALL"),
    `hostname` what a pod on the host's network sees.
    """

    arch: str = "amd64"
    kernel: str = "6.1.0"
    seccomp: bool = True
    cgroup: int = 2
    capabilities: tuple[str, ...] = KERNEL_CAPABILITIES
    hostname: str = "localhost"
