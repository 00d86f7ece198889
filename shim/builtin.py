"""A runtime's built-in profile: what RuntimeDefault gives a container, with nothing but a host around it.

It is not composed here: a container that asks for RuntimeDefault is rehearsed on a daemon without a configuration file,
so whatever a family's releases make of capabilities, architecture and kernel is in it, and so are the reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.errors import BadInput
from runtimes.files import MemoryFiles
from runtimes.model import Setup
from runtimes.request import (
    RUNTIME_DEFAULT,
    Capability,
    ContainerMetadata,
    ContainerRequest,
    ImageSpec,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    PodSandboxMetadata,
    SandboxRequest,
    SecurityProfile,
)
from shim.node import Entry, rehearsed_container, rehearsed_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtimes.decision import Decision
    from runtimes.host import Host
    from runtimes.model import RuntimeModel
    from runtimes.release import Release

_SANDBOX = SandboxRequest(
    metadata=PodSandboxMetadata(name="profile", uid="profile", namespace="default"), linux=LinuxPodSandboxConfig()
)
# The message, and where a release does not know it yet, the string that came before it.
_SPELLINGS = (
    {"seccomp": SecurityProfile(profile_type=RUNTIME_DEFAULT)},
    {"seccomp_profile_path": "runtime/default"},
)


def builtin_profile(
    model: RuntimeModel, release: Release, host: Host, *, add: Iterable[str] = (), drop: Iterable[str] = ()
) -> Decision:
    """Return the decision about a container that asks for RuntimeDefault and for these changes of its capabilities.

    Capabilities may be written with CAP_ or without, in any case. The host is taken to have seccomp. Raises `BadInput`
    for a capability that no kernel knows, and where RuntimeDefault means no filter in that release.
    """
    host = msgspec.structs.replace(host, seccomp=True)
    asked = Capability(add_capabilities=capabilities(add), drop_capabilities=capabilities(drop))
    entry = Entry("", model.runtime(release, host, Setup(), MemoryFiles()))
    place = rehearsed_sandbox(entry, _SANDBOX)
    for spelling in _SPELLINGS:
        context = LinuxContainerSecurityContext(capabilities=asked, **spelling)
        request = ContainerRequest(
            metadata=ContainerMetadata(name="profile"),
            image=ImageSpec(image="profile"),
            linux=LinuxContainerConfig(security_context=context),
        )
        decision = entry.runtime.container(request, rehearsed_container(request, place), _SANDBOX, place)
        if decision.section:
            return decision
    raise BadInput(f"{model.name} {release} has no filter for RuntimeDefault")


def capabilities(names: Iterable[str]) -> tuple[str, ...]:
    """Return capabilities as a request spells them: SYS_ADMIN, or ALL. Raises `BadInput` for one that is none."""
    short = tuple(name.upper().removeprefix("CAP_") for name in names)
    known = {"ALL", *(name.removeprefix("CAP_") for name in KERNEL_CAPABILITIES)}
    for name in short:
        if name not in known:
            raise BadInput(f"no kernel knows a capability {name!r}", right="such as SYS_ADMIN, or ALL")
    return short
