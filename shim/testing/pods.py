"""Handles: a pod on a node, its sandbox, and a container that was made once.

What a container got was settled when it was created, and so its handle says the same whatever becomes of the node.
`restart` gives the handle of the container after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from runtimes.errors import BadInput
from shim.skew.inspected import Inspected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.decision import Step
    from shim.answer import Error
    from shim.skew.experiments.moment import Seen
    from shim.skew.posture import Posture
    from shim.testing.behind import Behind

Config: TypeAlias = dict[str, Any]
_STATES = ("created", "running", "exited", "unknown")
_IMAGE = "registry.k8s.io/pause:3.10"


class Confined:
    """Something that has a section or was refused one; `posture` says which, `title` is its name in a sentence.

    `inspected` is what the runtime said of it, `inspected.spec` the whole OCI runtime spec; empty where it was refused.
    """

    def __init__(self, behind: Behind, id: str, title: str, posture: Posture, said: Inspected | None) -> None:
        self.id, self.title, self.posture = id, title, posture
        self.inspected = said or Inspected()
        self.behind = behind

    def __repr__(self) -> str:
        return f"<{self.title}: {self.posture.title}>"

    @property
    def section(self) -> dict[str, Any] | None:
        """`linux.seccomp` of its OCI runtime spec, None where there is no filter."""
        return self.posture.section

    @property
    def digest(self) -> str:
        """The sha256 of the section as canonical JSON, "" where there is no filter."""
        return self.posture.digest

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The bounding set."""
        return self.posture.capabilities

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rule that had a say, in their order; of what was refused as far as it got."""
        return self.posture.steps

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the author of a file or request meant and silently lost."""
        return tuple(step.because for step in self.steps if step.warns)

    @property
    def error(self) -> Error | None:
        """Why it was refused: `where`, `reason` and `message`."""
        return self.posture.error


class CriContainer(Confined):
    """One container. `kind` is "init", "sidecar" or "container"; `id` is "" where it was never made."""

    def __init__(self, behind: Behind, seen: Seen) -> None:
        title = f"container {seen.container} of pod {seen.pod}"
        said = behind.inspect("ContainerStatus", container_id=seen.id) if seen.posture.exists else None
        super().__init__(behind, seen.id, title, seen.posture, said)
        self.name, self.kind, self.pod = seen.container, seen.kind, seen.pod
        self._seen = seen

    @property
    def state(self) -> str:
        """What it is now: "created", "running", "exited", "removed"; if it was refused, why, in a kubelet's word."""
        if not self._seen.posture.exists:
            return self._seen.state
        found = self.behind.ask("ListContainers", filter={"id": self.id}).containers
        return _STATES[found[0].state] if found else "removed"

    @property
    def after_restart(self) -> Posture:
        """What the container of this name would have if its pod were made on the node as it is now."""
        return self.behind.now(self._seen).next

    def stop(self) -> None:
        """Stop it behind the kubelet's back, which starts the next one when it looks again."""
        self.behind.ask("StopContainer", container_id=self.id, timeout=0)

    def restart(self) -> CriContainer:
        """Have it end and return the one that takes its place: in the same sandbox, on the node as it is now.

        Raises `BadInput` where the pod's kubelet does not start it again.
        """
        return CriContainer(self.behind, self.behind.restart(self._seen))


class HandmadeContainer(CriContainer):
    """A container that was made from a CRI request, or by somebody else: no kubelet looks after it."""

    def __init__(
        self, behind: Behind, seen: Seen, sandbox: CriSandbox | None = None, config: Config | None = None
    ) -> None:
        super().__init__(behind, seen)
        self._sandbox, self._config = sandbox, config

    @property
    def after_restart(self) -> Posture:
        """What a restart would give is not known before it was tried."""
        raise BadInput(f"{self.title} was made by hand, and no kubelet restarts it", right="restart it and look")

    def restart(self) -> CriContainer:
        """Stop it, and make another one from the same request, on the node as it is now."""
        if self._sandbox is None or self._config is None:
            raise BadInput(f"{self.title} was made by somebody else", right="have them restart it")
        self.stop()
        metadata = self._config["metadata"]
        again = {**metadata, "attempt": metadata.get("attempt", 0) + 1}
        return self._sandbox.create({**self._config, "metadata": again})


class CriSandbox(Confined):
    """A sandbox; what it has is what its own container has."""

    def __init__(self, behind: Behind, id: str, pod: str, posture: Posture | None = None) -> None:
        said = behind.inspect("PodSandboxStatus", pod_sandbox_id=id) if id else Inspected()
        super().__init__(behind, id, f"the sandbox of pod {pod}", posture or said.posture(), said)
        self.pod = pod

    def create(self, config: Config | None = None) -> CriContainer:
        """Create and start a container from a CRI request, a ContainerConfig as crictl takes it.

        Its name and image are made up where they are left out. Raises `Refused` as the runtime does.
        """
        given = {"metadata": {"name": "main"}, "image": {"image": _IMAGE}, **(config or {})}
        self.behind.call("PullImage", image=given["image"])
        made = self.behind.call("CreateContainer", pod_sandbox_id=self.id, config=given).container_id
        self.behind.call("StartContainer", container_id=made)
        return HandmadeContainer(self.behind, self.behind.foreign(made, self.pod), self, given)


class CriPod:
    """A pod that a kubelet runs. `pod["web"]` is the container that goes by that name now, or the refusal of it."""

    def __init__(self, behind: Behind, workload: str, name: str) -> None:
        self.name = name
        self._behind, self._workload = behind, workload

    def __repr__(self) -> str:
        return f"<pod {self.name}>"

    @property
    def containers(self) -> tuple[CriContainer, ...]:
        """Its containers, in the order of the manifest."""
        return tuple(CriContainer(self._behind, seen) for seen in self._behind.look(self._workload))

    def __iter__(self) -> Iterator[CriContainer]:
        return iter(self.containers)

    def __getitem__(self, name: str) -> CriContainer:
        everyone = self.containers
        for each in everyone:
            if each.name == name:
                return each
        there = ", ".join(each.name for each in everyone) or "none"
        raise BadInput(f"pod {self.name} has no container {name!r}", right=f"there is {there}")

    @property
    def sandbox(self) -> CriSandbox:
        """Its sandbox as it is now, or the refusal of it."""
        found, posture = self._behind.sandbox(self._workload)
        return CriSandbox(self._behind, found, self.name, posture)

    def restart(self) -> CriPod:
        """Have another pod take its place, with a sandbox of its own, on the node as it is now."""
        self._behind.replace(self._workload)
        return self

    def delete(self) -> None:
        """Take it off the node."""
        self._behind.delete(self._workload)
