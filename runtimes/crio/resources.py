"""The limits of a container, and the paths that it cannot see or write.

Source: internal/factory/container/container.go (SpecSetLinuxContainerResources, SpecSetPrivileges),
server/masked_paths.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runtimes.errors import Refused

if TYPE_CHECKING:
    from runtimes.crio.layout import Layout
    from runtimes.request import ContainerRequest, LinuxContainerResources, LinuxContainerSecurityContext

Json = dict[str, Any]

_UINT64 = (1 << 64) - 1  # what the spec has where the request has a signed number
_UNIFIED = 2  # the hierarchy's own name
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def resources(layout: Layout, request: ContainerRequest, *, identifier: str, privileged: bool, handler: str) -> Json:
    """Return limits as the request has them; a privileged container may use every device. Raises `Refused`."""
    found: Json = {"devices": [{"allow": privileged, "access": "rwm"}]}
    asked = request.linux.resources if request.linux else None
    if asked:
        cpu = {"shares": asked.cpu_shares & _UINT64, "quota": asked.cpu_quota, "period": asked.cpu_period & _UINT64}
        found |= _memory(layout, asked, identifier, handler)
        found["cpu"] = cpu | without_empty({"cpus": asked.cpuset_cpus, "mems": asked.cpuset_mems})
    found["pids"] = {"limit": layout.config.runtime["pids_limit"]}
    if asked and asked.hugepage_limits:
        found["hugepageLimits"] = [{"pageSize": each.page_size, "limit": each.limit} for each in asked.hugepage_limits]
    if asked and asked.unified and layout.host.cgroup == _UNIFIED:
        found["unified"] = dict(sorted(asked.unified.items()))
    return found


def _memory(layout: Layout, asked: LinuxContainerResources, identifier: str, handler: str) -> Json:
    limit, swap = asked.memory_limit_in_bytes, asked.memory_swap_limit_in_bytes
    if not limit:
        return {}
    least = _bytes(layout.config.handler(handler)["container_min_memory"]) or layout.value("minimum-memory")
    if limit < least:
        raise Refused("UNKNOWN", layout.value("low-memory-error").format(limit=limit, least=least))
    if 0 < swap < limit:
        message = f"container {identifier} create failed because memory swap limit ({swap}) cannot be lower than memory"
        raise Refused("UNKNOWN", f"{message} limit ({limit})")
    return {"memory": {"limit": limit, "swap": swap or limit}}


def hidden_paths(
    layout: Layout, security: LinuxContainerSecurityContext | None, *, privileged: bool, is_systemd: bool
) -> dict[str, list[str]]:
    """Return the masked and the read-only paths; the privileged see everything."""
    masked = list(security.masked_paths) if security else []
    read_only = list(security.readonly_paths) if security else []
    own = layout.value("masked-paths")
    if layout.facts.has("built-in-masked-paths"):
        masked = masked or list(own)
        read_only = read_only or list(layout.value("read-only-paths"))
    elif layout.value("merges-masked-paths") in ("always", "if-given" if masked else "always"):
        masked = sorted({*own, *masked})
    if privileged:
        masked, read_only = [], []
    if is_systemd and layout.host.cgroup == 1:
        masked.append("/sys/fs/cgroup/systemd/release_agent")
    return {"maskedPaths": masked, "readonlyPaths": read_only}


def _bytes(text: str | None) -> int:
    """Read a size such as "500KiB" or "12MiB"; 0 for none and for what is none."""
    found = re.fullmatch(r"([0-9]{1,15}) ?([KMG]?)(?:I?B)?", (text or "").upper())
    return int(found[1]) * _FACTORS[found[2]] if found else 0


def without_empty(values: Json, keep: tuple[str, ...] = ()) -> Json:
    """Leave out what Go leaves out; 0 counts as a value here."""
    return {key: value for key, value in values.items() if (key in keep and value is not None) or not _is_empty(value)}


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, (str, list, dict)) and not value)
