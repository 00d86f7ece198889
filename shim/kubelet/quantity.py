"""Quantities of resources ("100m", "64Mi") and the cgroup numbers that kubelets make of them.

Quantities are whole numbers of billionths here, rounded up as the API server rounds them.
Source: k8s.io/apimachinery pkg/api/resource/quantity.go; pkg/kubelet/kuberuntime/helpers_linux.go and
pkg/kubelet/cm/helpers_linux.go (MilliCPUToShares, MilliCPUToQuota), the same from v1.18.6 to v1.36.3.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import msgspec

from runtimes.request import LinuxContainerResources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shim.kubelet.pod import Resources

ONE = 10**9

_QUANTITY = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?([eE][+-]?\d{1,2}|[KMGTPE]i|[numkMGTPE]|)")
_SUFFIXES = {
    "": ONE,
    **{name: ONE // 1000**power for power, name in enumerate("mun", 1)},
    **{name: ONE * 1000**power for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": ONE * 1024**power for power, name in enumerate("KMGTPE", 1)},
}
_MILLI = ONE // 1000
_PERIOD = 100_000  # microseconds
_LEAST_QUOTA = 1000
_LEAST_SHARES, _MOST_SHARES = 2, 262_144
_BEST_EFFORT_SCORE = 1000


class NoQuantity(ValueError):
    """A text that is no quantity; `str` shows it."""


@functools.lru_cache(maxsize=1024)
def parse(text: str | float) -> int:
    """Read a quantity, in billionths. Raises `NoQuantity`."""
    found = _QUANTITY.fullmatch(str(text))
    if not found or not (found[2] or found[3]):
        raise NoQuantity(str(text))
    sign, whole, decimals, suffix = found.groups(default="")
    number: int = int(whole + decimals)
    parts: int = 10 ** len(decimals)
    if suffix not in _SUFFIXES:  # an exponent
        power = int(suffix[1:])
        number, suffix = number * 10 ** max(power, 0), ""
        parts = parts * 10 ** max(-power, 0)
    value: int = -(-number * _SUFFIXES[suffix] // parts)
    return -value if sign == "-" else value


class Share(msgspec.Struct, frozen=True):
    """What one container asks for and is limited to, by the resource's name; a request defaults to its limit."""

    requests: dict[str, int]
    limits: dict[str, int]


_NOTHING = Share({}, {})


def read(resources: Resources | None) -> Share:
    """Read what a container asks for. Raises `NoQuantity`."""
    if resources is None:
        return _NOTHING
    limits = {name: parse(text) for name, text in (resources.limits or {}).items()}
    return Share({**limits, **{name: parse(text) for name, text in (resources.requests or {}).items()}}, limits)


def quality(shares: Iterable[Share]) -> str:
    """Return a pod's quality of service: "Guaranteed", "Burstable" or "BestEffort"."""
    shares = tuple(shares)
    requests, limits = _sums(share.requests for share in shares), _sums(share.limits for share in shares)
    if not requests and not limits:
        return "BestEffort"
    complete = all(share.limits.get(name, 0) > 0 for share in shares for name in ("cpu", "memory"))
    return "Guaranteed" if complete and requests == limits else "Burstable"


def resources(share: Share, service: str, guaranteed_score: int) -> LinuxContainerResources:
    """Return the cgroup numbers of a container.

    The OOM score of Burstable pods depends on the node's memory, and is left out.
    """
    limit = _ceil(share.limits.get("cpu", 0), _MILLI)
    request = _ceil(share.requests.get("cpu", 0), _MILLI)
    return LinuxContainerResources(
        cpu_period=_PERIOD,
        cpu_quota=max(limit * _PERIOD // 1000, _LEAST_QUOTA) if limit else 0,
        cpu_shares=min(max(request * 1024 // 1000, _LEAST_SHARES), _MOST_SHARES),
        memory_limit_in_bytes=_ceil(share.limits.get("memory", 0), ONE),
        oom_score_adj={"BestEffort": _BEST_EFFORT_SCORE, "Guaranteed": guaranteed_score}.get(service, 0),
    )


def _sums(found: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in found:
        for name in ("cpu", "memory"):
            if each.get(name, 0) > 0:
                sums[name] = sums.get(name, 0) + each[name]
    return sums


def _ceil(number: int, unit: int) -> int:
    return -(-number // unit)
