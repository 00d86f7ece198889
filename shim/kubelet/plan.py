"""A pod -> the RunPodSandbox and CreateContainer requests that a kubelet of the release sends for it.

What only a node knows is left out: mounts, devices, DNS, the cgroup parent, the ranges of a user namespace, variables
that come from services, ConfigMaps and Secrets. A step says so where a manifest asks for such a thing.
Source: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go (generatePodSandboxConfig) and labels.go at v1.18.6 and v1.36.3;
pkg/kubelet/config (applyDefaults, updatePodsFunc) for what is added to annotations.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from runtimes.decision import Step
from runtimes.errors import BadInput, Refused
from runtimes.request import (
    ContainerRequest,
    LinuxContainerResources,
    LinuxPodSandboxConfig,
    NamespaceOption,
    PodSandboxMetadata,
    PortMapping,
    SandboxRequest,
    WindowsPodSandboxConfig,
    WindowsSandboxSecurityContext,
)
from shim.kubelet import container, gates, quantity, security
from shim.kubelet.api import Source, admit
from shim.kubelet.labels import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID
from shim.kubelet.lookup import at
from shim.kubelet.members import ContainerKind, Member, members
from shim.kubelet.profile import CONTAINER_ANNOTATION, POD_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from shim.kubelet.api import Admitted
    from shim.kubelet.kubelet import Kubelet
    from shim.kubelet.pod import Pod, PodSpec

OS = Literal["linux", "windows"]

_PROTOCOLS = {"TCP": 0, "UDP": 1, "SCTP": 2}
_HOSTNAME_LENGTH = 63
_ADDED = ("kubernetes.io/config.source", "kubernetes.io/config.hash")
_BLUEPRINTS, _LONGEST_SPEC = 4096, 16 * 1024  # how many are kept, and how long a spec one is kept for


class ContainerPlan(msgspec.Struct, frozen=True):
    """What comes of one container: the request that is sent for it, or the refusal instead, and why."""

    name: str
    kind: ContainerKind
    request: ContainerRequest | Refused
    steps: tuple[Step, ...]


class PodRequests(msgspec.Struct, frozen=True):
    """What comes of a pod.

    `refused` says that it does not get to its containers at all: then there is neither a sandbox nor a container.
    Containers are in the order in which a kubelet takes care of them: ephemeral, init and sidecars, regular.
    """

    pod: Pod
    sandbox: SandboxRequest | None
    sandbox_steps: tuple[Step, ...]
    containers: tuple[ContainerPlan, ...]
    refused: Refused | None = None


def requests(
    kubelet: Kubelet,
    pod: Pod,
    *,
    source: Source = "api",
    os: OS = "linux",
    node: str = "",
    user_of: Callable[[str], security.User] | None = None,
) -> PodRequests:
    """Plan a pod.

    `source` is where the kubelet has it from: the API server, of the same release, or a file of its own ("static").
    `os` and `node` are the node's system and name ("" leaves a static pod its own name), `user_of` tells what an image
    says about its user; root without it.
    """
    planner = _Planner(kubelet, pod, source, os, node, user_of)
    key = planner.key()
    known = kubelet.rules.blueprints.get(key) if key else None
    if known is not None:
        return planner.after(known)
    try:
        planned = planner.plan()
    except Refused as refusal:
        return PodRequests(pod, None, (), (), refusal.after(kubelet.notes))
    if key:
        planner.keep(key, planned)
    return planned


class _Blueprint(msgspec.Struct, frozen=True):
    """What comes of every pod with one spec, whatever its name: a cluster has many pods and few specs.

    `added` are the annotations that the API server adds for the spec's fields.
    """

    planned: PodRequests
    added: dict[str, str]


class _Planner:
    """One pod on one node."""

    def __init__(
        self,
        kubelet: Kubelet,
        pod: Pod,
        source: Source,
        os: OS,
        node: str,
        user_of: Callable[[str], security.User] | None,
    ) -> None:
        self.kubelet, self.rules, self.release = kubelet, kubelet.rules, kubelet.release
        self.pod, self.spec, self.source, self.os = pod, pod.spec, source, os
        self.user_of = user_of
        self.uid = pod.uid or _made_up_uid(pod, source)
        self.name = f"{pod.name}-{node.lower()}" if source == "static" and node else pod.name
        self.labels = {
            POD_NAME: self.name,
            POD_NAMESPACE: pod.namespace,
            POD_UID: self.uid,
        }

    def key(self) -> tuple[bytes, str, str, bool] | None:
        """Return what the pod shares with others that come out alike, None where its name or annotations count."""
        if self.user_of is not None or not self.name:
            return None
        for key in self.pod.annotations:
            if key == POD_ANNOTATION or key.startswith(CONTAINER_ANNOTATION):
                return None
        return msgspec.json.encode(self.spec), self.source, self.os, bool(self.pod.origin.template)

    def keep(self, key: tuple[bytes, str, str, bool], planned: PodRequests) -> None:
        """Keep what came out for the next pod of this kind, unless a refusal in it names this one."""
        if planned.sandbox is None or any(isinstance(each.request, Refused) for each in planned.containers):
            return
        blueprints = self.rules.blueprints
        if len(blueprints) >= _BLUEPRINTS:
            blueprints.clear()
        if len(key[0]) <= _LONGEST_SPEC:
            given = {*self.pod.annotations, *_ADDED}
            added = {name: word for name, word in planned.sandbox.annotations.items() if name not in given}
            blueprints[key] = _Blueprint(planned, added)

    def after(self, known: _Blueprint) -> PodRequests:
        """Do as for another pod of the same kind; only names, labels and annotations are this one's."""
        planned = known.planned
        sandbox = planned.sandbox
        if sandbox is not None:
            sandbox = replace(
                sandbox,
                metadata=PodSandboxMetadata(name=self.name, uid=self.uid, namespace=self.pod.namespace),
                hostname=_hostname(self.spec, self.name),
                log_directory=f"/var/log/pods/{self.pod.namespace}_{self.name}_{self.uid}",
                labels={**self.pod.labels, **self.labels},
                annotations=self._annotations({**self.pod.annotations, **known.added}),
            )
        containers = tuple(
            ContainerPlan(
                each.name,
                each.kind,
                replace(each.request, labels={**self.labels, CONTAINER_NAME: each.name}),  # type: ignore[type-var]
                each.steps,
            )
            for each in planned.containers
        )
        return PodRequests(self.pod, sandbox, planned.sandbox_steps, containers)

    def plan(self) -> PodRequests:
        """Plan the pod. Raises `Refused` where nothing is sent at all."""
        everyone = members(self.spec, self.release, self.kubelet.settings.gates)
        admitted = admit(self.pod, everyone, self.release, self.source)
        self._check_os(admitted)
        own_users = self._on("UserNamespacesSupport")
        options = security.namespaces(self.spec, user_namespaces=own_users)
        sandbox, steps = self._sandbox(everyone, admitted, options)
        if own_users and self.spec.host_users is False:
            because = "hostUsers is false: the ranges of the user namespace are the node's to give, and are left out"
            steps += (Step("kubelet", container.LEFT_OUT, because, warns=True),)
        if self.spec.ephemeral_containers and not any(member.kind == "ephemeral" for member in everyone):
            steps += (self.rules.step("ephemeral-containers", "ephemeral containers are dropped", warns=True),)
        before = self.kubelet.notes + admitted.steps
        return PodRequests(self.pod, sandbox, before + steps, self._containers(everyone, admitted, options, before))

    def _check_os(self, admitted: Admitted) -> None:
        wanted = self.spec.os.name if self.spec.os else None
        if wanted in (None, self.os) or not self.rules.has("pod-os-checked"):
            return
        step = self.rules.step("pod-os-checked", f"the pod is for {wanted}, the node runs {self.os}")
        message = "Failed to admit pod as the OS field doesn't match node OS"
        raise Refused(
            "FAILED_PRECONDITION", message, (*admitted.steps, step), reason="PodOSNotSupported", where="kubelet"
        )

    def _sandbox(
        self, everyone: tuple[Member, ...], admitted: Admitted, options: NamespaceOption
    ) -> tuple[SandboxRequest, tuple[Step, ...]]:
        asked = self.rules.sandbox(admitted.annotations)
        contexts = [member.container.security_context for member in everyone]
        context = security.sandbox(
            self.spec.security_context,
            options,
            asked,
            privileged=any(each is not None and bool(each.privileged) for each in contexts),
            windows=self.os == "windows",
        )
        request = SandboxRequest(
            metadata=PodSandboxMetadata(name=self.name, uid=self.uid, namespace=self.pod.namespace),
            hostname=_hostname(self.spec, self.name),
            log_directory=f"/var/log/pods/{self.pod.namespace}_{self.name}_{self.uid}",
            port_mappings=_ports(self.spec),
            labels={**self.pod.labels, **self.labels},
            annotations=self._annotations(admitted.annotations),
            linux=LinuxPodSandboxConfig(security_context=context, sysctls=_sysctls(self.spec)),
            windows=_windows(self.spec) if self.os == "windows" else None,
        )
        return request, asked.steps

    def _annotations(self, admitted: dict[str, str]) -> dict[str, str]:
        """The pod's own, and what kubelets add, but for the time at which the pod was seen first."""
        added = {"kubernetes.io/config.source": "file" if self.source == "static" else "api"}
        if self.source == "static":
            added["kubernetes.io/config.hash"] = self.uid
        return {**admitted, **added}

    def _containers(
        self,
        everyone: tuple[Member, ...],
        admitted: Admitted,
        options: NamespaceOption,
        before: tuple[Step, ...],
    ) -> tuple[ContainerPlan, ...]:
        around = container.Surroundings(
            facts=at(self.release),
            spec=self.spec,
            full_name=f"{self.name}_{self.pod.namespace}({self.uid})",
            labels=self.labels,
            options=options,
            windows=self.os == "windows",
        )
        shares = [self._share(member) for member in everyone]
        service = quantity.quality(
            share for share, member in zip(shares, everyone, strict=True) if member.kind != "ephemeral"
        )
        score = self.rules.value("guaranteed-oom-score")
        plans = []
        # Ephemeral containers are taken care of first, the others as they stand.
        for number in sorted(range(len(everyone)), key=lambda number: everyone[number].kind != "ephemeral"):
            member = everyone[number]
            resources = quantity.resources(shares[number], service, score)
            request, steps = self._container(number, member, around, admitted, resources)
            steps = before + admitted.own_steps[number] + steps
            if isinstance(request, Refused):
                request = Refused(request.code, request.message, steps, reason=request.reason, where=request.where)
            plans.append(ContainerPlan(member.name, member.kind, request, steps))
        return tuple(plans)

    def _container(
        self,
        number: int,
        member: Member,
        around: container.Surroundings,
        admitted: Admitted,
        resources: LinuxContainerResources,
    ) -> tuple[ContainerRequest | Refused, tuple[Step, ...]]:
        try:
            user = self.user_of(member.container.image or "") if self.user_of else security.ROOT
            container.check_root(member, around, user)
            asked = self.rules.container(admitted.profiles[number], admitted.profile, admitted.annotations, member.name)
        except Refused as refusal:
            return refusal, refusal.steps
        request = container.request(member, around, asked, admitted.proc_mounts[number], resources, user)
        return request, asked.steps + container.steps(member, self.release)

    def _share(self, member: Member) -> quantity.Share:
        try:
            return quantity.read(member.container.resources)
        except quantity.NoQuantity as fault:
            origin = self.pod.origin
            place = ".".join(part for part in (origin.path, origin.template, "spec", member.path, "resources") if part)
            right = "a number with a suffix, as in 100m or 64Mi"
            raise BadInput(
                f"{str(fault)!r} is no quantity", where=origin.where, line=origin.line, field=place, right=right
            ) from None

    def _on(self, feature: str) -> bool:
        return gates.on(feature, self.release, self.kubelet.settings.gates)


def _hostname(spec: PodSpec, name: str) -> str:
    if spec.host_network:
        return ""
    name = spec.hostname or name
    return name if len(name) <= _HOSTNAME_LENGTH else name[:_HOSTNAME_LENGTH].rstrip("-.")


def _ports(spec: PodSpec) -> tuple[PortMapping, ...]:
    """The ports of the regular containers; a name that stands twice in a container counts once."""
    found = []
    for each in spec.containers or ():
        names = set()
        for port in each.ports or ():
            protocol = port.protocol or "TCP"
            name = port.name or (port.host_ip, protocol, port.container_port, port.host_port)
            if name in names:
                continue
            names.add(name)
            # On the host's network a port is the host's as well: defaulting fills it in.
            host = port.host_port or (port.container_port if spec.host_network else 0)
            mapping = PortMapping(
                protocol=_PROTOCOLS.get(protocol, 0),
                container_port=port.container_port or 0,
                host_port=host or 0,
                host_ip=port.host_ip or "",
            )
            found.append(mapping)
    return tuple(found)


def _sysctls(spec: PodSpec) -> dict[str, str]:
    context = spec.security_context
    return {each.name or "": each.value or "" for each in context.sysctls or ()} if context else {}


def _windows(spec: PodSpec) -> WindowsPodSandboxConfig:
    context = security.windows(None, spec.security_context)
    return WindowsPodSandboxConfig(
        security_context=WindowsSandboxSecurityContext(
            run_as_username=context.run_as_username,
            credential_spec=context.credential_spec,
            host_process=context.host_process,
        )
    )


def _made_up_uid(pod: Pod, source: Source) -> str:
    """Return a uid for a manifest without one: 32 digits for a static pod, the form of a UUID otherwise.

    It follows from the pod's name, so that a rehearsal comes out the same each time.
    """
    digits = hashlib.sha256(f"{source}/{pod.origin.kind}/{pod}".encode()).hexdigest()[:32]
    if source == "static":
        return digits
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
