"""What stands behind a node's face and its handles: a site, the connection to its runtime, and what was read so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from runtimes.errors import BadInput, Refused
from shim import nodefile
from shim.answer import NO_SANDBOX, answer_pod, cri_of
from shim.cri.client import described, message
from shim.cri.gate import NOT_IN_V1ALPHA2
from shim.kubelet.handshake import Fault
from shim.kubelet.labels import POD_NAME, POD_NAMESPACE, POD_UID
from shim.kubelet.observed import wanted
from shim.skew.experiments.experiment import Delete, Deploy, Kill, Wait, Which, Workload
from shim.skew.experiments.moment import RUNNING, UP, Seen
from shim.skew.experiments.site import Site
from shim.skew.inspected import Inspected, inspected
from shim.skew.posture import Posture, refused

if TYPE_CHECKING:
    from shim.cri.client import Connection
    from shim.kubelet.api import Source
    from shim.kubelet.pod import Pod
    from shim.nodefile import Document
    from shim.skew.experiments.experiment import Action
    from shim.skew.experiments.rehearsed import Clock

_IMAGE_CALLS = frozenset("ListImages ImageStatus PullImage RemoveImage ImageFsInfo StreamImages".split())
_FILLED_IN = frozenset("RunPodSandbox CreateContainer".split())
_LONGEST_BACK_OFF = 300  # seconds, of a kubelet


class Behind:
    """A site and its connection. Of a `shared` one others make use as well, over its socket.

    Requests of the node's own kubelet are complete, and its server leaves them alone. What others leave out of theirs
    is filled in, as `crishim serve` does.
    """

    def __init__(self, site: Site, connection: Connection, *, shared: bool = False) -> None:
        self.site, self._connection, self._shared = site, connection, shared
        self._inspected: dict[str, Inspected] = {}
        self._made = 0
        if shared:
            self._put_kubelet_in_front(True)

    @classmethod
    def of(cls, name: str, document: Document, connection: Connection, clock: Clock, *, shared: bool = False) -> Behind:
        """Start a node."""
        return cls(Site(name, document, (), connection, clock), connection, shared=shared)

    @property
    def name(self) -> str:
        """What the node is: "containerd 2.0.9, kubelet 1.30.2"."""
        filled = nodefile.fill(self.site.document)
        return f"{filled.runtime.name} {filled.runtime.version}, kubelet {filled.kubelet.version}"

    # Calls

    def call(self, method: str, **fields: Any) -> Any:
        """Call the CRI as anybody may. Raises `Refused`, and `BadInput` for fields that the request does not have."""
        if self._shared or method not in _FILLED_IN:
            return self.ask(method, **fields)
        self._put_kubelet_in_front(True)
        try:
            return self.ask(method, **fields)
        finally:
            self._put_kubelet_in_front(False)

    def ask(self, method: str, **fields: Any) -> Any:
        """Call the CRI, in its older version where that has the call: no release of a server of ours is without."""
        api = "v1" if method in NOT_IN_V1ALPHA2 else "v1alpha2"
        return self._send("image" if method in _IMAGE_CALLS else "runtime", api, method, fields)

    def inspect(self, method: str, **which: str) -> Inspected:
        """Return what the runtime said of a container or sandbox when it was asked first: nothing of it changes."""
        (key,) = which.values()
        if key not in self._inspected:
            self._inspected[key] = inspected(self.ask(method, **which, verbose=True).info)
        return self._inspected[key]

    def _send(self, service: Any, api: str, method: str, fields: dict[str, Any]) -> Any:
        try:
            request = message(described(service, method), fields)
        except KeyError:
            raise BadInput(f"there is no call {method}", where="request") from None
        except (TypeError, ValueError) as fault:
            raise BadInput(f"{method}: {fault}", where="request") from None
        answer = self._connection.call(service, api, method, request)
        if isinstance(answer, Fault):
            raise Refused(answer.code, answer.message)
        return answer

    def _put_kubelet_in_front(self, front: bool) -> None:
        document = self.site.node.document
        step = document.kubelet.step if front else "none"
        said = nodefile.to_yaml(replace(document, kubelet=replace(document.kubelet, step=step)))
        self._send("node", "", "Replace", {"node_yaml": said, "origin": "node", "keep_running": True})

    # What is done

    def do(self, action: Action) -> tuple[str, ...]:
        """Do something with the node, and return what its components say."""
        if self._shared:
            self._put_kubelet_in_front(False)
        try:
            self.site.do(action)
        finally:
            if self._shared:
                self._put_kubelet_in_front(True)
        return tuple(self.site.says)

    def deploy(self, pod: Pod, source: Source, handler: str) -> tuple[str, str]:
        """Have a pod run, and return the workload that it is, and its name, which is no other pod's."""
        if self.site.kubelet != UP:
            raise Refused("UNAVAILABLE", f"the kubelet does not run: {self.site.kubelet}", where="kubelet")
        taken = {str(each.manifest) for each in self.site.pods.values()}
        number, own = 1, pod
        while str(own) in taken:
            number += 1
            own = replace(pod, name=f"{pod.name}-{number}")
        self._made += 1
        name = f"pod-{self._made}"
        self.site.workloads[name] = Workload(name=name, pods=(own,), source=source, handler=handler)
        self.do(Deploy(workloads=(name,)))
        return name, str(own)

    def delete(self, workload: str) -> None:
        """Take a pod off the node."""
        self.do(Delete(workloads=(workload,)))
        self.site.workloads.pop(workload, None)

    def replace(self, workload: str) -> None:
        """Have another pod take a pod's place."""
        self.do(Kill(which=Which(workload=(workload,)), whole=True))

    def restart(self, seen: Seen) -> Seen:
        """Have a container end, and return the one that takes its place. Raises `BadInput` where none does."""
        self.do(Kill(which=Which(workload=(seen.workload,), container=(seen.container,)), whole=False))
        now = self.now(seen)
        if now.id == seen.id and now.posture.kind != "refused":
            self.do(Wait(seconds=_LONGEST_BACK_OFF))
            now = self.now(seen)
        if now.id == seen.id and now.posture.kind != "refused":
            what = f"container {seen.container} of pod {seen.pod} has ended and is not started again"
            raise BadInput(what, right="a container of a pod that restarts what ends")
        return now

    # What there is

    def look(self, workload: str = "") -> tuple[Seen, ...]:
        """Return the containers of all pods, or of one, as they are now."""
        everyone = self.site.moment().seen
        return tuple(each for each in everyone if not workload or each.workload == workload)

    def now(self, seen: Seen) -> Seen:
        """Return the container that has the name of another one now."""
        for each in self.look(seen.workload):
            if each.container == seen.container:
                return each
        raise BadInput(f"pod {seen.pod} is not there any more")

    def foreign(self, id: str, pod: str = "") -> Seen:
        """Return a container that the node's own kubelet did not make."""
        status = self.ask("ContainerStatus", container_id=id).status
        labels = (status.labels[key] for key in (POD_NAMESPACE, POD_NAME) if key in status.labels)
        has = self.inspect("ContainerStatus", container_id=id).posture()
        return Seen(
            node=self.site.name,
            workload="",
            pod=pod or "/".join(labels) or "(unknown)",
            container=status.metadata.name,
            kind="container",
            id=id,
            state=RUNNING,
            posture=has,
            next=has,
        )

    def sandbox(self, workload: str) -> tuple[str, Posture]:
        """Return the id and the posture of a pod's newest sandbox; without an id where that is refused."""
        site = self.site
        deployed = next((each for each in site.pods.values() if each.workload == workload), None)
        if deployed is None:
            raise BadInput("the pod is not there any more")
        source, handler, _ = deployed.how
        uid = wanted(site.served_by, deployed.current).uid
        items = self.ask("ListPodSandbox", filter={"label_selector": {POD_UID: uid}}).items
        if not items:
            return "", self._refused_sandbox(deployed.current, source, handler)
        newest: str = max(items, key=lambda each: each.created_at).id
        planned = site.served_by.requests(deployed.current, source=source, node=site.node.host.hostname)
        context = planned.sandbox.linux.security_context if planned.sandbox and planned.sandbox.linux else None
        said = self.inspect("PodSandboxStatus", pod_sandbox_id=newest)
        return newest, said.posture(cri_of(context), planned.sandbox_steps)

    def _refused_sandbox(self, pod: Pod, source: Source, handler: str) -> Posture:
        """Return why a pod has no sandbox."""
        node = self.site.node
        try:
            answer = answer_pod(node, node.entry(handler), pod, source).sandbox
        except Refused as refusal:
            return refused(refusal, NO_SANDBOX)
        of = answer.error.reason if answer.error else NO_SANDBOX
        return Posture(kind="refused", of=of, error=answer.error, steps=answer.steps)
