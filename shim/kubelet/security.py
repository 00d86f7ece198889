"""The security contexts of a pod and its containers -> those of the CRI.

Source: pkg/kubelet/kuberuntime/security_context.go and kuberuntime_sandbox.go, pkg/securitycontext/util.go
(DetermineEffectiveSecurityContext), at v1.18.6 and v1.36.3; where these agree it is the same in between.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from runtimes.request import (
    CONTAINER,
    NODE,
    POD,
    Capability,
    Int64Value,
    LinuxContainerSecurityContext,
    LinuxSandboxSecurityContext,
    NamespaceOption,
    SELinuxOption,
    UserNamespace,
    WindowsContainerSecurityContext,
)
from shim.kubelet.pod import PodSecurityContext, SecurityContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.kubelet.pod import PodSpec, SELinuxOptions
    from shim.kubelet.profile import Asked

# What an image says about its user: its number, or its name where it has no number. Without one it is root.
User = tuple[int | None, str]
ROOT: User = (0, "")
_POLICIES = {"Merge": 0, "Strict": 1}
_NO_POD, _NO_CONTAINER = PodSecurityContext(), SecurityContext()


def namespaces(spec: PodSpec, *, user_namespaces: bool) -> NamespaceOption:
    """Return the namespaces of a pod. A user namespace of its own is left out: a node allots its ranges."""
    pid = NODE if spec.host_pid else POD if spec.share_process_namespace else CONTAINER
    return NamespaceOption(
        network=NODE if spec.host_network else POD,
        pid=pid,
        ipc=NODE if spec.host_ipc else POD,
        userns_options=UserNamespace(mode=NODE) if user_namespaces and spec.host_users is not False else None,
    )


def sandbox(
    context: PodSecurityContext | None, options: NamespaceOption, asked: Asked, *, privileged: bool, windows: bool
) -> LinuxSandboxSecurityContext:
    """Return the security context of a sandbox, which a kubelet sends on Windows as well."""
    pod = context or _NO_POD
    return LinuxSandboxSecurityContext(
        namespace_options=options,
        selinux_options=None if windows else _selinux(pod.se_linux_options),
        run_as_user=None if windows else _number(pod.run_as_user),
        run_as_group=None if windows else _number(pod.run_as_group),
        supplemental_groups=_groups(pod),
        supplemental_groups_policy=_POLICIES.get(pod.supplemental_groups_policy or "", 0),
        privileged=privileged,
        seccomp=asked.message,
        seccomp_profile_path=asked.path,
    )


@functools.lru_cache(maxsize=4096)
def container(
    own: SecurityContext | None,
    pod: PodSecurityContext | None,
    options: NamespaceOption,
    asked: Asked,
    paths: tuple[tuple[str, ...], tuple[str, ...]],
    user: User,
) -> LinuxContainerSecurityContext:
    """Return the security context of a container; `paths` are those to mask and to protect, `user` the image's."""
    own, pod = own or _NO_CONTAINER, pod or _NO_POD
    run_as_user = own.run_as_user if own.run_as_user is not None else pod.run_as_user
    run_as_group = own.run_as_group if own.run_as_group is not None else pod.run_as_group
    masked, readonly = paths
    return LinuxContainerSecurityContext(
        capabilities=_capabilities(own),
        privileged=bool(own.privileged),
        namespace_options=options,
        selinux_options=_selinux(own.se_linux_options or pod.se_linux_options),
        run_as_user=_number(run_as_user if run_as_user is not None else user[0]),
        run_as_group=_number(run_as_group),
        run_as_username=user[1] if run_as_user is None else "",
        readonly_rootfs=bool(own.read_only_root_filesystem),
        supplemental_groups=_groups(pod),
        supplemental_groups_policy=_POLICIES.get(pod.supplemental_groups_policy or "", 0),
        no_new_privs=own.allow_privilege_escalation is False,
        masked_paths=masked,
        readonly_paths=readonly,
        seccomp=asked.message,
        seccomp_profile_path=asked.path,
    )


def windows(own: SecurityContext | None, pod: PodSecurityContext | None) -> WindowsContainerSecurityContext:
    """Return the security context of a container on a Windows node."""
    mine = own.windows_options if own else None
    theirs = pod.windows_options if pod else None
    pick = [each for each in (mine, theirs) if each is not None]
    return WindowsContainerSecurityContext(
        run_as_username=next((each.run_as_user_name for each in pick if each.run_as_user_name is not None), ""),
        credential_spec=next((each.gmsa_credential_spec for each in pick if each.gmsa_credential_spec is not None), ""),
        host_process=next((each.host_process for each in pick if each.host_process is not None), False),
    )


def root_refused(
    own: SecurityContext | None, pod: PodSecurityContext | None, user: User, words: Mapping[str, str]
) -> str | None:
    """Return why a container must not run as who it would, None where it may.

    The text has places for the pod's and the container's name.

    Source: pkg/kubelet/kuberuntime/security_context_others.go (verifyRunAsNonRoot) at v1.18.6 and v1.36.3.
    """
    own, pod = own or _NO_CONTAINER, pod or _NO_POD
    must = own.run_as_non_root if own.run_as_non_root is not None else pod.run_as_non_root
    if not must:
        return None
    run_as_user = own.run_as_user if own.run_as_user is not None else pod.run_as_user
    if run_as_user is not None:
        return words["field"] if run_as_user == 0 else None
    number, name = user
    if number == 0:
        return words["image"]
    return words["name"] if number is None and name else None


def _capabilities(own: SecurityContext) -> Capability | None:
    """As the user spelled them and in their order: nothing is added."""
    given = own.capabilities
    return None if given is None else Capability(add_capabilities=given.add or (), drop_capabilities=given.drop or ())


def _groups(pod: PodSecurityContext) -> tuple[int, ...]:
    first = () if pod.fs_group is None else (pod.fs_group,)
    return first + (pod.supplemental_groups or ())


def _number(value: int | None) -> Int64Value | None:
    return None if value is None else Int64Value(value=value)


def _selinux(options: SELinuxOptions | None) -> SELinuxOption | None:
    if options is None:
        return None
    return SELinuxOption(
        user=options.user or "", role=options.role or "", type=options.type or "", level=options.level or ""
    )
