"""The containers of a pod, of every kind, in the orders in which they are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from shim.kubelet import gates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtimes.release import Release
    from shim.kubelet.pod import Container, PodSpec

ContainerKind = Literal["init", "sidecar", "container", "ephemeral"]


class Member(msgspec.Struct, frozen=True):
    """One container, and the path at which it stands in its spec ("containers[0]")."""

    kind: ContainerKind
    container: Container
    path: str

    @property
    def name(self) -> str:
        """Its name, "" where it has none."""
        return self.container.name or ""


def members(spec: PodSpec, release: Release, gates_set: Mapping[str, bool]) -> tuple[Member, ...]:
    """Return the containers that a release knows, init containers first, as kubelets and the API server visit them."""
    sidecars = None
    found = []
    for index, container in enumerate(spec.init_containers or ()):
        kind: ContainerKind = "init"
        if container.restart_policy == "Always":
            if sidecars is None:
                sidecars = gates.on("SidecarContainers", release, gates_set)
            kind = "sidecar" if sidecars else "init"
        found.append(Member(kind, container, f"initContainers[{index}]"))
    found += [Member("container", each, f"containers[{index}]") for index, each in enumerate(spec.containers or ())]
    if spec.ephemeral_containers and gates.on("EphemeralContainers", release, gates_set):
        found += [
            Member("ephemeral", each, f"ephemeralContainers[{index}]")
            for index, each in enumerate(spec.ephemeral_containers)
        ]
    return tuple(found)
