"""What a client can see of a runtime besides the specs it makes: the part of it that both families share.

Error texts are facts. A *situation* is a string "RPC.what": the engine meets it and asks `refusal`; the family's
`facts.yaml` says what each release answers, in its own words, or that it answers as if nothing were wrong:

    - fact: StartContainer.missing
      group: persona
      says: ...
      values:
        - {value: {code: NOT_FOUND, message: 'could not find container "{id}"'}}
        - {value: ok, since: [...]}
      source: ...

Every situation that the engine can meet is listed in `SITUATIONS`; both families answer each (a test sees to that).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import Refused
from runtimes.request import ImageSpec

if TYPE_CHECKING:
    from runtimes.decision import Decision
    from runtimes.facts import Facts
    from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace
    from runtimes.release import Release
    from runtimes.request import ContainerRequest, SandboxRequest

# Situation -> the details that its text may name. `id` is what the caller sent.
SITUATIONS: dict[str, tuple[str, ...]] = {
    "RunPodSandbox.no-config": (),
    "RunPodSandbox.no-metadata": (),
    "RunPodSandbox.no-name": (),
    "RunPodSandbox.no-namespace": (),
    "RunPodSandbox.no-uid": (),
    "RunPodSandbox.handler-unknown": ("handler",),
    "RunPodSandbox.name-reserved": ("name", "owner"),
    "StopPodSandbox.missing": ("id",),
    "RemovePodSandbox.missing": ("id",),
    "PodSandboxStatus.missing": ("id",),
    "PodSandboxStats.missing": ("id",),
    "UpdatePodSandboxResources.missing": ("id",),
    "PortForward.missing": ("id",),
    "CreateContainer.no-config": (),
    "CreateContainer.no-metadata": (),
    "CreateContainer.no-name": (),
    "CreateContainer.no-image": (),
    "CreateContainer.sandbox-missing": ("id",),
    "CreateContainer.sandbox-not-ready": ("id",),
    "CreateContainer.image-missing": ("image",),
    "CreateContainer.name-reserved": ("name", "owner"),
    "StartContainer.missing": ("id",),
    "StartContainer.state": ("id", "state"),
    "StartContainer.sandbox-not-ready": ("id",),
    "StopContainer.missing": ("id",),
    "RemoveContainer.missing": ("id",),
    "ContainerStatus.missing": ("id",),
    "ContainerStats.missing": ("id",),
    "UpdateContainerResources.missing": ("id",),
    "UpdateContainerResources.state": ("id", "state"),
    "ReopenContainerLog.missing": ("id",),
    "ReopenContainerLog.state": ("id", "state"),
    "ExecSync.missing": ("id",),
    "ExecSync.state": ("id", "state"),
    "CheckpointContainer.missing": ("id",),
    "sandbox.ambiguous": ("rpc", "id"),
    "container.ambiguous": ("rpc", "id"),
    "sandbox.empty-id": ("rpc",),
    "container.empty-id": ("rpc",),
    "PullImage.no-image": (),
    "ImageStatus.no-image": (),
    "RemoveImage.no-image": (),
}


class VersionAnswer(msgspec.Struct, frozen=True):
    """What Version answers."""

    version: str
    runtime_name: str
    runtime_version: str
    runtime_api_version: str


class Condition(msgspec.Struct, frozen=True):
    """One condition of Status."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""


class HandlerAnswer(msgspec.Struct, frozen=True):
    """One handler in Status, with what it can do."""

    name: str
    recursive_read_only_mounts: bool = False
    user_namespaces: bool = False


class StatusAnswer(msgspec.Struct, frozen=True):
    """What Status answers. `info` holds the verbose keys, each a text that is JSON or plain; `features` is None where
    the release does not send that message.
    """

    conditions: tuple[Condition, ...]
    handlers: tuple[HandlerAnswer, ...] = ()
    features: dict[str, bool] | None = None
    info: dict[str, str] = {}


class Persona:
    """The shared part. A family adds what it shows of itself.

    `create_order` is the order in which CreateContainer looks at things, by the last word of their situations: two
    things wrong at once are answered as the release answers them.
    """

    create_order: tuple[str, ...] = (
        "sandbox-missing",
        "sandbox-not-ready",
        "no-config",
        "no-metadata",
        "name-reserved",
        "no-image",
        "image-missing",
    )

    def __init__(self, facts: Facts, release: Release) -> None:
        self.facts, self.release = facts, release

    def value(self, fact: str) -> Any:
        """Return the value that a fact has for this release."""
        return self.facts.value(fact, self.release)

    def has(self, fact: str) -> bool:
        """Whether a fact holds for this release."""
        return self.release in self.facts[fact]

    def refusal(self, situation: str, **details: str) -> Refused | None:
        """Return what this release answers in a situation, None where it answers as if nothing were wrong."""
        answer = self.value(situation)
        if answer == "ok":
            return None
        return Refused(answer["code"], answer["message"].format_map(details))

    @property
    def apis(self) -> tuple[str, ...]:
        """The CRI API versions that this release serves, the newest first: "v1", "v1alpha2"."""
        return tuple(self.value("cri-apis"))

    def unimplemented(self, rpc: str) -> Refused | None:
        """Return the refusal of an RPC that this release does not have, None where it has it."""
        answer = (self.value("unimplemented-rpcs") or {}).get(rpc)
        return Refused("UNIMPLEMENTED", answer) if answer else None

    # What follows differs too much between families to be told in data.

    def version(self, api: str) -> VersionAnswer:
        """Answer Version for a call that came in over an API version."""
        raise NotImplementedError

    def status(self) -> StatusAnswer:
        """Answer Status, its verbose info included."""
        raise NotImplementedError

    def cgroup_driver(self) -> str:
        """Answer RuntimeConfig: "SYSTEMD" or "CGROUPFS"."""
        raise NotImplementedError

    def sandbox_name(self, request: SandboxRequest) -> str:
        """Return the name under which a sandbox is reserved."""
        raise NotImplementedError

    def container_name(self, request: ContainerRequest, sandbox: SandboxRequest, sandbox_id: str) -> str:
        """Return the name under which a container is reserved."""
        raise NotImplementedError

    @property
    def reserved_returns_owner(self) -> bool:
        """Whether a request for a reserved name is answered with the id of the object that has it."""
        return False

    def sandbox_info(
        self, request: SandboxRequest, place: SandboxPlace, decision: Decision, *, running: bool
    ) -> dict[str, str]:
        """Return the verbose info of PodSandboxStatus."""
        raise NotImplementedError

    def container_info(
        self,
        request: ContainerRequest,
        place: ContainerPlace,
        sandbox_place: SandboxPlace,
        decision: Decision,
        *,
        state: int,
    ) -> dict[str, str]:
        """Return the verbose info of ContainerStatus. `state` is the CRI's ContainerState."""
        raise NotImplementedError

    def image_info(self, image: ImageFacts) -> dict[str, str]:
        """Return the verbose info of ImageStatus."""
        raise NotImplementedError

    def image_id(self, image: ImageFacts) -> str:
        """Return an image's id as this runtime shows it."""
        raise NotImplementedError

    def image_ref(self, image: ImageFacts) -> str:
        """Return what ContainerStatus shows as `image_ref`."""
        raise NotImplementedError

    def shown_image(self, request: ContainerRequest, place: ContainerPlace) -> str:
        """Return what ContainerStatus shows as `image.image`."""
        raise NotImplementedError

    # What follows holds for a release unless its family says otherwise.

    def sandbox_labels(self, request: SandboxRequest) -> dict[str, str]:
        """Return the labels that PodSandboxStatus and ListPodSandbox show."""
        return request.labels

    def listed_image(self, request: ContainerRequest, place: ContainerPlace) -> ImageSpec:
        """Return what ListContainers shows as `image`."""
        return ImageSpec(image=self.shown_image(request, place))

    def listed_ref(self, image: ImageFacts) -> str:
        """Return what ListContainers shows as `image_ref`."""
        return self.image_ref(image)

    def pulled_ref(self, image: ImageFacts) -> str:
        """Return what PullImage answers."""
        return self.image_id(image)

    @property
    def ended_have_stats(self) -> bool:
        """Whether ListContainerStats shows containers that have exited."""
        return True

    @property
    def unsent(self) -> frozenset[str]:
        """The fields of ContainerStatus that this release leaves empty: "image_id", "user", "stop_signal"."""
        return frozenset()

    @property
    def pause_image(self) -> str:
        """The image of the pause container, as the configuration names it."""
        raise NotImplementedError
