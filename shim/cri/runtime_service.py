"""RuntimeService: each RPC is a message in, a call of the engine, a message out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, NoReturn

from runtimes.errors import Refused
from runtimes.request import ContainerRequest, LinuxContainerResources, SandboxRequest
from shim.cri import lists
from shim.cri.pb.runtime.v1 import api_pb2 as pb
from shim.cri.translate import reader, writer
from shim.engine.values import Container, ContainerFilter, Event, Sandbox, SandboxFilter

if TYPE_CHECKING:
    from runtimes.persona import Persona
    from shim.engine.engine import Engine
    from shim.engine.events import Subscription

_sandbox_request = reader(pb.PodSandboxConfig, SandboxRequest)
_container_request = reader(pb.ContainerConfig, ContainerRequest)
_resources = reader(pb.LinuxContainerResources, LinuxContainerResources)

_version = writer(pb.VersionResponse)
_status = writer(pb.StatusResponse)
_runtime_config = writer(pb.RuntimeConfigResponse)
_sandbox = writer(pb.PodSandbox)
_sandbox_status = writer(pb.PodSandboxStatusResponse)
_sandbox_stats = writer(pb.PodSandboxStats)
_container = writer(pb.Container)
_container_status = writer(pb.ContainerStatusResponse)
_container_stats = writer(pb.ContainerStats)
_event = writer(pb.ContainerEventResponse)
_metric_descriptor = writer(pb.MetricDescriptor)
_sandbox_metrics = writer(pb.PodSandboxMetrics)


class RuntimeService:
    """The servicer of one API version, "v1" or "v1alpha2", on an engine."""

    def __init__(self, engine: Engine, api: str = "v1") -> None:
        self._engine, self._api = engine, api
        self._sandbox_chunks = lists.ChunkCache[Sandbox](_sandbox)
        self._container_chunks = lists.ChunkCache[Container](_container)
        self._listeners: set[_Events] = set()

    def close(self) -> None:
        """End the event streams, which would never end by themselves."""
        for listener in tuple(self._listeners):
            listener.close()

    # The runtime

    def version(self, request: pb.VersionRequest) -> pb.VersionResponse:
        """Name the runtime. What version the caller speaks is of no interest to any runtime."""
        del request
        return _version(self._engine.version(self._api))

    def status(self, request: pb.StatusRequest) -> pb.StatusResponse:
        """Report conditions, handlers and features."""
        return _status(self._engine.status(request.verbose))

    def runtime_config(self, request: pb.RuntimeConfigRequest) -> pb.RuntimeConfigResponse:
        """Report the cgroup driver."""
        del request
        return _runtime_config(self._engine.runtime_config())

    def update_runtime_config(self, request: pb.UpdateRuntimeConfigRequest) -> pb.UpdateRuntimeConfigResponse:
        """Take the pod's address range."""
        self._engine.update_runtime_config(request.runtime_config.network_config.pod_cidr)
        return pb.UpdateRuntimeConfigResponse()

    # Sandboxes

    def run_pod_sandbox(self, request: pb.RunPodSandboxRequest) -> pb.RunPodSandboxResponse:
        """Make a sandbox and start it."""
        config = _sandbox_request(request.config) if request.HasField("config") else None
        return pb.RunPodSandboxResponse(pod_sandbox_id=self._engine.run_sandbox(config, request.runtime_handler))

    def stop_pod_sandbox(self, request: pb.StopPodSandboxRequest) -> pb.StopPodSandboxResponse:
        """Stop a sandbox and all that runs in it."""
        self._engine.stop_sandbox(request.pod_sandbox_id)
        return pb.StopPodSandboxResponse()

    def remove_pod_sandbox(self, request: pb.RemovePodSandboxRequest) -> pb.RemovePodSandboxResponse:
        """Remove a sandbox and all that is in it."""
        self._engine.remove_sandbox(request.pod_sandbox_id)
        return pb.RemovePodSandboxResponse()

    def pod_sandbox_status(self, request: pb.PodSandboxStatusRequest) -> pb.PodSandboxStatusResponse:
        """Describe one sandbox."""
        return _sandbox_status(self._engine.sandbox_status(request.pod_sandbox_id, request.verbose))

    def list_pod_sandbox(self, request: pb.ListPodSandboxRequest) -> bytes:
        """List sandboxes."""
        return lists.whole(self._sandboxes(request), kind="sandboxes", stream="StreamPodSandboxes")

    def stream_pod_sandboxes(self, request: pb.StreamPodSandboxesRequest) -> Iterator[bytes]:
        """List sandboxes in batches."""
        return lists.batches(self._sandboxes(request))

    def update_pod_sandbox_resources(
        self, request: pb.UpdatePodSandboxResourcesRequest
    ) -> pb.UpdatePodSandboxResourcesResponse:
        """Keep the limits of a pod as a whole."""
        self._engine.update_sandbox_resources(
            request.pod_sandbox_id,
            _resources(request.overhead) if request.HasField("overhead") else None,
            _resources(request.resources) if request.HasField("resources") else None,
        )
        return pb.UpdatePodSandboxResourcesResponse()

    # Containers

    def create_container(self, request: pb.CreateContainerRequest) -> pb.CreateContainerResponse:
        """Make a container: here its seccomp section is decided."""
        container_id = self._engine.create_container(
            request.pod_sandbox_id,
            _container_request(request.config) if request.HasField("config") else None,
            _sandbox_request(request.sandbox_config) if request.HasField("sandbox_config") else None,
        )
        return pb.CreateContainerResponse(container_id=container_id)

    def start_container(self, request: pb.StartContainerRequest) -> pb.StartContainerResponse:
        """Start a container."""
        self._engine.start_container(request.container_id)
        return pb.StartContainerResponse()

    def stop_container(self, request: pb.StopContainerRequest) -> pb.StopContainerResponse:
        """Stop a container."""
        self._engine.stop_container(request.container_id, request.timeout)
        return pb.StopContainerResponse()

    def remove_container(self, request: pb.RemoveContainerRequest) -> pb.RemoveContainerResponse:
        """Remove a container."""
        self._engine.remove_container(request.container_id)
        return pb.RemoveContainerResponse()

    def container_status(self, request: pb.ContainerStatusRequest) -> pb.ContainerStatusResponse:
        """Describe one container."""
        return _container_status(self._engine.container_status(request.container_id, request.verbose))

    def list_containers(self, request: pb.ListContainersRequest) -> bytes:
        """List containers."""
        return lists.whole(self._containers(request), kind="containers", stream="StreamContainers")

    def stream_containers(self, request: pb.StreamContainersRequest) -> Iterator[bytes]:
        """List containers in batches."""
        return lists.batches(self._containers(request))

    def update_container_resources(
        self, request: pb.UpdateContainerResourcesRequest
    ) -> pb.UpdateContainerResourcesResponse:
        """Change a container's limits."""
        self._engine.update_container_resources(
            request.container_id,
            _resources(request.linux) if request.HasField("linux") else None,
            dict(sorted(request.annotations.items())),
        )
        return pb.UpdateContainerResourcesResponse()

    def reopen_container_log(self, request: pb.ReopenContainerLogRequest) -> pb.ReopenContainerLogResponse:
        """Go on in a new log file."""
        self._engine.reopen_log(request.container_id)
        return pb.ReopenContainerLogResponse()

    # Figures

    def container_stats(self, request: pb.ContainerStatsRequest) -> pb.ContainerStatsResponse:
        """Measure one container."""
        stats = self._engine.container_stats(request.container_id)
        return pb.ContainerStatsResponse(stats=_container_stats(stats))

    def list_container_stats(self, request: pb.ListContainerStatsRequest) -> bytes:
        """Measure containers."""
        return lists.whole(self._container_stats(request), kind="container stats", stream="StreamContainerStats")

    def stream_container_stats(self, request: pb.StreamContainerStatsRequest) -> Iterator[bytes]:
        """Measure containers, in batches."""
        return lists.batches(self._container_stats(request))

    def pod_sandbox_stats(self, request: pb.PodSandboxStatsRequest) -> pb.PodSandboxStatsResponse:
        """Measure one pod."""
        return pb.PodSandboxStatsResponse(stats=_sandbox_stats(self._engine.sandbox_stats(request.pod_sandbox_id)))

    def list_pod_sandbox_stats(self, request: pb.ListPodSandboxStatsRequest) -> bytes:
        """Measure pods."""
        return lists.whole(self._sandbox_stats(request), kind="pod stats", stream="StreamPodSandboxStats")

    def stream_pod_sandbox_stats(self, request: pb.StreamPodSandboxStatsRequest) -> Iterator[bytes]:
        """Measure pods, in batches."""
        return lists.batches(self._sandbox_stats(request))

    def list_metric_descriptors(self, request: pb.ListMetricDescriptorsRequest) -> pb.ListMetricDescriptorsResponse:
        """Name the metrics."""
        del request
        return pb.ListMetricDescriptorsResponse(descriptors=map(_metric_descriptor, self._engine.metric_descriptors()))

    def list_pod_sandbox_metrics(self, request: pb.ListPodSandboxMetricsRequest) -> bytes:
        """Read the metrics of all pods."""
        del request
        return lists.whole(self._sandbox_metrics(), kind="pod metrics", stream="StreamPodSandboxMetrics")

    def stream_pod_sandbox_metrics(self, request: pb.StreamPodSandboxMetricsRequest) -> Iterator[bytes]:
        """Read the metrics of all pods, in batches."""
        del request
        return lists.batches(self._sandbox_metrics())

    # Events

    def get_container_events(self, request: pb.GetEventsRequest) -> AsyncIterator[pb.ContainerEventResponse]:
        """Tell what happens from now on."""
        del request
        return _Events(self._engine.subscribe(), self._listeners)

    # What needs a process, and there is none: things that do not exist are told apart all the same.

    def exec_sync(self, request: pb.ExecSyncRequest) -> NoReturn:
        """Refuse."""
        self._require_container(request.container_id, "ExecSync.missing")
        raise _no_process("ExecSync cannot run a command")

    def exec(self, request: pb.ExecRequest) -> NoReturn:
        """Refuse."""
        del request
        raise _no_process("Exec cannot run a command")

    def attach(self, request: pb.AttachRequest) -> NoReturn:
        """Refuse."""
        del request
        raise _no_process("Attach has nothing to attach to")

    def port_forward(self, request: pb.PortForwardRequest) -> NoReturn:
        """Refuse."""
        if not self._engine.sandboxes(SandboxFilter(id=request.pod_sandbox_id)):
            self._refuse("PortForward.missing", request.pod_sandbox_id)
        raise _no_process("PortForward has nobody to forward to")

    def checkpoint_container(self, request: pb.CheckpointContainerRequest) -> NoReturn:
        """Refuse."""
        self._require_container(request.container_id, "CheckpointContainer.missing")
        raise _no_process("CheckpointContainer has nothing to save")

    def checkpoint_pod(self, request: pb.CheckpointPodRequest) -> NoReturn:
        """Refuse."""
        del request
        raise _no_process("CheckpointPod has nothing to save")

    def restore_pod(self, request: pb.RestorePodRequest) -> NoReturn:
        """Refuse."""
        del request
        raise _no_process("RestorePod has nothing to bring back")

    def _require_container(self, container_id: str, situation: str) -> None:
        if not self._engine.containers(ContainerFilter(id=container_id)):
            self._refuse(situation, container_id)

    def _refuse(self, situation: str, object_id: str) -> None:
        persona: Persona = self._engine.node.default.runtime.persona
        if refused := persona.refusal(situation, id=object_id):
            raise refused

    # Lists as chunks, for the unary and the streaming RPC alike.

    def _sandboxes(self, request: pb.ListPodSandboxRequest | pb.StreamPodSandboxesRequest) -> Iterator[bytes]:
        condition = _sandbox_filter(request.filter) if request.HasField("filter") else None
        return self._sandbox_chunks.chunks(self._engine.sandboxes(condition), complete=condition is None)

    def _containers(self, request: pb.ListContainersRequest | pb.StreamContainersRequest) -> Iterator[bytes]:
        condition = _container_filter(request.filter) if request.HasField("filter") else None
        return self._container_chunks.chunks(self._engine.containers(condition), complete=condition is None)

    def _container_stats(
        self, request: pb.ListContainerStatsRequest | pb.StreamContainerStatsRequest
    ) -> Iterator[bytes]:
        condition = _container_stats_filter(request.filter) if request.HasField("filter") else None
        return (lists.chunk(_container_stats(each)) for each in self._engine.list_container_stats(condition))

    def _sandbox_stats(
        self, request: pb.ListPodSandboxStatsRequest | pb.StreamPodSandboxStatsRequest
    ) -> Iterator[bytes]:
        condition = _sandbox_stats_filter(request.filter) if request.HasField("filter") else None
        return (lists.chunk(_sandbox_stats(each)) for each in self._engine.list_sandbox_stats(condition))

    def _sandbox_metrics(self) -> Iterator[bytes]:
        return (lists.chunk(_sandbox_metrics(each)) for each in self._engine.sandbox_metrics())


class _Events(AsyncIterator[pb.ContainerEventResponse]):
    """A subscription as messages; it is among `listeners` while it is open."""

    def __init__(self, subscription: Subscription, listeners: set[_Events]) -> None:
        self._subscription, self._listeners = subscription, listeners
        listeners.add(self)

    async def __anext__(self) -> pb.ContainerEventResponse:
        event: Event = await anext(self._subscription)
        return _event(event)

    def close(self) -> None:
        self._listeners.discard(self)
        self._subscription.close()


def _sandbox_filter(message: pb.PodSandboxFilter) -> SandboxFilter:
    state = message.state.state if message.HasField("state") else None
    return SandboxFilter(id=message.id, state=state, label_selector=dict(message.label_selector))


def _sandbox_stats_filter(message: pb.PodSandboxStatsFilter) -> SandboxFilter:
    return SandboxFilter(id=message.id, label_selector=dict(message.label_selector))


def _container_filter(message: pb.ContainerFilter) -> ContainerFilter:
    return ContainerFilter(
        id=message.id,
        state=message.state.state if message.HasField("state") else None,
        pod_sandbox_id=message.pod_sandbox_id,
        label_selector=dict(message.label_selector),
    )


def _container_stats_filter(message: pb.ContainerStatsFilter) -> ContainerFilter:
    return ContainerFilter(
        id=message.id, pod_sandbox_id=message.pod_sandbox_id, label_selector=dict(message.label_selector)
    )


def _no_process(consequence: str) -> Refused:
    return Refused("UNIMPLEMENTED", f"crishim runs no processes yet: {consequence}", where="api")
