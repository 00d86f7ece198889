"""Planning a pod that a test writes down as its spec."""

from __future__ import annotations

from typing import Any

import msgspec

from runtimes.errors import Refused
from runtimes.request import (
    ContainerRequest,
    LinuxContainerSecurityContext,
    LinuxSandboxSecurityContext,
    container_security,
    sandbox_security,
)
from shim.kubelet import manifest
from shim.kubelet.kubelet import Kubelet
from shim.kubelet.plan import PodRequests

UID = "0e2ad6c6-9d0e-4b43-8ec4-0d1f2a5f3a11"
C = {"name": "c", "image": "busybox"}


def plan(
    version: str, spec: dict[str, Any], metadata: dict[str, Any] | None = None, *, on: bool = False, **how: Any
) -> PodRequests:
    thing = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "uid": UID, **(metadata or {})},
        "spec": {"containers": [C], **spec},
    }
    (pod,) = manifest.pods(msgspec.json.encode(thing), "p.json")
    return Kubelet.start(version, seccomp_default=on).requests(pod, **how)


def request(planned: PodRequests, number: int = 0) -> ContainerRequest:
    found = planned.containers[number].request
    assert not isinstance(found, Refused), found
    return found


def context(planned: PodRequests, number: int = 0) -> LinuxContainerSecurityContext:
    found = container_security(request(planned, number))
    assert found is not None
    return found


def sandbox_context(planned: PodRequests) -> LinuxSandboxSecurityContext:
    assert planned.sandbox is not None
    found = sandbox_security(planned.sandbox)
    assert found is not None
    return found
