"""A node with a toy runtime: says every situation aloud, so that a test sees which one the engine met."""

# ruff: noqa: ARG002  a toy ignores most of what it is handed

from __future__ import annotations

import itertools
from typing import Any, cast

import msgspec

from runtimes.decision import Decision, Step
from runtimes.errors import Refused
from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace
from runtimes.persona import Condition, HandlerAnswer, Persona, StatusAnswer, VersionAnswer
from runtimes.release import parse
from runtimes.request import (
    ContainerMetadata,
    ContainerRequest,
    ImageSpec,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    NamespaceOption,
    PodSandboxMetadata,
    SandboxRequest,
    SecurityProfile,
)
from shim.engine.clock import VirtualClock
from shim.engine.engine import Engine
from shim.engine.store import Store
from shim.node import Entry, Node
from shim.nodefile.document import Document, KubeletPart, RuntimePart

NOT_FOUND = {
    "PodSandboxStatus.missing",
    "ContainerStatus.missing",
    "StartContainer.missing",
    "ContainerStats.missing",
    "PodSandboxStats.missing",
    "CreateContainer.sandbox-missing",
    "CreateContainer.image-missing",
    "UpdateContainerResources.missing",
    "UpdatePodSandboxResources.missing",
    "ReopenContainerLog.missing",
}
SILENT = {
    "StopPodSandbox.missing",
    "RemovePodSandbox.missing",
    "StopContainer.missing",
    "RemoveContainer.missing",
    "ImageStatus.no-image",
    "RemoveImage.no-image",
    "UpdateContainerResources.state",
}


class ToyPersona(Persona):
    """Answers a situation with its own name and details; `silent` are those that it lets pass."""

    def __init__(self, family: str, *, gives_owner: bool = False, silent: frozenset[str] = frozenset(SILENT)) -> None:
        self.family, self.gives_owner, self.silent, self.release = family, gives_owner, silent, parse("1.2.3")

    def refusal(self, situation: str, **details: str) -> Refused | None:
        if situation in self.silent:
            return None
        text = " ".join([f"{self.family}: {situation}", *(f"{key}={value}" for key, value in details.items())])
        return Refused("NOT_FOUND" if situation in NOT_FOUND else "UNKNOWN", text)

    def version(self, api: str) -> VersionAnswer:
        return VersionAnswer("0.1.0", self.family, self.release.upstream, api)

    def status(self) -> StatusAnswer:
        return StatusAnswer(
            conditions=(Condition("RuntimeReady", status=True), Condition("NetworkReady", status=True)),
            handlers=(HandlerAnswer(""), HandlerAnswer("runc", user_namespaces=True)),
            features={"supplemental_groups_policy": True},
            info={"config": "{}"},
        )

    def cgroup_driver(self) -> str:
        return "CGROUPFS"

    def sandbox_name(self, request: SandboxRequest) -> str:
        name = request.metadata or PodSandboxMetadata()
        return f"{name.name}_{name.namespace}_{name.uid}_{name.attempt}"

    def container_name(self, request: ContainerRequest, sandbox: SandboxRequest, sandbox_id: str) -> str:
        name = request.metadata or ContainerMetadata()
        return f"{name.name}_{self.sandbox_name(sandbox)}_{name.attempt}"

    @property
    def reserved_returns_owner(self) -> bool:
        return self.gives_owner

    def sandbox_info(
        self, request: SandboxRequest, place: SandboxPlace, decision: Decision, *, running: bool
    ) -> dict[str, str]:
        shown = {"running": running, "config": request, "runtimeSpec": decision.spec, "pid": place.pid}
        return {"info": msgspec.json.encode(shown).decode()}

    def container_info(
        self,
        request: ContainerRequest,
        place: ContainerPlace,
        sandbox_place: SandboxPlace,
        decision: Decision,
        *,
        state: int,
    ) -> dict[str, str]:
        shown = {"sandboxID": sandbox_place.id, "state": state, "runtimeSpec": decision.spec, "pid": place.pid}
        return {"info": msgspec.json.encode(shown).decode()}

    def image_info(self, image: ImageFacts) -> dict[str, str]:
        return {"info": msgspec.json.encode({"imageSpec": {"config": {"Cmd": image.cmd}}}).decode()}

    def image_id(self, image: ImageFacts) -> str:
        return image.id

    def image_ref(self, image: ImageFacts) -> str:
        return (*image.repo_digests, image.id)[0]

    def shown_image(self, request: ContainerRequest, place: ContainerPlace) -> str:
        return place.image_reference

    def sandbox_labels(self, request: SandboxRequest) -> dict[str, str]:
        return request.labels | ({"made-by": "beta"} if self.family == "beta" else {})

    def pulled_ref(self, image: ImageFacts) -> str:
        return image.repo_digests[0] if self.family == "beta" else image.id

    @property
    def ended_have_stats(self) -> bool:
        return self.family != "beta"

    @property
    def unsent(self) -> frozenset[str]:
        return frozenset({"image_id", "user", "stop_signal", "resources"} if self.family == "beta" else ())

    @property
    def pause_image(self) -> str:
        return f"registry.k8s.io/pause:{self.family}"


class ToyRuntime:
    """Puts what it was asked for into a spec; a profile named "refused" it refuses, one named "unstartable" later."""

    release = parse("1.2.3")
    handlers = ("runc", "kata")

    def __init__(self, persona: ToyPersona) -> None:
        self.persona = persona

    def sandbox(self, request: SandboxRequest, place: SandboxPlace) -> Decision:
        security = request.linux.security_context if request.linux else None
        return self._decide(place.id, security.seccomp if security else None)

    def container(
        self, request: ContainerRequest, place: ContainerPlace, sandbox: SandboxRequest, sandbox_place: SandboxPlace
    ) -> Decision:
        security = request.linux.security_context if request.linux else None
        return self._decide(place.id, security.seccomp if security else None)

    def start(self, decision_spec: dict[str, object]) -> None:
        linux: Any = decision_spec["linux"]
        if (linux.get("seccomp") or {}).get("defaultAction") == "unstartable":
            raise Refused("UNKNOWN", "runc create failed: no such action")

    def _decide(self, id: str, seccomp: SecurityProfile | None) -> Decision:
        step = Step("runtime", "toy", "because it was asked for")
        if seccomp and seccomp.localhost_ref == "refused":
            raise Refused("INVALID_ARGUMENT", "no such profile", (step,))
        linux: dict[str, Any] = {"cgroupsPath": f"/toy/{id}", "namespaces": []}
        if seccomp is not None:
            names = [f"syscall{number}" for number in range(300)]
            linux["seccomp"] = {
                "defaultAction": seccomp.localhost_ref or "SCMP_ACT_ERRNO",
                "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
            }
        linux["maskedPaths"] = ["/proc/kcore"]
        user = {"uid": 1000, "gid": 0, "additionalGids": [0, 10]}
        return Decision({"ociVersion": "1.2.0", "process": {"user": user}, "linux": linux}, (step,))


class ToyKubelet:
    """Passes everything on."""

    def sandbox(self, request: SandboxRequest) -> tuple[SandboxRequest, tuple[Step, ...]]:
        return request, (Step("kubelet", "toy", "passed on"),)

    def container(
        self, request: ContainerRequest, sandbox: SandboxRequest | None = None
    ) -> tuple[ContainerRequest, tuple[Step, ...]]:
        return request, (Step("kubelet", "toy", "passed on", warns=request.tty),)


def toy_node(**personas: ToyPersona) -> Node:
    """Make a node whose entries are personas; without any, of one like containerd and a handler like CRI-O."""
    personas = personas or {"default": ToyPersona("alpha"), "beta": ToyPersona("beta", gives_owner=True)}
    entries = {
        name.removeprefix("default"): Entry(name.removeprefix("default"), cast("Any", ToyRuntime(persona)))
        for name, persona in personas.items()
    }
    parts = {
        name.removeprefix("default"): RuntimePart(name=persona.family, version="1.2.3", config="", handler="")
        for name, persona in personas.items()
    }
    document = Document(
        kubelet=KubeletPart(version="1.30.0", seccomp_default=True),
        runtime=parts[""],
        handlers={name: part for name, part in parts.items() if name},
    )
    unused: Any = None
    return Node(host=unused, files=unused, kubelet=cast("Any", ToyKubelet()), entries=entries, document=document)


def counting_tokens() -> Any:
    """Return a source of ids that count up from 1: the same ids, in the same order, in every run."""
    numbers = itertools.count(1)
    return lambda size: f"{next(numbers):0{2 * size}x}"


def toy_engine(store: Store | None = None, clock: VirtualClock | None = None, **personas: ToyPersona) -> Engine:
    return Engine(toy_node(**personas), store or Store.open(":memory:"), clock or VirtualClock())


def pod(name: str = "pod", *, uid: str = "u1", attempt: int = 0, **fields: Any) -> SandboxRequest:
    metadata = PodSandboxMetadata(name=name, namespace="ns", uid=uid, attempt=attempt)
    return SandboxRequest(metadata=metadata, **fields)


def pod_with(*, network: int = 0, seccomp: SecurityProfile | None = None, **fields: Any) -> SandboxRequest:
    security = LinuxSandboxSecurityContext(namespace_options=NamespaceOption(network=network), seccomp=seccomp)
    return pod(linux=LinuxPodSandboxConfig(security_context=security), **fields)


def box(
    name: str = "box", *, image: str = "busybox", profile: str | None = None, attempt: int = 0, **fields: Any
) -> ContainerRequest:
    seccomp = None if profile is None else SecurityProfile(profile_type=2, localhost_ref=profile)
    return ContainerRequest(
        metadata=ContainerMetadata(name=name, attempt=attempt),
        image=ImageSpec(image=image),
        linux=LinuxContainerConfig(security_context=LinuxContainerSecurityContext(seccomp=seccomp)),
        **fields,
    )
