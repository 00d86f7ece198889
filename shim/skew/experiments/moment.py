"""What is there on a node at one moment of an experiment."""

from __future__ import annotations

from typing import Literal

import msgspec

from shim.skew.posture import Posture

Kind = Literal["init", "sidecar", "container", "ephemeral"]

RUNNING, COMPLETED, ABSENT, WAITING = "Running", "Completed", "absent", "Waiting"
UP = "running"  # a component
COMPONENTS = ("kubelet", "runtime")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A container of a pod that was deployed.

    `state` is "Running", or what a person sees instead ("CreateContainerError"). `posture` is what it has, `next` what
    it would have after a restart. `id` tells one container from the next one of its name, "" where there is none.
    """

    node: str
    workload: str
    pod: str
    container: str
    kind: Kind
    id: str
    state: str
    posture: Posture
    next: Posture

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is called over the whole experiment."""
        return self.node, self.workload, self.pod, self.container

    @property
    def title(self) -> str:
        """As people name it: "shop/web", with its namespace where that is not the default one."""
        return f"{self.pod.removeprefix('default/')}/{self.container}"

    @property
    def pending(self) -> bool:
        """Whether a restart would change what it has."""
        return self.state == RUNNING and (self.next.kind == "refused" or self.next.digest != self.posture.digest)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A node after a step. `kubelet` and `runtime` are "running", or why they do not; `says` is what happened.

    `notes` are what its runtimes have to say about the step: what they removed, what a reload could not do.
    `setup` is the digest of what an operator sets up: what is written down and in force, who runs, and whether the node
    is cordoned.
    """

    node: str
    kubelet: str
    runtime: str
    builds: str
    says: tuple[str, ...]
    notes: tuple[str, ...] = ()
    seen: tuple[Seen, ...]
    setup: str = ""

    def component(self, name: str) -> str:
        """Return whether one of `COMPONENTS` runs, or why not."""
        return self.kubelet if name == "kubelet" else self.runtime

    def down(self, before: Moment | None) -> tuple[tuple[str, str], ...]:
        """Return the components that stopped since a moment, or do not run for another reason, and why."""
        return tuple(
            (name, there)
            for name in COMPONENTS
            if (there := self.component(name)) not in (UP, before.component(name) if before else UP)
        )

    def up(self, before: Moment | None) -> tuple[str, ...]:
        """Return the components that run again."""
        return tuple(
            name for name in COMPONENTS if self.component(name) == UP and before and before.component(name) != UP
        )

    def by_key(self) -> dict[tuple[str, str, str, str], Seen]:
        """Return the containers by what they are called."""
        return {each.key: each for each in self.seen}
