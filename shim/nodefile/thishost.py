"""What this machine is, in a node document's words: the defaults of its part `host`."""

from __future__ import annotations

import errno
import functools
import os
import sys

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.host import Host

# What uname calls an architecture -> GOARCH, for little-endian machines and for big-endian ones.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "loongarch64": "loong64",
    "mips": "mips" if sys.byteorder == "big" else "mipsle",
    "mips64": "mips64" if sys.byteorder == "big" else "mips64le",
    "ppc64": "ppc64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_SECCOMP_ACTIONS = "/proc/sys/kernel/seccomp/actions_avail"  # since Linux 4.14, where filters are compiled in
_LAST_CAPABILITY = "/proc/sys/kernel/cap_last_cap"
_CGROUP_V2 = "/sys/fs/cgroup/cgroup.controllers"
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


@functools.cache
def this_host() -> Host:
    """Return this machine. A daemon on it is taken to hold every capability that the kernel has."""
    name = os.uname()
    return Host(
        arch=architecture(name.machine),
        kernel=name.release,
        seccomp=_exists(_SECCOMP_ACTIONS) or _filter_mode_known(),
        cgroup=2 if _exists(_CGROUP_V2) else 1,
        capabilities=_capabilities(),
        hostname=name.nodename,
    )


def architecture(machine: str) -> str:
    """Return the GOARCH of what uname says. An architecture that Go does not have stands for itself."""
    return "arm" if machine.startswith("armv") else _ARCHITECTURES.get(machine, machine)


def _capabilities() -> tuple[str, ...]:
    try:
        with open(_LAST_CAPABILITY, "rb") as file:  # noqa: PTH123  pathlib is slow to import
            return KERNEL_CAPABILITIES[: int(file.read()) + 1]
    except (OSError, ValueError):
        return KERNEL_CAPABILITIES


def _filter_mode_known() -> bool:
    """Ask the kernel as runtimes do: to a filter at address 0 it says "bad address" if it knows filters."""
    import ctypes  # noqa: PLC0415  only on old kernels

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, None) == -1 and ctypes.get_errno() == errno.EFAULT)


def _exists(path: str) -> bool:
    return os.access(path, os.F_OK)
