"""The OCI runtime spec that every container and sandbox starts with, and its order.

A spec is made as plain dicts, changed in place by `container.py` and `sandbox.py`, and put into the order of the
runtime spec's own structs at the end, without what is empty: that is how containerd writes it.
Source: oci/spec.go (populateDefaultUnixSpec), oci/mounts.go; opencontainers/runtime-spec specs-go/config.go.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.containerd import capabilities
from runtimes.containerd.paths import join

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.containerd.config import Config, Handler
    from runtimes.containerd.known import Known
    from runtimes.host import Host
    from runtimes.request import IDMapping, UserNamespace

Spec = dict[str, Any]

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACE = "k8s.io"  # containerd's own, not a Kubernetes namespace

_MASKED = (
    "/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats "
    "/proc/sched_debug /sys/firmware /sys/devices/virtual/powercap /proc/scsi"
).split()
_POWERCAP = "/sys/devices/virtual/powercap"
_READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()
_MOUNTS = (
    ("/proc", "proc", "proc", "nosuid noexec nodev"),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),  # noqa: S108  a mount point
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
)

# The keys of each struct in its order.
_TOP = "ociVersion process root hostname domainname mounts hooks annotations linux solaris windows vm zos".split()
_PROCESS = (
    "terminal consoleSize user args commandLine env cwd capabilities rlimits noNewPrivileges apparmorProfile "
    "oomScoreAdj scheduler selinuxLabel ioPriority execCPUAffinity"
).split()
_CAPABILITIES = "bounding effective inheritable permitted ambient".split()
_LINUX = (
    "uidMappings gidMappings sysctl resources cgroupsPath namespaces devices netDevices seccomp rootfsPropagation "
    "maskedPaths readonlyPaths mountLabel intelRdt memoryPolicy personality timeOffsets"
).split()
_RESOURCES = "devices memory cpu pids blockIO hugepageLimits network rdma unified".split()
_MOUNT = "destination type source options uidMappings gidMappings".split()
# Those that stay when they are empty: values that are always there, and pointers to something empty.
_STAYS = frozenset(
    "ociVersion user cwd capabilities oomScoreAdj resources memory cpu uid gid path type root process linux "
    "destination".split()
)


class Site(msgspec.Struct, frozen=True):
    """What a spec is made with besides the request: the facts, the configuration, the runtime handler, the host."""

    known: Known
    config: Config
    handler: Handler
    host: Host

    def sandbox_file(self, sandbox_id: str, name: str) -> str:
        """Return the path of a file that the daemon keeps for a sandbox."""
        return join(self.config.root_dir, "sandboxes", sandbox_id, name)

    def sandbox_state(self, sandbox_id: str, name: str) -> str:
        """Return the path of something that a sandbox has until the host restarts."""
        return join(self.config.state_dir, "sandboxes", sandbox_id, name)


def default(known: Known, container_id: str) -> Spec:
    """Return the spec that containerd starts with, without the parts that the CRI plugin takes out at once."""
    sets = capabilities.default(known)
    masked = _MASKED if known.has("powercap-masked") else [path for path in _MASKED if path != _POWERCAP]
    return {
        "ociVersion": known.value("oci-version"),
        "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "capabilities": sets, "noNewPrivileges": True, "env": []},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": destination, "type": kind, "source": source, "options": options.split()}
            for destination, kind, source, options in _MOUNTS
        ],
        "annotations": {},
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "cgroupsPath": f"/{NAMESPACE}/{container_id}",
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
            "maskedPaths": list(masked),
            "readonlyPaths": list(_READONLY),
        },
    }


def finished(spec: Spec) -> Spec:
    """Return a spec in the order of the runtime spec, without what is empty."""
    found = _ordered(spec, _TOP)
    if "process" in found:
        found["process"] = process = _ordered(found["process"], _PROCESS)
        if "capabilities" in process:
            process["capabilities"] = _ordered(process["capabilities"], _CAPABILITIES)
    if "linux" in found:
        found["linux"] = linux = _ordered(found["linux"], _LINUX)
        if "resources" in linux:
            linux["resources"] = _ordered(linux["resources"], _RESOURCES)
        if "sysctl" in linux:
            linux["sysctl"] = dict(sorted(linux["sysctl"].items()))
    if "annotations" in found:
        found["annotations"] = dict(sorted(found["annotations"].items()))
    return found


def mount(destination: str, kind: str, source: str, options: list[str], **mappings: Any) -> dict[str, Any]:
    """Return one mount, its keys in the order of the runtime spec."""
    return _ordered(
        {"destination": destination, "type": kind, "source": source, "options": options, **mappings}, _MOUNT
    )


def environment(spec: Spec, overrides: Iterable[str]) -> None:
    """Set variables. What is there already is overridden by name, once; a name without a value is taken out."""
    current: list[str] = spec["process"].setdefault("env", [])
    index = {entry.partition("=")[0]: at for at, entry in enumerate(current)}
    for entry in overrides:
        name, sign, _ = entry.partition("=")
        if name in index:
            current[index[name]] = entry if sign else ""
        elif sign:
            current.append(entry)
    if "" in current:
        current[:] = [entry for entry in current if entry]


def namespace(spec: Spec, kind: str, path: str = "") -> None:
    """Put a namespace in the place of its like, or at the end."""
    entry = {"type": kind, "path": path} if path else {"type": kind}
    namespaces = spec["linux"].setdefault("namespaces", [])
    for at, each in enumerate(namespaces):
        if each["type"] == kind:
            namespaces[at] = entry
            return
    namespaces.append(entry)


def without_namespace(spec: Spec, kind: str) -> None:
    """Take a namespace out."""
    spec["linux"]["namespaces"] = [each for each in spec["linux"]["namespaces"] if each["type"] != kind]


def without_mount(spec: Spec, destination: str) -> None:
    """Take a mount out."""
    spec["mounts"] = [each for each in spec["mounts"] if posixpath.normpath(each["destination"]) != destination]


def cgroups_path(parent: str, container_id: str, site: Site) -> str:
    """Return where a container's cgroup is, below the pod's."""
    name = posixpath.basename(parent.rstrip("/")) or "/"
    if site.known.has("cgroup-parent-names-driver"):
        systemd = name.endswith(".slice")
    else:
        systemd = bool(site.config.get("systemdCgroup"))
    return f"{name}:cri-containerd:{container_id}" if systemd else join(parent, container_id)


def groups(spec: Spec, more: Iterable[int]) -> None:
    """Add groups to those of the user, each once and in order."""
    user = spec["process"]["user"]
    merged = {number & 0xFFFFFFFF for number in more}.union(user.get("additionalGids") or ())
    if merged:
        user["additionalGids"] = sorted(merged)


def passed_on(annotations: dict[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Return the annotations that a runtime's configuration passes on, by the patterns of path.Match."""
    from runtimes.containerd.paths import matches  # noqa: PLC0415  seldom configured

    wanted = list(patterns)
    return {key: value for key, value in annotations.items() if any(matches(pattern, key) for pattern in wanted)}


def mappings(ranges: Iterable[IDMapping]) -> list[dict[str, int]]:
    """Return ID mappings as the runtime spec writes them."""
    return [{"containerID": each.container_id, "hostID": each.host_id, "size": each.length} for each in ranges]


def own_user_namespace(options: UserNamespace | None) -> bool:
    """Whether a pod has a user namespace of its own."""
    return options is not None and options.mode == 0


def _ordered(values: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    return {
        key: value
        for key in keys
        if key in values and ((value := values[key]) or (key in _STAYS and value is not None))
    }
