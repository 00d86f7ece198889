"""One node while an experiment is played on it: what is written down, what is in force, and what runs.

A setting is written down at once and counts when its component reads it: the kubelet when it starts, a runtime when it
starts or, as far as its release does that, when it is told to reload. A component that does not start with what is
written down stays down, and what runs goes on; its unit tries again for good (Restart=always), so it is back with the
step that takes away what kept it down. The runtime is an engine, in this process or behind a socket; the kubelet is the
agent that runs against either.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from runtimes.errors import BadInput, CrishimError, Refused
from runtimes.model import wipes
from shim import nodefile
from shim.answer import image_user
from shim.cri.agent import Agent, How
from shim.kubelet.api import stored
from shim.kubelet.handshake import Fault
from shim.kubelet.labels import POD_UID
from shim.kubelet.observed import wanted
from shim.skew.experiments import experiment as does
from shim.skew.experiments.actions import opened, written
from shim.skew.experiments.experiment import Action, matching
from shim.skew.experiments.moment import UP, Moment
from shim.skew.experiments.observer import Deployed, Observer
from shim.skew.experiments.rehearsed import Rehearsed
from shim.skew.pairing import apis
from shim.skew.posture import build_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from shim.cri.client import Connection
    from shim.nodefile import Document
    from shim.skew.experiments.experiment import Workload
    from shim.skew.experiments.rehearsed import Clock
    from shim.skew.posture import Build

_GRACE = 30  # seconds, as a kubelet gives a container by default


class Site:
    """A node of an experiment: `do` an action, look at the `moment`.

    `node` is the node in force as far as this process knows it; the engine behind the connection has the same one.
    """

    def __init__(
        self, name: str, document: Document, workloads: tuple[Workload, ...], connection: Connection, clock: Clock
    ) -> None:
        self.name, self.document, self.clock = name, document, clock
        self.workloads = {each.name: each for each in workloads}
        self.connection = Rehearsed(connection, clock)
        self.kubelet = self.runtime = UP
        self.agent: Agent | None = None
        self.says: list[str] = []
        self.notes: list[str] = []
        self.pods: dict[tuple[str, str], Deployed] = {}  # by workload and name
        self._generation = 0
        self.cordoned = False
        self.away: dict[tuple[str, str], Deployed] = {}  # what a drain took away
        self.waits: dict[tuple[str, str], str] = {}  # by uid and container: why it is not started now
        self.node = opened(document)
        self.served_by = self.node.kubelet  # the last one that came up: the pods are as it made them
        self.observer = Observer(self)
        self._put(restart=True)
        self._start_kubelet()

    def do(self, action: Action) -> None:
        """Do something and let the kubelet do what follows. Raises `BadInput` for what no node could do."""
        self.says, self.notes = [], []
        self.document = written(self.document, action)
        self._deeds()[type(action)](action)
        self._settle()

    def moment(self) -> Moment:
        """Return what is there now."""
        filled = nodefile.fill(self.document)
        kubelet = self.node.kubelet.release if self.agent else f"{filled.kubelet.version} (does not run)"
        builds = f"kubelet {kubelet}, {build_of(self.node, self.node.default)}"
        return Moment(
            node=self.name,
            kubelet=self.kubelet,
            runtime=self.runtime,
            builds=builds,
            says=tuple(self.says),
            notes=tuple(dict.fromkeys(self.notes)),
            seen=self.observer.look(),
            setup=self._setup(),
        )

    def copy(self, connection: Connection, clock: Clock) -> Site:
        """Return the same node in the same state, on a connection to a copy of its runtime; each goes its own way."""
        other = copy.copy(self)
        other.clock, other.connection = clock, Rehearsed(connection, clock)
        other.connection.apis = self.connection.apis
        other.says, other.notes, other.waits = [], [], dict(self.waits)
        other.pods, other.away = dict(self.pods), dict(self.away)
        other.observer = self.observer.copy(other)
        if self.agent is not None:
            other.agent = self.agent.copy(other.connection, clock, other.say, other.how)
        return other

    def clear(self) -> None:
        """Remove every pod from the runtime."""
        for item in self.ask("ListPodSandbox").items:
            self.ask("RemovePodSandbox", pod_sandbox_id=item.id)

    def ask(self, method: str, **fields: object) -> Any:
        """Ask the runtime, as it is asked where it is certain to answer."""
        answer = self.connection.call("runtime", self.connection.apis[0], method, dict(fields))
        if isinstance(answer, Fault):
            raise CrishimError(f"node {self.name}: {method}: {answer}")
        return answer

    def _deeds(self) -> dict[type[Action], Callable[[Any], None]]:
        return {
            does.Deploy: self._deploy,
            does.Delete: self._delete,
            does.Configure: lambda _: None,  # it is written down, and nobody has read it yet
            does.Upgrade: self._upgrade,
            does.Restart: self._restart,
            does.Reload: self._reload,
            does.Kill: self._kill,
            does.Reboot: self._reboot,
            does.Drain: self._drain,
            does.Uncordon: self._uncordon,
            does.Wait: lambda action: self.clock.advance(action.seconds),
        }

    def _setup(self) -> str:
        """Tell what is written down, what is in force, and which pods may come, from anything else."""
        filled = [nodefile.fill(document) for document in (self.document, self.node.document)]
        both = [[each.host, each.kubelet, each.runtime, each.handlers] for each in filled]
        up = self.kubelet == UP, self.runtime == UP
        return hashlib.sha256(msgspec.json.encode([both, up, self.cordoned])).hexdigest()

    # The components

    def _restart(self, action: does.Restart) -> None:
        if action.component == "kubelet":
            self._start_kubelet()
        else:
            self._start_runtimes(self.document)

    def _start_kubelet(self) -> None:
        """Start the kubelet anew, with what is written down."""
        self.agent = None
        try:
            opened = nodefile.open_node(self._with(kubelet=self.document), self.node)
            self.node = replace(self.node, kubelet=opened.kubelet, document=opened.document)
            self._put()
            self._connect()
        except Refused as refusal:
            self.kubelet = str(refusal)
            self.say(f"the kubelet does not start: {refusal}")

    def _connect(self) -> None:
        if self.runtime != UP:
            raise Refused("UNAVAILABLE", "the container runtime is not running", where="kubelet")
        self.agent = Agent(
            self.node.kubelet,
            self.connection,
            self.clock,
            self.say,
            node=self.node.host.hostname,
            end_init=True,
            how=self.how,
        )
        self.kubelet, self.served_by = UP, self.node.kubelet

    def _start_runtimes(self, document: Document, *, only_changed: bool = False) -> None:
        """Start the runtimes anew, with what a document says of them."""
        try:
            node = nodefile.open_node(self._with(runtime=document), self.node if only_changed else None)
        except Refused as refusal:
            self.runtime = str(refusal)
            self.say(f"the runtime does not start: {refusal}")
            return
        before, self.node = self.node, replace(node, kubelet=self.node.kubelet)
        self.runtime = UP
        self._put(restart=not only_changed)
        for name, entry in self.node.entries.items():
            old = before.entries.get(name)
            if old is not None and old.runtime is not entry.runtime:
                self._wipe(name, build_of(before, old), build_of(self.node, entry))

    def _wipe(self, handler: str, old: Build, new: Build) -> None:
        """Remove what a runtime does not keep when it starts; what another family has made it knows nothing of."""
        why = wipes(self.node.entries[handler].runtime, old.release)
        if old.family != new.family:
            why = f"{new.family} knows nothing of the pods that {old.family} has made"
        if why:
            self.notes.append(why)
            for item in self.ask("ListPodSandbox").items:
                if item.runtime_handler == handler:
                    self.ask("RemovePodSandbox", pod_sandbox_id=item.id)

    def _reload(self, _action: Action | None = None) -> None:
        """Tell the runtimes to read their configuration again: those that run."""
        if self.runtime != UP:
            return
        node = nodefile.keep_running(self._with(runtime=self.document), self.node)
        node, told = nodefile.reload_node(replace(node, kubelet=self.node.kubelet))
        self.node = node
        self._put(keep_running=True)
        self._admin("Reload")
        self.notes += (step.because for each in told.values() for step in each.steps)
        self.notes += (each.failure for each in told.values() if each.failure)

    def _upgrade(self, action: does.Upgrade) -> None:
        if action.drained:
            self._drain()
            self._settle()
        for name in sorted(action.versions, key="kubelet.version".__eq__):  # it needs the runtimes
            if name == "kubelet.version":
                self._start_kubelet()
            elif name == "runtime.version":
                self._start_runtimes(replace(self.node.document, runtime=self.document.runtime), only_changed=True)
            else:
                handler = name.removeprefix("handlers.").removesuffix(".version")
                changed = {**self.node.document.handlers, handler: self.document.handlers[handler]}
                self._start_runtimes(replace(self.node.document, handlers=changed), only_changed=True)
        if action.drained:
            self._uncordon()

    def _reboot(self, _action: Action | None = None) -> None:
        for item in self.ask("ListPodSandbox").items:
            self.ask("StopPodSandbox", pod_sandbox_id=item.id)
        self.node = replace(self.node, document=replace(self.node.document, host=self.document.host))
        self._start_runtimes(self.document)
        self._start_kubelet()

    def _with(self, *, kubelet: Document | None = None, runtime: Document | None = None) -> Document:
        """Return the document in force, with what another one says of the kubelet or of the runtimes."""
        document: Document = self.node.document
        if kubelet is not None:
            document = replace(document, kubelet=kubelet.kubelet)
        if runtime is not None:
            document = replace(document, runtime=runtime.runtime, handlers=runtime.handlers)
        return document

    def _put(self, *, restart: bool = False, keep_running: bool = False) -> None:
        """Have the engine be what this node is now. Its requests come from a kubelet, so it has none of its own."""
        document = self.node.document
        bare = replace(document, kubelet=replace(document.kubelet, step="none"))
        self._admin("Replace", node_yaml=nodefile.to_yaml(bare), origin=f"node {self.name}", keep_running=keep_running)
        if restart:
            self._admin("Restart")
        build = build_of(self.node, self.node.default)
        self.connection.apis = apis(build.family, build.release)

    # The pods

    def how(self, pod: object) -> How:
        """Say how the kubelet comes by a pod."""
        for each in self.pods.values():
            if str(each.current) == str(pod):
                return each.how
        return How()

    def _deploy(self, action: does.Deploy) -> None:
        for name in matching(action.workloads, tuple(self.workloads)):
            workload = self.workloads[name]
            for pod in workload.pods:
                self._create(Deployed(name, pod, How(workload.source, workload.handler, image_user(pod.spec))))

    def _delete(self, action: does.Delete) -> None:
        gone = matching(action.workloads, tuple(self.workloads))
        self.pods = {key: each for key, each in self.pods.items() if key[0] not in gone}
        self.away = {key: each for key, each in self.away.items() if key[0] not in gone}

    def _create(self, deployed: Deployed) -> None:
        """Have a pod on the node, a new one each time: what the API server makes of it is settled here."""
        if self.cordoned and deployed.how.source == "api":
            self.away[deployed.key] = deployed
            return
        self._generation += 1
        made = replace(deployed, pod=None, refused=None, kept={})
        if deployed.how.source == "api":
            uid = _uid(f"{self.name}/{deployed.workload}/{deployed.manifest}/{self._generation}")
            try:
                kept = stored(deployed.manifest, self.node.kubelet.release, {})
                made = replace(made, pod=replace(kept.pod, uid=uid), kept=kept.steps)
            except Refused as refusal:
                made = replace(made, refused=refusal)
                self.says.append(f"pod {deployed.manifest}: {refusal}")
        self.pods[deployed.key] = made

    def _kill(self, action: does.Kill) -> None:
        """End containers, or replace whole pods, as those are replaced who have an owner."""
        for each in self.observer.look():
            if not action.which.matches(each.node, each.workload, each.pod, each.container):
                continue
            deployed = self.pods[each.workload, each.pod]
            if not action.whole:
                if each.id:
                    self.ask("StopContainer", container_id=each.id, timeout=_GRACE)
                if self.agent is not None:  # its end wakes the pod's worker, whatever that waits for
                    self.agent.backoff.synced(wanted(self.served_by, deployed.current).uid)
            elif deployed.how.source == "api":
                self._create(deployed)
            else:
                self._stop_static(deployed)

    def _stop_static(self, deployed: Deployed) -> None:
        uid = wanted(self.served_by, deployed.current).uid
        for item in self.ask("ListPodSandbox", filter={"label_selector": {POD_UID: uid}}).items:
            self.ask("StopPodSandbox", pod_sandbox_id=item.id)

    def _drain(self, _action: Action | None = None) -> None:
        """Evict the pods of the API server; those from files stay, as their mirror pods cannot be evicted."""
        self.cordoned = True
        self.away |= {key: each for key, each in self.pods.items() if each.how.source == "api"}
        self.pods = {key: each for key, each in self.pods.items() if each.how.source != "api"}

    def _uncordon(self, _action: Action | None = None) -> None:
        """Take new pods for those that left."""
        self.cordoned = False
        away, self.away = self.away, {}
        for each in away.values():
            self._create(each)

    # What follows

    def _settle(self) -> None:
        if self.runtime != UP:
            self._start_runtimes(self.document)
        if self.agent is None:
            self._start_kubelet()
        if self.agent is None or self.runtime != UP:
            return
        pods = [each.current for each in self.pods.values() if each.refused is None]
        try:
            waits = self.agent.settle(pods)
            self.waits = {(wait.uid, wait.name): wait.why for wait in waits if wait.until}
            self.says += (f"{self.agent.titled(wait)}: waiting: {wait.why}" for wait in waits)
            self.kubelet = UP
        except CrishimError as fault:
            self.kubelet = str(fault)
            self.says.append(f"the kubelet can do nothing: {fault}")

    def say(self, text: str) -> None:
        """Tell something of this step, once."""
        if text not in self.says:
            self.says.append(text)

    def _admin(self, method: str, **fields: object) -> Any:
        answer = self.connection.call("node", "", method, dict(fields))
        if isinstance(answer, Fault):
            raise BadInput(f"node {self.name}: {answer.message}")
        return answer


def _uid(key: str) -> str:
    """Make up the uid of a pod, in the form that the API server gives it."""
    digits = hashlib.sha256(key.encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"8{digits[17:20]}", digits[20:32]))
