"""Made-up sandboxes and containers for the tests: asks a release, and checks every spec against the schema."""

from __future__ import annotations

from typing import Any

from runtimes.containerd import model
from runtimes.decision import Decision
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace, Setup
from runtimes.release import parse
from runtimes.request import (
    ContainerMetadata,
    ContainerRequest,
    LinuxContainerConfig,
    LinuxContainerResources,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    PodSandboxMetadata,
    SandboxRequest,
)
from tests.oci_schema import check

IMAGE = ImageFacts(id="sha256:" + "0" * 64, repo_tags=("busybox:1",), cmd=("sh",), env=("PATH=/bin", "A=1"))
PLACE = ContainerPlace(id="c" * 64, created_at=1, pid=2, storage="d" * 64, image=IMAGE)
PAUSE = ImageFacts(id="sha256:" + "1" * 64, repo_tags=("pause:3",), entrypoint=("/pause",), user="65535:65535")
SANDBOX_PLACE = SandboxPlace(id="a" * 64, created_at=1, pid=77, network="x", ip="10.0.0.2", image=PAUSE)
CONFIG = "/etc/containerd/config.toml"


def runtime(release: str, config: str = "", files: dict[str, str] | None = None, host: Host | None = None) -> Any:
    held = MemoryFiles({path: text.encode() for path, text in (files or {}).items()})
    held[CONFIG] = config.encode()
    return model.runtime(parse(release), host or Host(), Setup(config=CONFIG if config else ""), held)


def sandbox(linux: LinuxPodSandboxConfig | None = None, **fields: Any) -> SandboxRequest:
    return SandboxRequest(metadata=PodSandboxMetadata(name="p", uid="u", namespace="n"), linux=linux, **fields)


def container(
    release: str,
    security: LinuxContainerSecurityContext | None = None,
    *,
    on: Any = None,
    pod: SandboxRequest | None = None,
    place: ContainerPlace = PLACE,
    resources: LinuxContainerResources | None = None,
    **fields: Any,
) -> Decision:
    request = ContainerRequest(
        metadata=ContainerMetadata(name="c"),
        linux=LinuxContainerConfig(security_context=security, resources=resources),
        **fields,
    )
    found = (on or runtime(release)).container(request, place, pod or sandbox(), SANDBOX_PLACE)
    assert isinstance(found, Decision)
    check(found.spec)
    return found
