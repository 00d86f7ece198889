"""A kubelet that runs static pods against a socket: it carries out what `shim.kubelet.sync` decides.

The order of calls is a kubelet's own; what it sees it asks the runtime for each time, so a new agent on the same socket
goes on where the last one stopped and leaves alone what runs.
Source: pkg/kubelet/kuberuntime/kuberuntime_manager.go (SyncPod), kuberuntime_container.go (startContainer) and
pkg/kubelet/images/image_manager.go (EnsureImageExists) at v1.36.3.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from runtimes.errors import BadInput, CrishimError, Refused
from shim.cri.pb.runtime.v1 import api_pb2 as pb
from shim.cri.translate import writer
from shim.kubelet import sync
from shim.kubelet.backoff import BackOff
from shim.kubelet.handshake import Fault, handshake
from shim.kubelet.labels import CONTAINER_HASH, CONTAINER_NAME, POD_UID, RESTART_COUNT
from shim.kubelet.observed import Container, Sandbox, Seen, State, Wanted, wanted
from shim.kubelet.security import ROOT

if TYPE_CHECKING:
    from runtimes.request import ContainerRequest
    from shim.cri.client import Connection
    from shim.engine.clock import Clock
    from shim.kubelet.api import Source
    from shim.kubelet.handshake import Dialect
    from shim.kubelet.kubelet import Kubelet
    from shim.kubelet.plan import PodRequests
    from shim.kubelet.pod import Pod
    from shim.kubelet.security import User

_STATES: dict[int, State] = {0: "created", 1: "running", 2: "exited", 3: "unknown"}
_MOST_STEPS = 100  # of one `settle`; a node that needs more is going in circles

_write_sandbox = writer(pb.PodSandboxConfig)
_write_container = writer(pb.ContainerConfig)


class How(NamedTuple):
    """How a kubelet comes by a pod, and what of it is not in its manifest.

    `handler` is the RuntimeHandler that its RuntimeClass names, `user` whom those of its images run as that do not say
    it, None for root.
    """

    source: Source = "static"
    handler: str = ""
    user: User | None = None


class Failed(Exception):
    """Something that was tried and did not work, as a person sees it: a reason and a message."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message
        super().__init__(f"{reason}: {message}")


class Agent:
    """One run of a kubelet. `say` is told what happens, a sentence each.

    With `end_init` it ends every init container as soon as that has started, and counts it as done: under a runtime
    that runs no process nothing ends by itself. `how` says where it has a pod from, by default from a file of the node.
    """

    def __init__(
        self,
        kubelet: Kubelet,
        client: Connection,
        clock: Clock,
        say: Callable[[str], object],
        *,
        node: str = "",
        endpoint: str = "",
        end_init: bool = False,
        how: Callable[[Pod], How] | None = None,
    ) -> None:
        self.kubelet, self.client, self.clock, self.say, self.node = kubelet, client, clock, say, node
        self.backoff = BackOff.of(kubelet.release, kubelet.settings.gates)
        self.dialect = self._connect(endpoint)
        self.refused: dict[str, Refused] = {}  # pod -> why it does not run
        self.failed: dict[tuple[str, str], Failed] = {}  # pod and container ("" for its sandbox) -> the last attempt
        self._targets: dict[str, Wanted] = {}
        self.users: dict[str, User | None] = {}  # what each image says of its user
        self._end_init = end_init
        self.ended: set[str] = set()  # ids of init containers that count as done
        self.how = how or (lambda _pod: How())

    def _connect(self, endpoint: str) -> Dialect:
        """Start up. Raises `Refused` in the words of the release."""
        talk = handshake(self.kubelet.release, self.kubelet.settings.gates, endpoint)
        answer: Any = None
        while True:
            try:
                call = talk.send(answer)
            except StopIteration as end:
                dialect: Dialect = end.value
                for note in dialect.notes:
                    self.say(note)
                return dialect
            answer = self.client.call(call.service, call.api, call.method, call.fields)

    def copy(self, client: Connection, clock: Clock, say: Callable[[str], object], how: Callable[[Pod], How]) -> Agent:
        """Return the same run of a kubelet, as far as it has come, on a copy of its runtime."""
        other = copy.copy(self)
        other.client, other.clock, other.say, other.how = client, clock, say, how
        other.backoff, other.ended = self.backoff.copy(), set(self.ended)
        other.refused, other.failed = dict(self.refused), dict(self.failed)
        other.users = dict(self.users)
        return other

    def settle(self, pods: Sequence[Pod]) -> list[sync.Wait]:
        """Do what can be done now, until there is nothing more, and return what has to wait."""
        for _ in range(_MOST_STEPS):
            waits, busy = self.step(pods)
            if not busy:
                return waits
        raise CrishimError(f"the pods do not settle within {_MOST_STEPS} rounds")

    def step(self, pods: Sequence[Pod]) -> tuple[list[sync.Wait], bool]:
        """Look once, do what follows, and return what has to wait and whether anything was done."""
        targets = self._ready(self._wanted(pods))
        by_uid = self._targets = {each.uid: each for each in targets}
        actions = sync.next_actions(targets, self.observe(), self.backoff, self.clock.now_ns())
        waits = [each for each in actions if isinstance(each, sync.Wait)]
        failed: set[str] = set()
        made: dict[str, str] = {}
        for action in actions:
            if isinstance(action, sync.Wait) or (action.uid in failed and not _starts(action)):
                continue
            try:
                self._do(action, by_uid.get(action.uid), made)
                self.failed.pop((action.uid, getattr(action, "name", "")), None)
            except Failed as fault:
                failed.add(action.uid)
                self.failed[action.uid, getattr(action, "name", "")] = fault
                self.backoff.failed(action.uid, self.clock.now_ns())
                self.say(f"{self.titled(action)}: {fault}")
        for uid in by_uid.keys() - failed:
            if self.clock.now_ns() >= self.backoff.resumes(uid):
                self.backoff.synced(uid)
        return waits, len(waits) < len(actions)

    def _ready(self, targets: list[Wanted]) -> list[Wanted]:
        """Return the pods that may run: none while the runtime is not ready, those of the host without a network."""
        conditions = {each.type: each.status for each in self._ask("Status").status.conditions}
        if not conditions.get("RuntimeReady"):
            raise CrishimError("container runtime not ready: RuntimeReady is not true")
        if conditions.get("NetworkReady"):
            return targets
        return [each for each in targets if each.host_network]

    def titled(self, action: sync.Action) -> str:
        """Name what an action is about as a person would."""
        target, name = self._targets.get(action.uid), getattr(action, "name", "")
        pod = f"pod {target.pod}" if target else f"the pod with uid {action.uid}"
        return f"{pod}, container {name}" if name else pod

    def observe(self) -> Seen:
        """Ask the runtime for what there is. Raises `CrishimError` where it does not answer."""
        sandboxes = []
        for item in self._ask("ListPodSandbox").items:
            if POD_UID not in item.labels:
                continue  # somebody else's
            status = self._ask("PodSandboxStatus", pod_sandbox_id=item.id).status
            sandboxes.append(
                Sandbox(
                    id=item.id,
                    pod_uid=item.labels[POD_UID],
                    created_at=item.created_at,
                    attempt=item.metadata.attempt,
                    ready=item.state == pb.SANDBOX_READY,
                    host_network=status.linux.namespaces.options.network == pb.NODE,
                    has_ip=bool(status.network.ip),
                )
            )
        containers = []
        for item in self._ask("ListContainers").containers:
            if POD_UID not in item.labels:
                continue
            status = self._ask("ContainerStatus", container_id=item.id).status
            containers.append(
                Container(
                    id=item.id,
                    sandbox_id=item.pod_sandbox_id,
                    pod_uid=item.labels[POD_UID],
                    name=item.labels[CONTAINER_NAME],
                    state=_STATES[item.state],
                    created_at=item.created_at,
                    finished_at=status.finished_at,
                    exit_code=0 if item.id in self.ended else status.exit_code,
                    hash=item.annotations[CONTAINER_HASH],
                    restarts=int(item.annotations[RESTART_COUNT] or 0),
                )
            )
        return Seen(tuple(sandboxes), tuple(containers))

    def _wanted(self, pods: Sequence[Pod]) -> list[Wanted]:
        """Return the pods that this kubelet takes; of those that it does not, say so once."""
        found = []
        for pod in pods:
            target = wanted(self.kubelet, pod)
            planned = self._planned(target)
            if planned.refused is None:
                found.append(target)
                self.refused.pop(str(pod), None)
            elif str(self.refused.get(str(pod), "")) != str(planned.refused):
                self.refused[str(pod)] = planned.refused
                self.say(f"pod {pod}: {planned.refused.reason}: {planned.refused}")
        return found

    def _planned(self, target: Wanted, *, known: bool = False) -> PodRequests:
        """Return the requests for a pod; for its containers what its images say of their users has to be `known`."""
        source, _, assumed = self.how(target.pod)
        users = self.users if known else {}

        def user_of(image: str) -> User:
            return users.get(image) or assumed or ROOT

        asks = known or assumed is not None
        return self.kubelet.requests(target.pod, source=source, node=self.node, user_of=user_of if asks else None)

    def _do(self, action: sync.Action, target: Wanted | None, made: dict[str, str]) -> None:
        title = self.titled(action)
        match action:
            case sync.StopContainer():
                self._try("Killing", "StopContainer", container_id=action.id, timeout=action.grace)
                self.say(f"{title}: stopped: {action.why}")
            case sync.StopSandbox():
                self._try("KillPodSandbox", "StopPodSandbox", pod_sandbox_id=action.id)
                self.say(f"{title}: sandbox {action.id[:13]} stopped: {action.why}")
            case sync.RemoveContainer():
                self._try("Removing", "RemoveContainer", container_id=action.id)
            case sync.RemoveSandbox():
                self._try("Removing", "RemovePodSandbox", pod_sandbox_id=action.id)
            case sync.RunSandbox() if target is not None:
                made[action.uid] = self._run_sandbox(action, target)
                self.say(f"{title}: sandbox {made[action.uid][:13]} made: {action.why}")
            case sync.StartContainer() if target is not None:
                sandbox = action.sandbox_id or made.get(action.uid, "")
                if sandbox:
                    self._start_container(action, target, sandbox)
                    self.say(f"{title}: started: {action.why}")

    def _run_sandbox(self, action: sync.RunSandbox, target: Wanted) -> str:
        request = self._planned(target).sandbox
        if request is None or request.metadata is None:
            raise Failed("FailedCreatePodSandBox", "the pod has no sandbox")
        request = replace(request, metadata=replace(request.metadata, attempt=action.attempt))
        config, handler = _write_sandbox(request), self.how(target.pod).handler
        answer = self._try("FailedCreatePodSandBox", "RunPodSandbox", config=config, runtime_handler=handler)
        made: str = answer.pod_sandbox_id
        self._try("FailedPodSandBoxStatus", "PodSandboxStatus", pod_sandbox_id=made)
        return made

    def _start_container(self, action: sync.StartContainer, target: Wanted, sandbox: str) -> None:
        if action.finished_at:
            key = sync.key(action.uid, action.name, action.hash)
            self.backoff.restarted(key, action.finished_at, self.clock.now_ns())
        image, policy = self._image(target, action.name)
        reference = self._ensure(image, policy, self._planned(target).sandbox)
        self.users[image] = self._ask_user(reference or image)
        planned = self._planned(target, known=True)
        plan = next(each for each in planned.containers if each.name == action.name)
        if isinstance(plan.request, Refused):
            raise Failed(plan.request.reason or "CreateContainerConfigError", str(plan.request))
        request = _numbered(plan.request, action, reference)
        config = _write_sandbox(planned.sandbox) if planned.sandbox else None
        answer = self._try(
            "CreateContainerError",
            "CreateContainer",
            pod_sandbox_id=sandbox,
            config=_write_container(request),
            sandbox_config=config,
        )
        self._try("RunContainerError", "StartContainer", container_id=answer.container_id)
        if plan.kind == "init" and self._end_init:
            self._try("Killing", "StopContainer", container_id=answer.container_id, timeout=0)
            self.ended.add(answer.container_id)

    def _image(self, target: Wanted, name: str) -> tuple[str, str]:
        """Return a container's image and when it is pulled: latest always, others once, unless the pod says so."""
        spec = target.pod.spec
        everyone = (*(spec.init_containers or ()), *(spec.containers or ()))
        found = next(each for each in everyone if each.name == name)
        image = found.image or ""
        last = image.rpartition("/")[2]
        tagged = "@" in image or (":" in last and not last.endswith(":latest"))
        return image, found.image_pull_policy or ("IfNotPresent" if tagged else "Always")

    def _ensure(self, image: str, policy: str, sandbox: Any) -> str:
        """Have an image there and return its reference."""
        spec = {"image": image}
        there = None
        if policy != "Always":
            there = self._try_image("ImageInspectError", "ImageStatus", image=spec).image
        if there is not None and there.id:
            return str(there.id)
        if policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            raise Failed("ErrImageNeverPull", message)
        config = _write_sandbox(sandbox)
        reference: str = self._try_image("ErrImagePull", "PullImage", image=spec, sandbox_config=config).image_ref
        self._try_image("ImageInspectError", "ImageStatus", image={"image": reference})
        return reference

    def _ask_user(self, reference: str) -> User | None:
        """Return whom an image runs as, None where it does not say."""
        status = self._try_image("ImageInspectError", "ImageStatus", image={"image": reference}).image
        if status.HasField("uid"):
            return status.uid.value, ""
        return (None, status.username) if status.username else None

    def _ask(self, method: str, **fields: Any) -> Any:
        """Call what has to work."""
        answer = self.client.call("runtime", self.dialect.runtime, method, fields)
        if isinstance(answer, Fault):
            raise CrishimError(f"{method}: {answer}")
        return answer

    def _try(self, reason: str, method: str, **fields: Any) -> Any:
        answer = self.client.call("runtime", self.dialect.runtime, method, fields)
        if isinstance(answer, Fault):
            raise Failed(reason, str(answer))
        return answer

    def _try_image(self, reason: str, method: str, **fields: Any) -> Any:
        answer = self.client.call("image", self.dialect.image, method, fields)
        if isinstance(answer, Fault):
            raise Failed(reason, str(answer))
        return answer


def _starts(action: sync.Action) -> bool:
    """One container that does not start keeps the others of its pod from nothing."""
    return isinstance(action, sync.StartContainer)


def _numbered(request: ContainerRequest, action: sync.StartContainer, reference: str) -> ContainerRequest:
    """Put in what only a kubelet that runs can know: the count of restarts, the hash, the image's reference."""
    if request.metadata is None or request.image is None:
        raise BadInput("a container without a name", right="a name")
    return replace(
        request,
        metadata=replace(request.metadata, attempt=action.restarts),
        annotations={**request.annotations, CONTAINER_HASH: action.hash, RESTART_COUNT: str(action.restarts)},
        log_path=f"{request.metadata.name}/{action.restarts}.log",
        image=replace(request.image, image=reference or request.image.image),
    )
