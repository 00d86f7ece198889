"""What the engine answers with: the CRI's own response messages as frozen values, without protobuf.

As in `runtimes.request`, names, nesting and order are the CRI's (kubernetes/cri-api pkg/apis/runtime/v1/api.proto), so
that the edge translates them with the same generic walker: a message that is not sent is None, an empty one is an empty
value, enums are their numbers, times are nanoseconds since 1970. Where a class has another name than its message, its
docstring says so.

`Sandbox` and `Container` are built once and replaced when their state changes, never changed: as long as a list holds
the very same object, whatever an edge made of it is still right.
"""

from __future__ import annotations

from runtimes.request import (
    ContainerMetadata,
    ImageSpec,
    Int64Value,
    LinuxContainerResources,
    Message,
    Mount,
    NamespaceOption,
    PodSandboxMetadata,
    WindowsContainerResources,
)

SANDBOX_READY, SANDBOX_NOTREADY = 0, 1  # PodSandboxState
CONTAINER_CREATED, CONTAINER_RUNNING, CONTAINER_EXITED, CONTAINER_UNKNOWN = 0, 1, 2, 3  # ContainerState
EVENT_CREATED, EVENT_STARTED, EVENT_STOPPED, EVENT_DELETED = 0, 1, 2, 3  # ContainerEventType
COUNTER, GAUGE = 0, 1  # MetricType
SYSTEMD, CGROUPFS = 0, 1  # CgroupDriver

# As error texts spell a state.
CONTAINER_STATES = ("CONTAINER_CREATED", "CONTAINER_RUNNING", "CONTAINER_EXITED", "CONTAINER_UNKNOWN")


class UInt64Value(Message, frozen=True):
    """A number whose absence differs from 0."""

    value: int = 0


# What exists, as lists show it.


class Sandbox(Message, frozen=True):
    """PodSandbox."""

    id: str
    metadata: PodSandboxMetadata
    state: int = SANDBOX_READY
    created_at: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    runtime_handler: str = ""


class Container(Message, frozen=True):
    """Container."""

    id: str
    pod_sandbox_id: str
    metadata: ContainerMetadata
    image: ImageSpec
    image_ref: str = ""
    state: int = CONTAINER_CREATED
    created_at: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    image_id: str = ""


class Image(Message, frozen=True):
    """Image. `uid` is None where the image names its user by name."""

    id: str
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    size: int = 0
    uid: Int64Value | None = None
    username: str = ""
    spec: ImageSpec | None = None
    pinned: bool = False


# What a list or stats call may ask for. An absent condition lets everything through; those given must all hold.


class SandboxFilter(Message, frozen=True):
    """PodSandboxFilter and PodSandboxStatsFilter. `id` may be a unique prefix."""

    id: str = ""
    state: int | None = None
    label_selector: dict[str, str] = {}


class ContainerFilter(Message, frozen=True):
    """ContainerFilter and ContainerStatsFilter. Both ids may be unique prefixes."""

    id: str = ""
    state: int | None = None
    pod_sandbox_id: str = ""
    label_selector: dict[str, str] = {}


# One sandbox in full.


class PodIP(Message, frozen=True):
    """One more address of a pod."""

    ip: str = ""


class PodSandboxNetworkStatus(Message, frozen=True):
    """The address of a pod; empty on the host's network."""

    ip: str = ""
    additional_ips: tuple[PodIP, ...] = ()


class Namespace(Message, frozen=True):
    """The namespaces a sandbox was asked for."""

    options: NamespaceOption | None = None


class LinuxPodSandboxStatus(Message, frozen=True):
    """The Linux part of a sandbox's status."""

    namespaces: Namespace | None = None


class PodSandboxStatus(Message, frozen=True):
    """PodSandboxStatus."""

    id: str
    metadata: PodSandboxMetadata
    state: int = SANDBOX_READY
    created_at: int = 0
    network: PodSandboxNetworkStatus | None = None
    linux: LinuxPodSandboxStatus | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    runtime_handler: str = ""


class SandboxStatusView(Message, frozen=True):
    """PodSandboxStatusResponse. `info` is empty unless it was asked for."""

    status: PodSandboxStatus
    info: dict[str, str] = {}


# One container in full.


class LinuxContainerUser(Message, frozen=True):
    """Who the first process of a container is."""

    uid: int = 0
    gid: int = 0
    supplemental_groups: tuple[int, ...] = ()


class ContainerUser(Message, frozen=True):
    """The user of a container."""

    linux: LinuxContainerUser | None = None


class ContainerResources(Message, frozen=True):
    """The limits in force."""

    linux: LinuxContainerResources | None = None
    windows: WindowsContainerResources | None = None


class ContainerStatus(Message, frozen=True, kw_only=True):
    """ContainerStatus. `finished_at`, `exit_code` and `reason` are set once it has exited."""

    id: str
    metadata: ContainerMetadata
    state: int = CONTAINER_CREATED
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    image: ImageSpec
    image_ref: str = ""
    reason: str = ""
    message: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    mounts: tuple[Mount, ...] = ()
    log_path: str = ""
    resources: ContainerResources | None = None
    image_id: str = ""
    user: ContainerUser | None = None
    stop_signal: int = 0


class ContainerStatusView(Message, frozen=True):
    """ContainerStatusResponse. `info` is empty unless it was asked for."""

    status: ContainerStatus
    info: dict[str, str] = {}


class ImageStatusView(Message, frozen=True):
    """ImageStatusResponse. `image` is None where the node does not have it, which is no error."""

    image: Image | None = None
    info: dict[str, str] = {}


class Event(Message, frozen=True):
    """ContainerEventResponse. For an event of a sandbox `container_id` is the sandbox's own id."""

    container_id: str
    container_event_type: int = EVENT_CREATED
    created_at: int = 0
    pod_sandbox_status: PodSandboxStatus | None = None
    containers_statuses: tuple[ContainerStatus, ...] = ()


# What things use.


class FilesystemIdentifier(Message, frozen=True):
    """A file system, by where it is mounted on the host."""

    mountpoint: str = ""


class FsUsage(Message, frozen=True):
    """FilesystemUsage."""

    timestamp: int = 0
    fs_id: FilesystemIdentifier | None = None
    used_bytes: UInt64Value | None = None
    inodes_used: UInt64Value | None = None


class FsInfo(Message, frozen=True):
    """ImageFsInfoResponse."""

    image_filesystems: tuple[FsUsage, ...] = ()
    container_filesystems: tuple[FsUsage, ...] = ()


class CpuUsage(Message, frozen=True):
    """CPU time since the start, and the rate of it."""

    timestamp: int = 0
    usage_core_nano_seconds: UInt64Value | None = None
    usage_nano_cores: UInt64Value | None = None


class MemoryUsage(Message, frozen=True):
    """Memory in use."""

    timestamp: int = 0
    working_set_bytes: UInt64Value | None = None
    available_bytes: UInt64Value | None = None
    usage_bytes: UInt64Value | None = None
    rss_bytes: UInt64Value | None = None
    page_faults: UInt64Value | None = None
    major_page_faults: UInt64Value | None = None


class SwapUsage(Message, frozen=True):
    """Swap in use."""

    timestamp: int = 0
    swap_available_bytes: UInt64Value | None = None
    swap_usage_bytes: UInt64Value | None = None


class ContainerAttributes(Message, frozen=True):
    """Whose numbers they are."""

    id: str
    metadata: ContainerMetadata
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ContainerStats(Message, frozen=True):
    """ContainerStats. Of a container that does not run only `writable_layer` is known."""

    attributes: ContainerAttributes
    cpu: CpuUsage | None = None
    memory: MemoryUsage | None = None
    writable_layer: FsUsage | None = None
    swap: SwapUsage | None = None


class NetworkInterfaceUsage(Message, frozen=True):
    """Traffic of one interface."""

    name: str = ""
    rx_bytes: UInt64Value | None = None
    rx_errors: UInt64Value | None = None
    tx_bytes: UInt64Value | None = None
    tx_errors: UInt64Value | None = None


class NetworkUsage(Message, frozen=True):
    """Traffic of a pod."""

    timestamp: int = 0
    default_interface: NetworkInterfaceUsage | None = None
    interfaces: tuple[NetworkInterfaceUsage, ...] = ()


class ProcessUsage(Message, frozen=True):
    """How many processes a pod has."""

    timestamp: int = 0
    process_count: UInt64Value | None = None


class SandboxAttributes(Message, frozen=True):
    """PodSandboxAttributes."""

    id: str
    metadata: PodSandboxMetadata
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class LinuxSandboxStats(Message, frozen=True):
    """LinuxPodSandboxStats."""

    cpu: CpuUsage | None = None
    memory: MemoryUsage | None = None
    network: NetworkUsage | None = None
    process: ProcessUsage | None = None
    containers: tuple[ContainerStats, ...] = ()


class SandboxStats(Message, frozen=True):
    """PodSandboxStats."""

    attributes: SandboxAttributes
    linux: LinuxSandboxStats | None = None


class MetricDescriptor(Message, frozen=True):
    """A metric's name, its help and the labels that its values carry, in their order."""

    name: str
    help: str = ""
    label_keys: tuple[str, ...] = ()


class Metric(Message, frozen=True):
    """One value of a metric."""

    name: str
    timestamp: int = 0
    metric_type: int = COUNTER
    label_values: tuple[str, ...] = ()
    value: UInt64Value | None = None


class ContainerMetrics(Message, frozen=True):
    """The metrics of one container."""

    container_id: str
    metrics: tuple[Metric, ...] = ()


class SandboxMetrics(Message, frozen=True):
    """PodSandboxMetrics."""

    pod_sandbox_id: str
    metrics: tuple[Metric, ...] = ()
    container_metrics: tuple[ContainerMetrics, ...] = ()


# The runtime itself.


class RuntimeCondition(Message, frozen=True):
    """RuntimeReady, NetworkReady and whatever else a runtime reports on."""

    type: str
    status: bool = False
    reason: str = ""
    message: str = ""


class RuntimeStatus(Message, frozen=True):
    """All conditions."""

    conditions: tuple[RuntimeCondition, ...] = ()


class RuntimeHandlerFeatures(Message, frozen=True):
    """What a handler can do."""

    recursive_read_only_mounts: bool = False
    user_namespaces: bool = False


class RuntimeHandler(Message, frozen=True):
    """A handler that RunPodSandbox takes; "" is the default one."""

    name: str = ""
    features: RuntimeHandlerFeatures | None = None


class RuntimeFeatures(Message, frozen=True):
    """What the runtime can do whatever the handler."""

    supplemental_groups_policy: bool = False
    user_namespaces_host_network: bool = False
    mount_options: bool = False


class StatusView(Message, frozen=True):
    """StatusResponse. `info` is empty unless it was asked for."""

    status: RuntimeStatus
    info: dict[str, str] = {}
    runtime_handlers: tuple[RuntimeHandler, ...] = ()
    features: RuntimeFeatures | None = None


class VersionView(Message, frozen=True):
    """VersionResponse."""

    version: str = ""
    runtime_name: str = ""
    runtime_version: str = ""
    runtime_api_version: str = ""


class LinuxRuntimeConfiguration(Message, frozen=True):
    """Which cgroup driver a kubelet should use as well."""

    cgroup_driver: int = SYSTEMD


class RuntimeConfigView(Message, frozen=True):
    """RuntimeConfigResponse."""

    linux: LinuxRuntimeConfiguration | None = None
