"""What reaches a runtime: the CRI's own messages as frozen values, without protobuf.

Names, nesting and order are the CRI's (kubernetes/cri-api pkg/apis/runtime/v1/api.proto), so that one generic walker
translates them and a runtime that shows "the config it got" can be answered from them. Two things matter:

* presence: a message field that was not sent is None, an empty one is an empty value. `SecurityProfile()` means
  RuntimeDefault, because that is enum number 0; None means that nothing was said.
* enums are their numbers, known or not.
"""

from __future__ import annotations

import msgspec

RUNTIME_DEFAULT, UNCONFINED, LOCALHOST = 0, 1, 2
POD, CONTAINER, NODE, TARGET = 0, 1, 2, 3  # NamespaceMode


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A CRI message. Encoded to JSON it looks as Go shows it: snake_case, zero values left out."""


class SecurityProfile(Message, frozen=True):
    """Which seccomp (or AppArmor) profile: RuntimeDefault 0, Unconfined 1, Localhost 2."""

    profile_type: int = RUNTIME_DEFAULT
    localhost_ref: str = ""


class Int64Value(Message, frozen=True):
    """A number whose absence differs from 0."""

    value: int = 0


class IDMapping(Message, frozen=True):
    """One range of a user namespace."""

    host_id: int = 0
    container_id: int = 0
    length: int = 0


class UserNamespace(Message, frozen=True):
    """The user namespace of a pod."""

    mode: int = 0
    uids: tuple[IDMapping, ...] = ()
    gids: tuple[IDMapping, ...] = ()


class NamespaceOption(Message, frozen=True):
    """Which namespaces are the pod's, the container's own, the node's or another container's."""

    network: int = 0
    pid: int = 0
    ipc: int = 0
    target_id: str = ""
    userns_options: UserNamespace | None = None


class SELinuxOption(Message, frozen=True):
    """An SELinux label in its four parts."""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class HugepageLimit(Message, frozen=True):
    """A limit for one page size."""

    page_size: str = ""
    limit: int = 0


class LinuxContainerResources(Message, frozen=True):
    """Cgroup limits."""

    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_shares: int = 0
    memory_limit_in_bytes: int = 0
    oom_score_adj: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    unified: dict[str, str] = {}
    memory_swap_limit_in_bytes: int = 0


class LinuxSandboxSecurityContext(Message, frozen=True):
    """Security of the pause container."""

    namespace_options: NamespaceOption | None = None
    selinux_options: SELinuxOption | None = None
    run_as_user: Int64Value | None = None
    run_as_group: Int64Value | None = None
    readonly_rootfs: bool = False
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: int = 0
    privileged: bool = False
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None
    seccomp_profile_path: str = ""


class LinuxPodSandboxConfig(Message, frozen=True):
    """The Linux part of a sandbox."""

    cgroup_parent: str = ""
    security_context: LinuxSandboxSecurityContext | None = None
    sysctls: dict[str, str] = {}
    overhead: LinuxContainerResources | None = None
    resources: LinuxContainerResources | None = None


class PodSandboxMetadata(Message, frozen=True):
    """What names a sandbox."""

    name: str = ""
    uid: str = ""
    namespace: str = ""
    attempt: int = 0


class DNSConfig(Message, frozen=True):
    """The pod's resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class PortMapping(Message, frozen=True):
    """A port of the host that leads into the pod."""

    protocol: int = 0
    container_port: int = 0
    host_port: int = 0
    host_ip: str = ""


class WindowsSandboxSecurityContext(Message, frozen=True):
    """Security of a Windows pod."""

    run_as_username: str = ""
    credential_spec: str = ""
    host_process: bool = False


class WindowsPodSandboxConfig(Message, frozen=True):
    """The Windows part of a sandbox."""

    security_context: WindowsSandboxSecurityContext | None = None


class SandboxRequest(Message, frozen=True):
    """PodSandboxConfig."""

    metadata: PodSandboxMetadata | None = None
    hostname: str = ""
    log_directory: str = ""
    dns_config: DNSConfig | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    linux: LinuxPodSandboxConfig | None = None
    windows: WindowsPodSandboxConfig | None = None


class Capability(Message, frozen=True):
    """Capabilities to add to and drop from a runtime's defaults, spelled as the user spelled them."""

    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    add_ambient_capabilities: tuple[str, ...] = ()


class LinuxContainerSecurityContext(Message, frozen=True):
    """Security of a container."""

    capabilities: Capability | None = None
    privileged: bool = False
    namespace_options: NamespaceOption | None = None
    selinux_options: SELinuxOption | None = None
    run_as_user: Int64Value | None = None
    run_as_group: Int64Value | None = None
    run_as_username: str = ""
    readonly_rootfs: bool = False
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: int = 0
    no_new_privs: bool = False
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None
    apparmor_profile: str = ""
    seccomp_profile_path: str = ""


class LinuxContainerConfig(Message, frozen=True):
    """The Linux part of a container."""

    resources: LinuxContainerResources | None = None
    security_context: LinuxContainerSecurityContext | None = None


class WindowsContainerResources(Message, frozen=True):
    """Limits of a Windows container."""

    cpu_shares: int = 0
    cpu_count: int = 0
    cpu_maximum: int = 0
    memory_limit_in_bytes: int = 0
    rootfs_size_in_bytes: int = 0


class WindowsContainerSecurityContext(Message, frozen=True):
    """Security of a Windows container."""

    run_as_username: str = ""
    credential_spec: str = ""
    host_process: bool = False


class WindowsContainerConfig(Message, frozen=True):
    """The Windows part of a container."""

    resources: WindowsContainerResources | None = None
    security_context: WindowsContainerSecurityContext | None = None


class ContainerMetadata(Message, frozen=True):
    """What names a container inside its sandbox."""

    name: str = ""
    attempt: int = 0


class ImageSpec(Message, frozen=True):
    """An image as a caller names it."""

    image: str = ""
    annotations: dict[str, str] = {}
    user_specified_image: str = ""
    runtime_handler: str = ""
    image_ref: str = ""


class KeyValue(Message, frozen=True):
    """One environment variable. Text here; bytes that are no UTF-8 survive as surrogate escapes."""

    key: str = ""
    value: str = ""


class Mount(Message, frozen=True):
    """One mount from the host or an image."""

    container_path: str = ""
    host_path: str = ""
    readonly: bool = False
    selinux_relabel: bool = False
    propagation: int = 0
    uidMappings: tuple[IDMapping, ...] = ()
    gidMappings: tuple[IDMapping, ...] = ()
    recursive_read_only: bool = False
    image: ImageSpec | None = None
    image_sub_path: str = ""
    mount_options: tuple[str, ...] = ()


class Device(Message, frozen=True):
    """One device of the host."""

    container_path: str = ""
    host_path: str = ""
    permissions: str = ""


class CDIDevice(Message, frozen=True):
    """One device by its CDI name."""

    name: str = ""


class ContainerRequest(Message, frozen=True):
    """ContainerConfig."""

    metadata: ContainerMetadata | None = None
    image: ImageSpec | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[KeyValue, ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    linux: LinuxContainerConfig | None = None
    windows: WindowsContainerConfig | None = None
    CDI_devices: tuple[CDIDevice, ...] = ()
    stop_signal: int = 0


def sandbox_security(request: SandboxRequest) -> LinuxSandboxSecurityContext | None:
    """Return the security context of a sandbox, None where any message on the way to it is absent."""
    return request.linux.security_context if request.linux else None


def container_security(request: ContainerRequest) -> LinuxContainerSecurityContext | None:
    """Return the security context of a container, None where any message on the way to it is absent."""
    return request.linux.security_context if request.linux else None
