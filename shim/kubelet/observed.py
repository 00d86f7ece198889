"""What a kubelet sees on a node, and what it wants there: the two sides of a sync, as values."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from runtimes.errors import BadInput
from shim.kubelet import container
from shim.kubelet.lookup import at
from shim.kubelet.members import ContainerKind, members

if TYPE_CHECKING:
    from shim.kubelet.kubelet import Kubelet
    from shim.kubelet.pod import Pod

State = Literal["created", "running", "exited", "unknown"]
_GRACE = 30


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox that carries a kubelet's labels. Times are nanoseconds since 1970."""

    id: str
    pod_uid: str
    created_at: int
    attempt: int = 0
    ready: bool = True
    host_network: bool = False
    has_ip: bool = True


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container that does. `hash` and `restarts` are what its kubelet wrote into annotations."""

    id: str
    sandbox_id: str
    pod_uid: str
    name: str
    state: State
    created_at: int
    finished_at: int = 0
    exit_code: int = 0
    hash: str = ""
    restarts: int = 0


class Seen(msgspec.Struct, frozen=True):
    """Everything there is, in any order."""

    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[Container, ...] = ()


class WantedContainer(msgspec.Struct, frozen=True):
    """A container of a manifest, and the hash by which it is told from what runs."""

    name: str
    kind: ContainerKind
    hash: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A pod of a manifest."""

    uid: str
    pod: Pod
    containers: tuple[WantedContainer, ...]
    restart_policy: str = "Always"
    grace: int = _GRACE
    host_network: bool = False


def wanted(kubelet: Kubelet, pod: Pod) -> Wanted:
    """Return what a static pod of a manifest asks for. Raises `BadInput` for a restartPolicy that there is not.

    A pod without a uid gets one that is made from all of it, so an edited manifest is another pod; what it is made from
    changes with the release. The digits are not those of a real kubelet.
    """
    policy = pod.spec.restart_policy or "Always"
    if policy not in ("Always", "OnFailure", "Never"):
        raise BadInput(
            f"{policy!r} is no restart policy",
            where=pod.origin.where,
            line=pod.origin.line,
            field="spec.restartPolicy",
            right="Always, OnFailure or Never",
        )
    grace = pod.spec.termination_grace_period_seconds
    uid = pod.uid or _uid(kubelet, pod)
    everyone = members(pod.spec, kubelet.release, kubelet.settings.gates)
    return Wanted(
        uid=uid,
        pod=msgspec.structs.replace(pod, uid=uid),
        containers=tuple(
            WantedContainer(each.name, each.kind, container.fingerprint(each.container, kubelet.release))
            for each in everyone
            if each.kind != "ephemeral"  # a static pod has none
        ),
        restart_policy=policy,
        grace=_GRACE if grace is None else grace,
        host_network=bool(pod.spec.host_network),
    )


def _uid(kubelet: Kubelet, pod: Pod) -> str:
    facts = at(kubelet.release)
    made_from = facts.value("static-pod-uid"), facts.value("newest-pod-field")
    content = msgspec.json.encode([made_from, pod.name, pod.namespace, pod.labels, pod.annotations, pod.spec])
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
