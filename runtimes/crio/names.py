"""The names under which CRI-O reserves pods and containers.

Source: internal/factory/container/container.go SetNameAndID, internal/lib/sandbox/builder.go GenerateNameAndID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.request import ContainerMetadata, PodSandboxMetadata

if TYPE_CHECKING:
    from runtimes.request import ContainerRequest, SandboxRequest


def sandbox(request: SandboxRequest) -> str:
    """Return the name of a sandbox."""
    pod = request.metadata or PodSandboxMetadata()
    return f"k8s_{pod.name}_{pod.namespace}_{pod.uid}_{pod.attempt}"


def infra(request: SandboxRequest) -> str:
    """Return the name of a sandbox's infra container."""
    pod = request.metadata or PodSandboxMetadata()
    return f"k8s_POD_{pod.name}_{pod.namespace}_{pod.uid}_{pod.attempt}"


def container(request: ContainerRequest, sandbox: SandboxRequest) -> str:
    """Return the name of a container in its sandbox."""
    pod, own = sandbox.metadata or PodSandboxMetadata(), request.metadata or ContainerMetadata()
    return f"k8s_{own.name}_{pod.name}_{pod.namespace}_{pod.uid}_{own.attempt}"
