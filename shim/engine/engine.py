"""The public thing: everything that can be asked of a node, one method for each RPC that is about state.

Synchronous and for one thread, the one with the event loop: an answer comes back after its change is committed, so
nothing that was acknowledged is lost, and nothing is seen half done. Every method raises

    Refused            as the runtime that the object belongs to would; the text is its persona's
    BadInput           the request or the state directory is wrong in a way that no runtime has words for
    CapacityExceeded   no room: disk full, no free pod address

Wherever an id is taken, a unique prefix of it will do.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from shim.engine import codec, decisions, metrics, stats
from shim.engine.containers import Containers
from shim.engine.events import Journal
from shim.engine.ground import Ground, refuse
from shim.engine.images import Images
from shim.engine.sandboxes import Sandboxes
from shim.engine.values import (
    CGROUPFS,
    CONTAINER_EXITED,
    SYSTEMD,
    LinuxRuntimeConfiguration,
    RuntimeCondition,
    RuntimeConfigView,
    RuntimeFeatures,
    RuntimeHandler,
    RuntimeHandlerFeatures,
    RuntimeStatus,
    StatusView,
    VersionView,
)
from shim.nodefile.document import to_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtimes.persona import HandlerAnswer
    from runtimes.request import ContainerRequest, ImageSpec, LinuxContainerResources, SandboxRequest
    from shim.engine.clock import Clock
    from shim.engine.events import Subscription
    from shim.engine.store import Store
    from shim.engine.values import (
        Container,
        ContainerFilter,
        ContainerStats,
        ContainerStatus,
        ContainerStatusView,
        FsInfo,
        Image,
        ImageStatusView,
        MetricDescriptor,
        PodSandboxStatus,
        Sandbox,
        SandboxFilter,
        SandboxMetrics,
        SandboxStats,
        SandboxStatusView,
    )
    from shim.node import Node


class Engine:
    """One node and what exists on it: `Engine(node, Store.open(directory), SystemClock())`.

    `token` gives random hex digits, like `secrets.token_hex`; a test may want them not so random.
    """

    def __init__(self, node: Node, store: Store, clock: Clock, token: Callable[[int], str] = secrets.token_hex) -> None:
        decisions.forget_unused(store)
        self._ground = Ground(node, store, clock, token)
        self._journal = Journal(self._ground, self._described)
        self._images = Images(self._ground)
        self._sandboxes = Sandboxes(self._ground, self._journal, self._images)
        self._containers = Containers(self._ground, self._journal, self._images, self._sandboxes)
        self._keep_document(node)

    @property
    def node(self) -> Node:
        """The node in force. Set it to change a live node: what exists keeps the spec it was created with, and the
        new node's document is stored before the assignment returns.
        """
        return self._ground.node

    @node.setter
    def node(self, node: Node) -> None:
        before = self._ground.node
        self._ground.replace(node)
        try:
            self._images.pin()
            self._keep_document(node)
        except BaseException:
            self._ground.replace(before)
            self._images.pin()
            raise

    def copy(self, clock: Clock) -> Engine:
        """Return another engine, in memory, for the same node and with everything that exists on it."""
        return Engine(self._ground.node, self._ground.store.copy(), clock)

    def close(self) -> None:
        """End all subscriptions, close the store and give its directory free."""
        self._journal.close()
        self._ground.store.close()

    # Sandboxes

    def run_sandbox(self, config: SandboxRequest | None, handler: str = "") -> str:
        """RunPodSandbox: make and start a sandbox under a handler of the node; return its id."""
        return self._sandboxes.run(config, handler)

    def stop_sandbox(self, id: str) -> None:
        """StopPodSandbox: kill its containers, give its address back. Unknown or stopped ones are no error."""
        found = self._ground.find("sandbox", self._sandboxes.ids, "StopPodSandbox", id)
        if found is None:
            refuse(self._ground.persona(), "StopPodSandbox.missing", id=id)
        else:
            self._stop_sandbox(found)

    def remove_sandbox(self, id: str) -> None:
        """RemovePodSandbox: stop it if need be, remove its containers, remove it. Unknown ones are no error."""
        found = self._ground.find("sandbox", self._sandboxes.ids, "RemovePodSandbox", id)
        if found is None:
            refuse(self._ground.persona(), "RemovePodSandbox.missing", id=id)
            return
        self._stop_sandbox(found)
        for held in self._containers.of(found):
            self._containers.remove(held.shown.id)
        self._sandboxes.remove(found)

    def sandbox_status(self, id: str, verbose: bool = False) -> SandboxStatusView:
        """PodSandboxStatus. Verbose info carries the runtime's own keys and ours, `crishim`."""
        return self._sandboxes.view(self._sandbox("PodSandboxStatus", id), verbose=verbose)

    def sandboxes(self, filter: SandboxFilter | None = None) -> list[Sandbox]:
        """ListPodSandbox: oldest first. An id that nothing has gives an empty list."""
        return self._sandboxes.list(filter, "ListPodSandbox")

    def update_sandbox_resources(
        self, id: str, overhead: LinuxContainerResources | None, resources: LinuxContainerResources | None
    ) -> None:
        """UpdatePodSandboxResources: keep what the pod as a whole was given."""
        self._sandboxes.update(self._sandbox("UpdatePodSandboxResources", id), overhead, resources)

    # Containers

    def create_container(
        self, sandbox_id: str, config: ContainerRequest | None, sandbox_config: SandboxRequest | None = None
    ) -> str:
        """CreateContainer: decide about a container and make it; return its id. Its spec is settled here for good."""
        return self._containers.create(sandbox_id, config, sandbox_config)

    def start_container(self, id: str) -> None:
        """StartContainer: make its log file and hand its spec to the OCI runtime, which may refuse it."""
        self._containers.start(self._container("StartContainer", id))

    def stop_container(self, id: str, timeout: int = 0) -> None:
        """StopContainer: end it with its stop signal, or with SIGKILL where `timeout` (seconds) leaves no time."""
        found = self._ground.find("container", self._containers.ids, "StopContainer", id)
        if found is None:
            refuse(self._ground.persona(), "StopContainer.missing", id=id)
        else:
            self._containers.stop(found, timeout)

    def remove_container(self, id: str) -> None:
        """RemoveContainer: kill it if need be, and forget it. Unknown ones are no error."""
        found = self._ground.find("container", self._containers.ids, "RemoveContainer", id)
        if found is None:
            refuse(self._ground.persona(), "RemoveContainer.missing", id=id)
        else:
            self._containers.remove(found)

    def container_status(self, id: str, verbose: bool = False) -> ContainerStatusView:
        """ContainerStatus. Verbose info carries the runtime's own keys and ours, `crishim`."""
        return self._containers.view(self._container("ContainerStatus", id), verbose=verbose)

    def containers(self, filter: ContainerFilter | None = None) -> list[Container]:
        """ListContainers: oldest first. An id that nothing has gives an empty list."""
        return self._containers.list(filter)

    def update_container_resources(
        self,
        id: str,
        resources: LinuxContainerResources | None,
        annotations: dict[str, str] | None = None,  # noqa: ARG002
    ) -> None:
        """UpdateContainerResources: change the limits that are set in `resources`, keep the others.

        `annotations` are for plugins of a runtime (NRI); neither family keeps them.
        """
        self._containers.update(self._container("UpdateContainerResources", id), resources)

    def reopen_log(self, id: str) -> None:
        """ReopenContainerLog: go on in a new file at the log path."""
        self._containers.reopen_log(self._container("ReopenContainerLog", id))

    # Figures

    def container_stats(self, id: str) -> ContainerStats:
        """ContainerStats."""
        held = self._containers[self._container("ContainerStats", id)]
        return stats.container(held, self._ground.clock.now_ns(), self._mountpoint)

    def list_container_stats(self, filter: ContainerFilter | None = None) -> list[ContainerStats]:
        """ListContainerStats."""
        now = self._ground.clock.now_ns()
        found = self._containers.held(filter, "ListContainerStats")
        shown = (
            held
            for held in found
            if held.shown.state != CONTAINER_EXITED or self._ground.persona(held.entry).ended_have_stats
        )
        return [stats.container(held, now, self._mountpoint) for held in shown]

    def sandbox_stats(self, id: str) -> SandboxStats:
        """PodSandboxStats."""
        return self._sandbox_stats(self._sandboxes[self._sandbox("PodSandboxStats", id)].shown)

    def list_sandbox_stats(self, filter: SandboxFilter | None = None) -> list[SandboxStats]:
        """ListPodSandboxStats."""
        return [self._sandbox_stats(shown) for shown in self._sandboxes.list(filter, "ListPodSandboxStats")]

    def metric_descriptors(self) -> tuple[MetricDescriptor, ...]:
        """ListMetricDescriptors."""
        return metrics.DESCRIPTORS

    def sandbox_metrics(self) -> list[SandboxMetrics]:
        """ListPodSandboxMetrics: of every sandbox, those that do not run without values."""
        now = self._ground.clock.now_ns()
        return [
            metrics.of_sandbox(held.shown, self._containers.of(held.shown.id), self._containers.limits, now)
            for held in self._sandboxes
        ]

    # Images

    def pull_image(self, spec: ImageSpec | None) -> str:
        """PullImage: from a registry that has every image; return its `image_ref`."""
        return self._images.pull(spec)

    def image_status(self, spec: ImageSpec | None, verbose: bool = False) -> ImageStatusView:
        """ImageStatus, by id, a prefix of it, digest or any spelling of a name. A missing image is None."""
        return self._images.status(spec, verbose=verbose)

    def images(self, filter: ImageSpec | None = None) -> list[Image]:
        """ListImages: all, or the one that a filter with a name in it finds."""
        return self._images.list(filter)

    def remove_image(self, spec: ImageSpec | None) -> None:
        """RemoveImage: with all its names. A missing image is no error."""
        self._images.remove(spec)

    def fs_info(self) -> FsInfo:
        """ImageFsInfo. Cheap: clients call it whenever they connect."""
        return stats.filesystem(self._ground.clock.now_ns(), self._mountpoint, *self._images.usage())

    # The runtime

    def status(self, verbose: bool = False) -> StatusView:
        """Return Status of the default runtime, with every handler of the node."""
        answer = self._ground.persona().status()
        info = dict(answer.info)
        if verbose:
            node = msgspec.Raw(self._ground.origin())
            info["crishim"] = codec.encode({"node": node}).decode()
        return StatusView(
            status=RuntimeStatus(
                conditions=tuple(
                    RuntimeCondition(type=each.type, status=each.status, reason=each.reason, message=each.message)
                    for each in answer.conditions
                )
            ),
            info=info if verbose else {},
            runtime_handlers=tuple(self._handlers(answer.handlers)),
            features=None if answer.features is None else msgspec.convert(answer.features, RuntimeFeatures),
        )

    def version(self, api: str = "v1") -> VersionView:
        """Version, for a call that came in over "v1" or "v1alpha2"."""
        answer = self._ground.persona().version(api)
        return VersionView(**msgspec.structs.asdict(answer))

    def runtime_config(self) -> RuntimeConfigView:
        """RuntimeConfig."""
        driver = {"SYSTEMD": SYSTEMD, "CGROUPFS": CGROUPFS}[self._ground.persona().cgroup_driver()]
        return RuntimeConfigView(linux=LinuxRuntimeConfiguration(cgroup_driver=driver))

    def update_runtime_config(self, pod_cidr: str) -> None:
        """UpdateRuntimeConfig: give new sandboxes addresses from another range, "10.1.0.0/24"."""
        self._sandboxes.use_addresses(pod_cidr)

    # Events

    def subscribe(self) -> Subscription:
        """GetContainerEvents: `async for event in subscription`; `close()` it when the caller is gone."""
        return self._journal.subscribe()

    # Helpers

    @property
    def _mountpoint(self) -> str:
        return self._ground.store.directory

    def _sandbox(self, rpc: str, id: str) -> str:
        return self._ground.must_find("sandbox", self._sandboxes.ids, rpc, id)

    def _container(self, rpc: str, id: str) -> str:
        return self._ground.must_find("container", self._containers.ids, rpc, id)

    def _stop_sandbox(self, id: str) -> None:
        for held in self._containers.of(id):
            self._containers.stop(held.shown.id, 0)
        self._sandboxes.stop(id)

    def _sandbox_stats(self, shown: Sandbox) -> SandboxStats:
        now = self._ground.clock.now_ns()
        containers = (stats.container(held, now, self._mountpoint) for held in self._containers.of(shown.id))
        return stats.sandbox(shown, tuple(containers), now)

    def _described(self, sandbox: str) -> tuple[PodSandboxStatus | None, tuple[ContainerStatus, ...]]:
        """Return what an event says about a pod; nothing about one that is gone."""
        if self._sandboxes.ids.find(sandbox) is None:
            return None, ()
        statuses = (self._containers.status(held.shown.id) for held in self._containers.of(sandbox))
        return self._sandboxes.status(sandbox), tuple(statuses)

    def _handlers(self, own: tuple[HandlerAnswer, ...]) -> Iterator[RuntimeHandler]:
        """Go through the handlers of the default runtime, then the node's other entries, where that release tells."""
        if not own:
            return
        answers = {each.name: each for each in own}
        for name, entry in self._ground.node.entries.items():
            theirs = entry.runtime.persona.status().handlers
            if name not in answers and theirs:
                answers[name] = theirs[0]
        for name, answer in answers.items():
            yield RuntimeHandler(
                name=name,
                features=RuntimeHandlerFeatures(
                    recursive_read_only_mounts=answer.recursive_read_only_mounts,
                    user_namespaces=answer.user_namespaces,
                ),
            )

    def _keep_document(self, node: Node) -> None:
        document = to_dict(node.document)
        if self._ground.store.node_document() != document:
            self._ground.store.set("node", document)
