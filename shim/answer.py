"""What a pod would get on a node: every container's section or refusal, and every step that led there.

The shape is that of `crishim explain -o json` (shim/schemas/explain.schema.json). It is worked out by the code that
answers a server's requests, with places that are made up.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.decision import Decision, Step
from runtimes.errors import BadInput, Refused
from runtimes.request import (
    LOCALHOST,
    RUNTIME_DEFAULT,
    UNCONFINED,
    ContainerRequest,
    LinuxContainerSecurityContext,
    LinuxSandboxSecurityContext,
    SandboxRequest,
    container_security,
    sandbox_security,
)
from shim.images import look_up
from shim.kubelet.members import members
from shim.kubelet.security import ROOT
from shim.node import rehearsed_container, rehearsed_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtimes.model import ImageFacts
    from shim.kubelet.api import Source
    from shim.kubelet.kubelet import Kubelet
    from shim.kubelet.members import Member
    from shim.kubelet.plan import ContainerPlan, PodRequests
    from shim.kubelet.pod import Pod, PodSpec
    from shim.kubelet.security import User
    from shim.node import Entry, Node

# What a person sees as the state or the event of a pod where the refusal itself does not say.
NO_SANDBOX, NO_CONTAINER, NO_START = "FailedCreatePodSandBox", "CreateContainerError", "RunContainerError"

_SOMEBODY = 65532  # the user id that images for nobody in particular have most often

_TYPES = {RUNTIME_DEFAULT: "RuntimeDefault", UNCONFINED: "Unconfined", LOCALHOST: "Localhost"}


class Profile(msgspec.Struct, frozen=True):
    """The message `seccomp` of a CRI request; a type that the CRI does not have is its number."""

    profile_type: str | int
    localhost_ref: str


class Cri(msgspec.Struct, frozen=True):
    """What goes over the CRI. `seccomp` is None where the message is not sent."""

    seccomp: Profile | None = None
    seccomp_profile_path: str = ""


class Error(msgspec.Struct, frozen=True):
    """A refusal: who refused ("api", "kubelet" or "runtime"), what a person sees as the state, code and text."""

    where: str
    reason: str
    code: str
    message: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What comes out for one sandbox or container. `outcome` is "ok" or "refused".

    `capabilities` is the bounding set, on which a built-in profile depends; None where nothing was made.
    """

    cri: Cri = Cri()
    outcome: str = "ok"
    error: Error | None = None
    seccomp: dict[str, Any] | None = None
    capabilities: tuple[str, ...] | None = None
    steps: tuple[Step, ...] = ()


class ContainerAnswer(Answer, frozen=True, kw_only=True):
    """The answer for a container. `kind` is "init", "sidecar", "container" or "ephemeral"."""

    name: str
    kind: str


class PodAnswer(msgspec.Struct, frozen=True):
    """The answer for a pod, "namespace/name"."""

    pod: str
    sandbox: Answer
    containers: tuple[ContainerAnswer, ...]


def answer_pod(node: Node, entry: Entry, pod: Pod, source: Source = "api") -> PodAnswer:
    """Return what would come of a pod that the node's kubelet has from the API server, or from a file ("static")."""
    plan = requests_for(node.kubelet, pod, source, images=node.images)
    if plan.refused is not None:
        everyone = members(pod.spec, node.kubelet.release, node.kubelet.settings.gates)
        sandbox = _refused(plan.refused)
        return PodAnswer(str(pod), sandbox, tuple(_without_sandbox(each, sandbox) for each in everyone))
    rehearsal = _Rehearsal(node, entry, plan.sandbox or SandboxRequest())
    pairing = node.pairing(entry)
    sandbox = rehearsal.sandbox(plan.sandbox_steps + pairing)
    if sandbox.error is not None:
        return PodAnswer(str(pod), sandbox, tuple(_without_sandbox(each, sandbox) for each in plan.containers))
    return PodAnswer(str(pod), sandbox, tuple(rehearsal.container(each, pairing) for each in plan.containers))


def requests_for(
    kubelet: Kubelet, pod: Pod, source: Source = "api", node: str = "", *, images: Mapping[str, ImageFacts]
) -> PodRequests:
    """Return what a kubelet asks the runtime for: all of a pod's answer that is not the runtime's affair, but steps.

    `images` are those of which the node file says something.
    """
    return kubelet.requests(pod, source=source, node=node, user_of=_user_of(pod.spec, images))


def _user_of(spec: PodSpec, images: Mapping[str, ImageFacts]) -> Callable[[str], User] | None:
    """Return who tells whom an image runs as; None where every image of a pod runs as root."""
    assumed = image_user(spec)

    def user(name: str) -> User:
        try:
            facts = look_up(images, name)
        except BadInput:
            return assumed or ROOT
        return (facts.uid, facts.username) if facts.user else assumed or ROOT

    every = (*(spec.init_containers or ()), *(spec.containers or ()), *(spec.ephemeral_containers or ()))
    said = images and any(user(each.image or "") != ROOT for each in every)
    return user if assumed or said else None


def digest(section: dict[str, Any] | None) -> str:
    """Return the sha256 of a section as canonical JSON (sorted keys, no spaces), "" for none."""
    return hashlib.sha256(msgspec.json.encode(section, order="sorted")).hexdigest() if section else ""


def image_user(spec: PodSpec) -> User | None:
    """Tell whom those of a pod's images run as that do not say it: not as root where the pod relies on that.

    None stands for root.
    """
    contexts = [spec.security_context, *(each.security_context for each in spec.containers or ())]
    relies = any(context is not None and context.run_as_non_root for context in contexts)
    return (_SOMEBODY, "") if relies else None


class _Rehearsal:
    """A pod being created and started on a node, without one of them being there."""

    def __init__(self, node: Node, entry: Entry, request: SandboxRequest) -> None:
        self.node, self.entry, self.request = node.behind_kubelet, entry, request
        self.place = rehearsed_sandbox(entry, request, node.image)
        self.started: list[dict[str, Any] | None] = []

    def sandbox(self, steps: tuple[Step, ...]) -> Answer:
        """Run the sandbox. `steps` are those of the kubelet."""
        cri = cri_of(sandbox_security(self.request))
        try:
            _, decision = self.node.sandbox(self.entry, self.request, self.place)
            self._start(decision)
        except Refused as refusal:
            return _refused(refusal.after(steps), cri, NO_SANDBOX)
        return _made(cri, decision, steps + decision.steps)

    def container(self, plan: ContainerPlan, pairing: tuple[Step, ...]) -> ContainerAnswer:
        """Create and start one container. `pairing` is what there is to say about kubelet and runtime together."""
        if isinstance(plan.request, Refused):
            answer = _refused(plan.request)
        else:
            answer = self._asked(plan.request, plan.steps + pairing)
        return ContainerAnswer(name=plan.name, kind=plan.kind, **msgspec.structs.asdict(answer))

    def _asked(self, request: ContainerRequest, steps: tuple[Step, ...]) -> Answer:
        cri = cri_of(container_security(request))
        reason = NO_CONTAINER
        try:
            place = rehearsed_container(request, self.place, self.node.image)
            _, decision = self.node.container(self.entry, request, place, self.request, self.place)
            steps, reason = steps + decision.steps, NO_START
            self._start(decision)
        except Refused as refusal:
            return _refused(refusal.after(steps), cri, reason)
        return _made(cri, decision, steps)

    def _start(self, decision: Decision) -> None:
        """Hand a spec to the OCI runtime, each section once: it takes longer to look at one than to decide about it."""
        if decision.section not in self.started:
            self.entry.runtime.start(decision.spec)
            self.started.append(decision.section)


def cri_of(context: LinuxContainerSecurityContext | LinuxSandboxSecurityContext | None) -> Cri:
    """Return what a security context says about seccomp, which is nothing where there is none."""
    if context is None:
        return Cri()
    message, path = context.seccomp, context.seccomp_profile_path
    if message is None:
        return Cri(None, path)
    return Cri(Profile(_TYPES.get(message.profile_type, message.profile_type), message.localhost_ref), path)


def error_of(refusal: Refused, reason: str = "") -> Error:
    """Return a refusal as it is shown; `reason` is what a person sees where it does not say."""
    return Error(refusal.where, refusal.reason or reason, refusal.code, str(refusal))


def bounding(spec: dict[str, Any]) -> tuple[str, ...]:
    """Return the bounding set of an OCI runtime spec, none where it names none."""
    capabilities = (spec.get("process") or {}).get("capabilities") or {}
    return tuple(capabilities.get("bounding") or ())


def _made(cri: Cri, decision: Decision, steps: tuple[Step, ...]) -> Answer:
    return Answer(cri=cri, seccomp=decision.section, capabilities=bounding(decision.spec), steps=steps)


def _without_sandbox(plan: ContainerPlan | Member, sandbox: Answer) -> ContainerAnswer:
    """A container is never asked for where its sandbox could not be made."""
    step = Step("kubelet", "sandbox-first", "without its sandbox the container is not created")
    return ContainerAnswer(
        name=plan.name, kind=plan.kind, outcome="refused", error=sandbox.error, steps=(*sandbox.steps, step)
    )


def _refused(refusal: Refused, cri: Cri | None = None, reason: str = "") -> Answer:
    return Answer(cri=cri or Cri(), outcome="refused", error=error_of(refusal, reason), steps=refusal.steps)
