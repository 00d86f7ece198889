"""A pod as it stands in a manifest: the part of the API types that a CRI request is made from.

Narrow on purpose: what is not named here is skipped while decoding, which is most of what a cluster's dump holds.
`null` is as good as absent, as it is for the API server. Everything that decides about a profile is frozen and
hashable, so that it can be decided once for all containers that agree in it.
Source: k8s.io/api/core/v1/types.go at v0.18.6 and v0.36.2.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shim.kubelet.profile import Field


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A piece of a manifest."""


class Capabilities(Part, frozen=True):
    """Capabilities to add and to drop, as the user spelled them."""

    add: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None


class SELinuxOptions(Part, frozen=True):
    """An SELinux label."""

    user: str | None = None
    role: str | None = None
    type: str | None = None
    level: str | None = None


class WindowsOptions(Part, frozen=True):
    """What only a Windows node looks at."""

    run_as_user_name: str | None = None
    gmsa_credential_spec: str | None = None
    host_process: bool | None = None


class SecurityContext(Part, frozen=True):
    """`securityContext` of a container."""

    seccomp_profile: Field | None = None
    capabilities: Capabilities | None = None
    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    proc_mount: str | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsOptions | None = None


class Sysctl(Part, frozen=True):
    """One kernel parameter of the pod."""

    name: str | None = None
    value: str | None = None


class PodSecurityContext(Part, frozen=True):
    """`securityContext` of a pod."""

    seccomp_profile: Field | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: tuple[int, ...] | None = None
    supplemental_groups_policy: str | None = None
    fs_group: int | None = None
    sysctls: tuple[Sysctl, ...] | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsOptions | None = None


class EnvVar(Part, frozen=True):
    """One environment variable; `value_from` needs a cluster or a node to be resolved."""

    name: str | None = None
    value: str | None = None
    value_from: dict[str, Any] | None = None


class Port(Part, frozen=True):
    """One port of a container."""

    name: str | None = None
    container_port: int | None = None
    host_port: int | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")
    protocol: str | None = None


class Resources(Part, frozen=True):
    """Requests and limits: a quantity by the name of its resource."""

    requests: dict[str, str | int | float] | None = None
    limits: dict[str, str | int | float] | None = None


class VolumeMount(Part, frozen=True):
    """One mount. It is only counted: what is mounted is known on a node."""

    name: str | None = None


class Container(Part, frozen=True):
    """A container of any kind: regular, init, sidecar (an init container that restarts always) or ephemeral."""

    name: str | None = None
    image: str | None = None
    image_pull_policy: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    working_dir: str | None = None
    env: tuple[EnvVar, ...] | None = None
    env_from: tuple[dict[str, Any], ...] | None = None
    ports: tuple[Port, ...] | None = None
    resources: Resources | None = None
    volume_mounts: tuple[VolumeMount, ...] | None = None
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None
    restart_policy: str | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    target_container_name: str | None = None

    @property
    def profile(self) -> Field | None:
        """Its own seccompProfile."""
        return self.security_context.seccomp_profile if self.security_context else None


class OS(Part, frozen=True):
    """The operating system that a pod says it is for."""

    name: str | None = None


class PodSpec(Part, frozen=True):
    """`spec` of a pod."""

    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    ephemeral_containers: tuple[Container, ...] | None = None
    security_context: PodSecurityContext | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    host_users: bool | None = None
    share_process_namespace: bool | None = None
    hostname: str | None = None
    os: OS | None = None
    restart_policy: str | None = None
    runtime_class_name: str | None = None
    termination_grace_period_seconds: int | None = None

    @property
    def profile(self) -> Field | None:
        """The pod's own seccompProfile."""
        return self.security_context.seccomp_profile if self.security_context else None


class Reference(Part, frozen=True):
    """One of the objects that a pod belongs to."""

    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    controller: bool | None = None


class Origin(msgspec.Struct, frozen=True):
    """Where a pod comes from: the object that holds it, and where that stands.

    `kind` and `group` are the object's ("Deployment", "apps"), `template` the path of the pod template inside it
    ("spec.template", "" for a Pod). `document` counts the documents of the file from 1, `path` leads to the object
    inside its document ("items[3]"), `line` is where it begins, None where that would have to be searched for.
    """

    where: str
    kind: str = "Pod"
    group: str = ""
    name: str = ""
    template: str = ""
    document: int = 1
    path: str = ""
    line: int | None = None


class Pod(msgspec.Struct, frozen=True):
    """One pod, with the names it goes by. `uid` is "" where the manifest has none, `node` where no node has it yet.

    `controller` is the object that made it, None for a pod of its own; `ended` says that it is over, and not run again.
    """

    name: str
    namespace: str
    uid: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: PodSpec
    origin: Origin
    node: str = ""
    controller: Reference | None = None
    ended: bool = False

    def __str__(self) -> str:
        """As people name it: namespace/name."""
        return f"{self.namespace}/{self.name}"
