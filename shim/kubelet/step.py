"""The defaulting step for a request that is in the shape of the CRI already.

What the caller said is passed on as it came; what was left unset becomes what a kubelet of the release sends for a pod
that says nothing. So a request that went through a kubelet before comes out unchanged.

"Said" means that the message `seccomp` is there, even when it is empty (RuntimeDefault is enum number 0), or that the
string `seccomp_profile_path` is not empty. Either one is an answer: nothing is added beside it, because a runtime that
reads both would let what was added win. Mount masks, users and the like are left alone: on the wire an empty list of
masked paths is what a kubelet sends for `procMount: Unmasked`, and cannot be told from an unset one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from runtimes.errors import Refused
from runtimes.request import (
    ContainerRequest,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    SandboxRequest,
    container_security,
    sandbox_security,
)
from shim.kubelet.profile import NAMES

if TYPE_CHECKING:
    from runtimes.decision import Step
    from runtimes.request import SecurityProfile
    from shim.kubelet.profile import Rules


_EXPLICIT = "explicit-passed-on"


def container(
    rules: Rules, request: ContainerRequest, sandbox: SandboxRequest | None = None
) -> tuple[ContainerRequest, tuple[Step, ...]]:
    """Fill in a container's profile. Annotations count where the release reads them; they are the sandbox's."""
    if request.linux is None and request.windows is not None:
        return request, (rules.step(_EXPLICIT, "a Windows request has no seccomp profile"),)
    context = container_security(request) or LinuxContainerSecurityContext()
    said = _said(rules, context.seccomp, context.seccomp_profile_path)
    if said:
        return request, said
    asked = rules.container(
        annotations=sandbox.annotations if sandbox else None, name=request.metadata.name if request.metadata else ""
    )
    if asked.message is None and not asked.path:
        return request, asked.steps
    context = replace(context, seccomp=asked.message, seccomp_profile_path=asked.path)
    linux = replace(request.linux or LinuxContainerConfig(), security_context=context)
    return replace(request, linux=linux), asked.steps


def sandbox(rules: Rules, request: SandboxRequest) -> tuple[SandboxRequest, tuple[Step, ...]]:
    """Fill in a sandbox's profile."""
    if request.linux is None and request.windows is not None:
        return request, (rules.step(_EXPLICIT, "a Windows request has no seccomp profile"),)
    context = sandbox_security(request) or LinuxSandboxSecurityContext()
    said = _said(rules, context.seccomp, context.seccomp_profile_path)
    if said:
        return request, said
    asked = rules.sandbox(request.annotations)
    if asked.message is None and not asked.path:
        return request, asked.steps
    context = replace(context, seccomp=asked.message, seccomp_profile_path=asked.path)
    linux = replace(request.linux or LinuxPodSandboxConfig(), security_context=context)
    return replace(request, linux=linux), asked.steps


def _said(rules: Rules, message: SecurityProfile | None, path: str) -> tuple[Step, ...]:
    """Return the steps for a profile that the caller named, () where it named none. Raises `Refused`."""
    if message is not None and message.profile_type not in NAMES:
        known = ", ".join(f"{name} {number}" for number, name in sorted(NAMES.items()))
        text = f"unsupported seccomp profile_type {message.profile_type} (supported: {known})"
        step = rules.step(_EXPLICIT, "the request's profile_type is none that the CRI knows")
        raise Refused("INVALID_ARGUMENT", text, (step,), where="kubelet")
    if message is not None:
        name = NAMES[message.profile_type] + (f" {message.localhost_ref}" if message.localhost_ref else "")
        return (rules.step(_EXPLICIT, f"the request says {name}: passed on as it came"),)
    if path:
        because = f"the request says {path!r} in seccomp_profile_path: passed on as it came"
        return (rules.step(_EXPLICIT, because),)
    return ()
