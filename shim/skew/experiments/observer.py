"""Looking at a node of an experiment: what runs according to the runtime, and why according to both sides.

What a container has is read over the CRI, as `crictl inspect` shows it; the kubelet's part of the reasons is added when
the container is first seen, from the kubelet that has just made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from runtimes.decision import Step
from runtimes.errors import Refused
from runtimes.request import container_security
from shim.answer import NO_SANDBOX, Cri, Error, answer_pod, cri_of, requests_for
from shim.cri.agent import How
from shim.kubelet.labels import CONTAINER_NAME, POD_UID
from shim.kubelet.members import members
from shim.kubelet.observed import wanted
from shim.kubelet.pod import Pod
from shim.skew.experiments.moment import COMPLETED, RUNNING, WAITING, Seen
from shim.skew.inspected import inspected
from shim.skew.posture import Posture, build_of, posture
from shim.skew.posture import refused as of_refusal

if TYPE_CHECKING:
    from shim.kubelet.members import Member
    from shim.node import Node
    from shim.skew.experiments.site import Site

_IS_RUNNING = 1  # ContainerState


class Deployed(msgspec.Struct, frozen=True):
    """A pod of a workload on a node: as its manifest has it, and as the kubelet gets it.

    `refused` is what the API server says where it does not take it, `kept` what it did to it otherwise, by container.
    """

    workload: str
    manifest: Pod
    how: How
    pod: Pod | None = None
    refused: Refused | None = None
    kept: dict[str, tuple[Step, ...]] = {}

    @property
    def key(self) -> tuple[str, str]:
        """What it is called on the node."""
        return self.workload, str(self.manifest)

    @property
    def current(self) -> Pod:
        """The pod as the kubelet gets it."""
        return self.pod or self.manifest

    def after(self, name: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return the steps of a container with what the API server did when the pod was made in front of them.

        What it would do again, to the pod as it is, is among them.
        """
        return tuple(dict.fromkeys((*self.kept.get(name, ()), *steps)))


class Observer:
    """Looks at one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._made: dict[str, Posture] = {}  # by container id: a container keeps what it was made with
        self._next: dict[tuple[int, bytes], tuple[Node, dict[str, Posture]]] = {}  # by the node and the pod

    def copy(self, site: Site) -> Observer:
        """Return one that knows the same, for a copy of the site. What a pod would get either finds out for both."""
        other = Observer(site)
        other._made, other._next = dict(self._made), self._next
        return other

    def look(self) -> tuple[Seen, ...]:
        """Return every container of every pod that is deployed, in the order of the workloads and manifests."""
        there = self.there()
        return tuple(seen for each in self._site.pods.values() for seen in self._pod(each, there))

    def there(self) -> dict[tuple[str, str], Any]:
        """Return the newest container of each name, by the uid of its pod."""
        found: dict[tuple[str, str], Any] = {}
        for item in self._site.ask("ListContainers").containers:
            key = item.labels.get(POD_UID, ""), item.labels.get(CONTAINER_NAME, "")
            if key not in found or found[key].created_at < item.created_at:
                found[key] = item
        return found

    def _pod(self, deployed: Deployed, there: dict[tuple[str, str], Any]) -> list[Seen]:
        site = self._site
        pod = deployed.current
        kubelet = site.served_by
        uid = wanted(kubelet, pod).uid
        after = self._after_restart(deployed)
        found = []
        for member in members(pod.spec, kubelet.release, kubelet.settings.gates):
            if member.kind == "ephemeral":
                continue
            item = there.get((uid, member.name))
            state, has = self._state(deployed, uid, member, item, after[member.name])
            found.append(
                Seen(
                    node=site.name,
                    workload=deployed.workload,
                    pod=str(deployed.manifest),
                    container=member.name,
                    kind=member.kind,
                    id=item.id if item is not None else "",
                    state=state,
                    posture=has,
                    next=after[member.name],
                )
            )
        return found

    def _state(self, deployed: Deployed, uid: str, member: Member, item: Any, after: Posture) -> tuple[str, Posture]:
        """Return the state of a container as a person sees it, and what it has."""
        agent = self._site.agent
        if item is not None and item.state == _IS_RUNNING:
            return RUNNING, self._has(deployed, item)
        refused = deployed.refused or (agent.refused.get(str(deployed.current)) if agent else None)
        if refused is not None:
            return refused.reason, of_refusal(refused)
        failed = (agent.failed.get((uid, member.name)) or agent.failed.get((uid, ""))) if agent else None
        if failed is not None:
            steps = after.steps if after.kind == "refused" else ()
            error = Error(where="runtime", reason=failed.reason, code="", message=failed.message)
            return failed.reason, Posture(kind="refused", of=failed.reason, error=error, steps=steps)
        if item is None:
            return WAITING, _NOTHING
        if member.kind == "init":
            return COMPLETED, self._has(deployed, item)
        return self._site.waits.get((uid, member.name), WAITING), self._has(deployed, item)

    def _has(self, deployed: Deployed, item: Any) -> Posture:
        """Return what a container was made with."""
        if item.id not in self._made:
            self._made[item.id] = self._inspect(deployed, item)
        return self._made[item.id]

    def _inspect(self, deployed: Deployed, item: Any) -> Posture:
        info = self._site.ask("ContainerStatus", container_id=item.id, verbose=True).info
        return inspected(info).posture(*self._asked(deployed, item.metadata.name))

    def _asked(self, deployed: Deployed, name: str) -> tuple[Cri, tuple[Step, ...]]:
        """Return what the kubelet asks for, and why."""
        site = self._site
        source, handler, _ = deployed.how
        planned = requests_for(
            site.served_by, deployed.current, source, site.node.host.hostname, images=site.node.images
        )
        plan = next(each for each in planned.containers if each.name == name)
        cri = Cri() if isinstance(plan.request, Refused) else cri_of(container_security(plan.request))
        return cri, deployed.after(name, plan.steps) + site.node.pairing(site.node.entry(handler))

    def _after_restart(self, deployed: Deployed) -> dict[str, Posture]:
        """Return what each container would have if the pod were made now."""
        node, pod = self._site.node, deployed.current
        its = [str(pod), pod.labels, pod.annotations, pod.spec, deployed.how, deployed.kept]
        key = id(node), msgspec.json.encode(its)
        if key not in self._next:
            self._next[key] = node, self._rehearsed(deployed, node)  # as long as the node is kept, its id is its own
        return self._next[key][1]

    def _rehearsed(self, deployed: Deployed, node: Node) -> dict[str, Posture]:
        source, handler, _ = deployed.how
        kubelet = node.kubelet
        try:
            entry = node.entry(handler)
        except Refused as refusal:
            everyone = members(deployed.current.spec, kubelet.release, kubelet.settings.gates)
            none = of_refusal(refusal, NO_SANDBOX)
            return dict.fromkeys((member.name for member in everyone), none)
        build = build_of(node, entry)
        answer = answer_pod(node, entry, deployed.current, source)
        return {
            each.name: posture(replace(each, steps=deployed.after(each.name, each.steps)), build)
            for each in answer.containers
        }


_NOTHING = Posture(kind="none")
