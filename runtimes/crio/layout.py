"""Where CRI-O keeps what belongs to a pod, and what a pod's containers share.

Source: server/sandbox_run_linux.go, internal/lib/sandbox/builder.go, internal/config/cgmgr.
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING, Any

from runtimes.crio.at import at
from runtimes.errors import Refused
from runtimes.request import CONTAINER, NODE, POD, TARGET, NamespaceOption, sandbox_security

if TYPE_CHECKING:
    from runtimes.crio.config import Config
    from runtimes.host import Host
    from runtimes.model import SandboxPlace
    from runtimes.release import Release
    from runtimes.request import SandboxRequest

Json = dict[str, Any]

SHM = "/dev/shm"  # noqa: S108  the mount point, in the container and on the node
_UINT64 = (1 << 64) - 1  # what the spec has where a setting has a signed number
# A storage driver -> where a layer is mounted below its directory. Source: vendored containers/storage drivers/*/.
_MOUNTED = {"overlay": "{}/merged", "vfs": "dir/{}", "btrfs": "subvolumes/{}", "zfs": "graph/{}"}
_DRIVERS = {"": "overlay", "overlay2": "overlay"}  # what goes by another name
NAMESPACE_DIRECTORIES = {"network": "netns", "ipc": "ipcns", "uts": "utsns"}


class Layout:
    """The places of one daemon."""

    def __init__(self, release: Release, host: Host, config: Config) -> None:
        self.release, self.host, self.config = release, host, config
        self.facts = at(release)
        self.systemd = config.runtime["cgroup_manager"] == "systemd"
        self.root: str = config.tables["crio"]["root"]
        self.run_root: str = config.tables["crio"]["runroot"]
        driver: str = config.tables["crio"]["storage_driver"]
        self.driver = _DRIVERS.get(driver, driver)

    def value(self, fact: str) -> Any:
        """Return the value that a fact has for this release."""
        return self.facts.value(fact)

    def hostname(self, sandbox: SandboxRequest, place: SandboxPlace) -> str:
        """Return the pod's hostname: the first twelve digits of its id, or the node's on the node's network."""
        security = sandbox_security(sandbox)
        options = security.namespace_options if security else None
        on_host = bool(options and options.network == NODE)
        return sandbox.hostname or (self.host.hostname if on_host else place.id[:12])

    def run_directory(self, identifier: str, name: str) -> str:
        """Return the path of a file in a container's run directory."""
        return posixpath.join(self.run_root, f"{self.driver}-containers", identifier, "userdata", name)

    def infra_file(self, sandbox: SandboxRequest, identifier: str, name: str) -> str:
        """Return the path of a file in the directory of an infra container; one that only exists on paper has no other
        directory than that of the run.
        """
        if drops_infra(sandbox, self.config):
            return self.run_directory(identifier, name)
        return posixpath.join(self.root, f"{self.driver}-containers", identifier, "userdata", name)

    def mounted(self, layer: str) -> str:
        """Return the path at which the storage driver has the files of a layer."""
        return posixpath.join(self.root, self.driver, _MOUNTED.get(self.driver, "{}").format(layer))

    def shm(self, sandbox: SandboxRequest, place: SandboxPlace) -> str:
        """Return the pod's shared memory, the node's where it shares the node's IPC."""
        security = sandbox_security(sandbox)
        options = security.namespace_options if security else None
        return SHM if options and options.ipc == NODE else self.run_directory(place.id, "shm")

    def resolv_conf(self, sandbox: SandboxRequest, place: SandboxPlace) -> str:
        """Return the pod's resolv.conf, "" where it has none."""
        has = sandbox.dns_config is not None or self.facts.has("resolv-conf-without-dns")
        return self.run_directory(place.id, "resolv.conf") if has else ""

    def cgroup_parent(self, sandbox: SandboxRequest) -> str:
        """Return the pod's cgroup. Raises `Refused` where it is not of the configured manager's kind."""
        parent = sandbox.linux.cgroup_parent if sandbox.linux else ""
        is_slice = posixpath.basename(parent.rstrip("/")).endswith(".slice")
        if self.systemd and parent and not is_slice:
            message = f"cri-o configured with systemd cgroup manager, but did not receive slice as parent: {parent}"
            raise Refused("UNKNOWN", message)
        if not self.systemd and is_slice:
            message = f"cri-o configured with cgroupfs cgroup manager, but received systemd slice as parent: {parent}"
            raise Refused("UNKNOWN", message)
        return posixpath.basename(parent.rstrip("/")) if self.systemd else parent

    def cgroup_path(self, sandbox: SandboxRequest, identifier: str) -> str:
        """Return a container's cgroup."""
        parent = self.cgroup_parent(sandbox)
        if self.systemd:
            return f"{parent or 'system.slice'}:crio:{identifier}"
        return posixpath.join("/", parent or "/crio", f"crio-{identifier}")

    def shared_namespaces(self, sandbox: SandboxRequest, place: SandboxPlace) -> dict[str, str]:
        """Return the paths of the namespaces that CRI-O keeps for a pod, the host's among them where it pins those."""
        security = sandbox_security(sandbox)
        options = (security.namespace_options if security else None) or NamespaceOption()
        base = self.config.runtime["namespaces_dir"]
        kinds = dict(NAMESPACE_DIRECTORIES)
        if not self.facts.has("pins-host-namespaces"):
            for kind, mode in (("network", options.network), ("ipc", options.ipc)):
                if mode == NODE:
                    del kinds[kind]
        if is_mapped(sandbox):
            kinds["user"] = "userns"
        return {kind: posixpath.join(base, directory, pinned(place)) for kind, directory in kinds.items()}

    def user_namespace(self, sandbox: SandboxRequest) -> Json:
        """Return the mappings of a pod's own users, nothing where it has none."""
        security = sandbox_security(sandbox)
        options = security.namespace_options if security else None
        if not options or not options.userns_options or not is_mapped(sandbox):
            return {}
        return {
            f"{name}Mappings": [
                {"containerID": each.container_id, "hostID": each.host_id, "size": each.length} for each in mappings
            ]
            for name, mappings in (("uid", options.userns_options.uids), ("gid", options.userns_options.gids))
        }

    def limits(self) -> list[Json]:
        """Return the configured `default_ulimits`; the daemon starts only with such as can be read."""
        found = []
        for each in self.config.runtime["default_ulimits"] or ():
            name, _, values = each.partition("=")
            soft, _, hard = values.partition(":")
            least, most = int(soft or 0) & _UINT64, int(hard or soft or 0) & _UINT64  # -1 is no limit
            found.append({"type": f"RLIMIT_{name.upper()}", "hard": most, "soft": least})
        return found


def pinned(place: SandboxPlace) -> str:
    """Return the name under which a pod's namespaces are pinned, bare of what containerd puts before it."""
    return posixpath.basename(place.network).removeprefix("cni-")


def storage(identifier: str) -> str:
    """Return the id of a sandbox's own layer, which no place names: made from the sandbox's, and as long."""
    return hashlib.sha256(f"layer of {identifier}".encode()).hexdigest()


def is_privileged(request: SandboxRequest) -> bool:
    """Whether a sandbox counts as privileged: it is, or it shares the network, PIDs or IPC of the host."""
    security = sandbox_security(request)
    if security is None:
        return False
    options = security.namespace_options
    shares = options is not None and NODE in (options.network, options.pid, options.ipc)
    return security.privileged or shares


def drops_infra(request: SandboxRequest, config: Config) -> bool:
    """Whether the infra container of a sandbox only exists on paper."""
    security = sandbox_security(request)
    options = (security.namespace_options if security else None) or NamespaceOption(pid=POD)
    return bool(config.runtime["drop_infra_ctr"]) and options.pid in (CONTAINER, NODE, TARGET)


def is_mapped(sandbox: SandboxRequest) -> bool:
    """Whether a pod has users of its own."""
    security = sandbox_security(sandbox)
    options = security.namespace_options if security else None
    users = options.userns_options if options else None
    return users is not None and users.mode == POD and bool(users.uids)
