"""The OCI runtime spec of a container and of a sandbox's infra container, besides seccomp and capabilities.

Keys stand in the order of the runtime spec's Go structs, and what Go leaves out when empty is left out. What depends on
the node's devices, its image file systems and its network plugins is not modelled: no device nodes, no /etc/passwd of
an image, a CNI result that names the pod's address only.
Source: server/container_create*.go, server/sandbox_run_linux.go, internal/factory/container at each tag.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.crio import mounts, notes, process, resources
from runtimes.crio.layout import NAMESPACE_DIRECTORIES, SHM, storage
from runtimes.crio.resources import without_empty
from runtimes.errors import Refused
from runtimes.request import NODE, POD, TARGET, NamespaceOption, container_security, sandbox_security

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtimes.crio.capabilities import Capabilities
    from runtimes.crio.layout import Layout
    from runtimes.crio.seccomp import Answer
    from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace
    from runtimes.request import (
        ContainerRequest,
        LinuxContainerSecurityContext,
        LinuxSandboxSecurityContext,
        SandboxRequest,
    )

Json = dict[str, Any]

_INFRA_OOM_SCORE, _INFRA_SHARES = -998, 2
_BIND_READ_ONLY = ("ro", "bind", "nodev", "nosuid", "noexec")
_UNIFIED = 2  # the hierarchy's own name
_SYSCTLS = {  # prefix -> the namespace that a sandbox must have of its own
    "kernel.shm": "ipc",
    "kernel.msg": "ipc",
    "kernel.sem": "ipc",
    "fs.mqueue.": "ipc",
    "net.": "network",
}


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided before the spec of a sandbox is put together.

    `annotations` are those that the handler lets through.
    """

    privileged: bool
    capabilities: Capabilities
    answer: Answer
    annotations: dict[str, str]


class Deciding(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided while the spec of a container is put together, each at its turn: the first that fails refuses.

    `annotations` are those of the sandbox that the handler lets through.
    """

    privileged: bool
    capabilities: Callable[[], Capabilities]
    answer: Callable[[Capabilities], Answer]
    annotations: dict[str, str]


def container(
    layout: Layout,
    request: ContainerRequest,
    place: ContainerPlace,
    sandbox: SandboxRequest,
    sandbox_place: SandboxPlace,
    deciding: Deciding,
) -> Json:
    """Return the spec of a container. Raises `Refused`."""
    security, privileged = container_security(request), deciding.privileged
    asked, propagation = mounts.requested(request, _rules(layout))
    limits = resources.resources(
        layout, request, identifier=place.id, privileged=privileged, handler=sandbox_place.handler
    )
    held = deciding.capabilities()
    namespaces = _container_namespaces(layout, security, sandbox, sandbox_place, privileged=privileged)
    arguments = process.arguments(request, place.image)
    answer = deciding.answer(held)
    hostname = layout.hostname(sandbox, sandbox_place)
    made = _process(layout, request, place, hostname, arguments, held)
    is_systemd = "/sbin/init" in arguments[0] or posixpath.basename(arguments[0]) == "systemd"
    read_only = bool(layout.config.runtime["read_only"]) or bool(security and security.readonly_rootfs)
    found = _Mounts(layout, request, sandbox, sandbox_place, privileged, read_only, is_systemd)
    merged = layout.mounted(place.storage)
    if is_systemd:
        made["env"].append("container=crio")
    linux = {
        "resources": limits,
        "cgroupsPath": layout.cgroup_path(sandbox, place.id),
        "namespaces": namespaces,
        "seccomp": answer.section,
        "rootfsPropagation": propagation,
        **resources.hidden_paths(layout, security, privileged=privileged, is_systemd=is_systemd),
    }
    return without_empty(
        {
            "ociVersion": layout.value("oci-version"),
            "process": made,
            "root": _root(merged, read_only=read_only),
            "hostname": hostname,
            "mounts": found.all(asked),
            "annotations": notes.of_container(
                layout,
                request,
                place,
                sandbox,
                sandbox_place,
                reference=answer.reference,
                merged=merged,
                inherited=deciding.annotations,
            ),
            "linux": {**layout.user_namespace(sandbox), **without_empty(linux)},
        }
    )


def sandbox(layout: Layout, request: SandboxRequest, place: SandboxPlace, decided: Decided) -> Json:
    """Return the spec of a sandbox's infra container. Raises `Refused`."""
    security = sandbox_security(request)
    merged = layout.mounted(storage(place.id))
    made = {
        "user": {"uid": 0, "gid": 0},
        "args": _pause_command(layout, place.image),
        "env": list(process.BASE_ENVIRONMENT),
        "cwd": "/",
        "capabilities": decided.capabilities.to_json(),
        "rlimits": layout.limits(),
        "oomScoreAdj": _INFRA_OOM_SCORE,
    }
    cpu = {"shares": _INFRA_SHARES} | without_empty({"cpus": layout.config.runtime["infra_ctr_cpuset"]})
    linux = {
        "sysctl": _sysctls(layout, request, security),
        "resources": {"devices": [{"allow": False, "access": "rwm"}], "cpu": cpu},
        "cgroupsPath": _sandbox_cgroup_path(layout, request, place.id),
        "namespaces": _sandbox_namespaces(layout, security, request, place),
        "seccomp": decided.answer.section,
    }
    return without_empty(
        {
            "ociVersion": layout.value("oci-version"),
            "process": without_empty(made, keep=("capabilities",)),
            "root": _root(merged, read_only=True),
            "hostname": layout.hostname(request, place),
            "mounts": _sandbox_mounts(layout, request, place),
            "annotations": notes.of_sandbox(
                layout,
                request,
                place,
                reference=decided.answer.reference,
                merged=merged,
                privileged=decided.privileged,
                own=decided.annotations,
            ),
            "linux": {**layout.user_namespace(request), **without_empty(linux)},
        }
    )


# --- a container's


def _process(
    layout: Layout,
    request: ContainerRequest,
    place: ContainerPlace,
    hostname: str,
    arguments: list[str],
    held: Capabilities,
) -> Json:
    security = container_security(request)
    limits = request.linux.resources if request.linux else None
    return without_empty(
        {
            "terminal": request.tty,
            "user": process.user(layout, security, place.image),
            "args": arguments,
            "env": process.environment(layout, request, place.image, hostname),
            "cwd": request.working_dir or place.image.working_dir or "/",
            "capabilities": held.to_json(),
            "rlimits": layout.limits(),
            "noNewPrivileges": bool(security and security.no_new_privs),
            "oomScoreAdj": limits.oom_score_adj if limits else None,
        },
        keep=("capabilities",),
    )


def _rules(layout: Layout) -> mounts.Rules:
    facts = layout.facts
    return mounts.Rules(
        access_first=layout.value("mount-options-order") == "access-first",
        recursive=facts.has("recursive-read-only-mounts"),
        images=facts.has("image-volumes"),
        maps_users=facts.has("idmap-mounts"),
        mounted=layout.mounted,
        image_volumes=posixpath.join(posixpath.dirname(layout.config.runtime["container_exits_dir"]), "image-volumes"),
    )


class _Mounts(msgspec.Struct, frozen=True):
    """The mounts of a container and what decides about them."""

    layout: Layout
    request: ContainerRequest
    sandbox: SandboxRequest
    sandbox_place: SandboxPlace
    privileged: bool
    read_only: bool
    is_systemd: bool

    def all(self, asked: list[Json]) -> list[Json]:
        """Return them in order, those that the request asks for among them."""
        found = self._base()
        early = self.layout.facts.has("systemd-mounts-before-requested")
        unified = self.layout.host.cgroup == _UNIFIED
        if self.is_systemd and early:
            mounts.systemd(found, unified=unified)
        for each in asked:
            mounts.put(found, each)
        if self.is_systemd and not early:
            mounts.systemd(found, unified=unified)
        return found

    def _base(self) -> list[Json]:
        layout, request, place = self.layout, self.request, self.sandbox_place
        security = container_security(request)
        host_network = bool(security and security.namespace_options and security.namespace_options.network == NODE)
        access = "ro" if self.read_only else "rw"
        found = mounts.without_overridden(request, read_only=bool(layout.config.runtime["read_only"]))
        mounts.sysfs(found, request, host_network=host_network, is_privileged=self.privileged)
        mounts.put(found, mounts.bind(SHM, layout.shm(self.sandbox, place), "rw", "bind"))
        resolv_conf = layout.resolv_conf(self.sandbox, place)
        if resolv_conf:
            mounts.put(found, mounts.bind("/etc/resolv.conf", resolv_conf, access, "bind", "nodev", "nosuid", "noexec"))
        mounts.put(found, mounts.bind("/etc/hostname", layout.run_directory(place.id, "hostname"), access, "bind"))
        if layout.facts.has("container-env-file"):
            path = layout.infra_file(self.sandbox, place.id, ".containerenv")
            mounts.put(found, mounts.bind("/run/.containerenv", path, access, "bind"))
        if host_network and "/etc/hosts" not in {each.container_path for each in request.mounts}:
            mounts.put(found, mounts.bind("/etc/hosts", "/etc/hosts", access, "bind"))
        if self.privileged:
            mounts.privileged(found)
        return found


def _container_namespaces(
    layout: Layout,
    security: LinuxContainerSecurityContext | None,
    sandbox: SandboxRequest,
    place: SandboxPlace,
    *,
    privileged: bool,
) -> list[Json]:
    options = (security.namespace_options if security else None) or NamespaceOption()
    shared = layout.shared_namespaces(sandbox, place)
    pid = {"type": "pid"}
    if options.pid == POD:
        pid["path"] = _pod_pid_namespace(layout, sandbox, place)
    elif options.pid == TARGET:
        pid["path"] = posixpath.join(layout.config.runtime["namespaces_dir"], "pidns", options.target_id)
    found = [] if options.pid == NODE else [pid]
    hidden = {"network"} if options.network == NODE else set()
    found += [{"type": kind, "path": shared[kind]} for kind in NAMESPACE_DIRECTORIES if kind in shared.keys() - hidden]
    found.append({"type": "mount"})
    if "user" in shared:
        found.append({"type": "user", "path": shared["user"]})
    if layout.host.cgroup == _UNIFIED and not privileged:
        found.append({"type": "cgroup"})
    return found


def _pod_pid_namespace(layout: Layout, sandbox: SandboxRequest, place: SandboxPlace) -> str:
    security = sandbox_security(sandbox)
    options = (security.namespace_options if security else None) or NamespaceOption()
    if options.pid != POD and layout.config.runtime["drop_infra_ctr"]:
        message = (
            "pod level PID namespace requested for the container, but pod sandbox was not similarly configured, "
            "and does not have an infra container"
        )
        raise Refused("UNKNOWN", message)
    return f"/proc/{place.pid}/ns/pid"


# --- a sandbox's


def _pause_command(layout: Layout, image: ImageFacts) -> list[str]:
    command = layout.config.tables["crio.image"]["pause_command"]
    if command:
        return [command]
    if not image.entrypoint and not image.cmd:
        name = layout.config.tables["crio.image"]["pause_image"]
        raise Refused("UNKNOWN", f'unable to run pause image "{name}": neither Cmd nor Entrypoint specified')
    return [*image.entrypoint, *image.cmd]


def _sandbox_mounts(layout: Layout, request: SandboxRequest, place: SandboxPlace) -> list[Json]:
    found = mounts.base()
    resolv_conf = layout.resolv_conf(request, place)
    if resolv_conf:
        found.append(mounts.bind("/etc/resolv.conf", resolv_conf, *_BIND_READ_ONLY))
    mounts.put(found, mounts.bind(SHM, layout.shm(request, place), "rw", "bind"))
    found.append(mounts.bind("/etc/hostname", layout.run_directory(place.id, "hostname"), *_BIND_READ_ONLY))
    return found


def _sandbox_namespaces(
    layout: Layout, security: LinuxSandboxSecurityContext | None, request: SandboxRequest, place: SandboxPlace
) -> list[Json]:
    options = (security.namespace_options if security else None) or NamespaceOption()
    shared = layout.shared_namespaces(request, place)
    found = [] if options.pid == NODE else [{"type": "pid"}]
    found += [{"type": kind, "path": shared[kind]} for kind in NAMESPACE_DIRECTORIES if kind in shared]
    found.append({"type": "mount"})
    if "user" in shared:
        found.append({"type": "user", "path": shared["user"]})
    return found


def _sysctls(layout: Layout, request: SandboxRequest, security: LinuxSandboxSecurityContext | None) -> dict[str, str]:
    """Return those that are allowed, configured ones first overridden by asked ones; the others are skipped."""
    options = (security.namespace_options if security else None) or NamespaceOption()
    hosts = {kind for kind, mode in (("ipc", options.ipc), ("network", options.network)) if mode == NODE}
    asked = dict(each.split("=", 1) for each in layout.config.runtime["default_sysctls"] or () if "=" in each)
    asked |= request.linux.sysctls if request.linux else {}
    allowed = {}
    for key, value in asked.items():
        kind = next((kind for prefix, kind in _SYSCTLS.items() if key.startswith(prefix)), None)
        if kind and kind not in hosts:
            allowed[key] = value
    return dict(sorted(allowed.items()))


def _sandbox_cgroup_path(layout: Layout, request: SandboxRequest, identifier: str) -> str:
    parent = layout.cgroup_parent(request)
    if layout.systemd:
        return f"{parent}:crio:{identifier}" if parent else ""
    return posixpath.join(parent, f"crio-{identifier}")


def _root(path: str, *, read_only: bool) -> Json:
    return {"path": path} | ({"readonly": True} if read_only else {})
