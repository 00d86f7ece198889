"""The spec of a sandbox's pause container, seccomp aside.

Source: internal/cri/server/podsandbox/sandbox_run_linux.go, pkg/cri/server/sandbox_run_linux.go (sandboxContainerSpec);
what differs between releases is asked of the facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.containerd.container import check_user_namespace, sandbox_annotations
from runtimes.containerd.mounts import SHM, bound_sysfs
from runtimes.containerd.objection import Objection
from runtimes.containerd.spec import (
    Site,
    Spec,
    cgroups_path,
    default,
    environment,
    groups,
    mappings,
    mount,
    namespace,
    own_user_namespace,
    passed_on,
    without_mount,
    without_namespace,
)
from runtimes.request import NODE, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceOption

if TYPE_CHECKING:
    from runtimes.model import SandboxPlace
    from runtimes.request import SandboxRequest

_ANNOTATION = "io.kubernetes.cri."
_OOM_SCORE = -998
_CPU_SHARES = 2
_FIRST_PORT, _PING = "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"


def spec(site: Site, request: SandboxRequest, place: SandboxPlace) -> Spec:
    """Return the spec, not finished yet. Raises `Objection`."""
    linux = request.linux or LinuxPodSandboxConfig()
    security = linux.security_context or LinuxSandboxSecurityContext()
    options = security.namespace_options or NamespaceOption()
    spec = default(site.known, place.id)
    _process(spec, site, request, place)
    _cgroup(spec, site, linux, place.id)
    _namespaces(spec, site, options, place)
    _mounts(spec, site, options, place.id)
    groups(spec, security.supplemental_groups)
    _sysctls(spec, site, linux, options)
    _annotations(spec, site, request, linux, place)
    if security.privileged and site.known.has("privileged-sandbox-sysfs"):
        _writable_sysfs(spec)
    return spec


def _process(spec: Spec, site: Site, request: SandboxRequest, place: SandboxPlace) -> None:
    image, process = place.image, spec["process"]
    process["args"] = [*image.entrypoint, *image.cmd]
    if not process["args"]:
        raise Objection("invalid empty entrypoint and cmd in image config")
    environment(spec, image.env)
    process["cwd"] = image.working_dir or "/"
    process["oomScoreAdj"] = _OOM_SCORE
    spec["root"]["readonly"] = True
    spec["hostname"] = request.hostname
    del site


def _cgroup(spec: Spec, site: Site, linux: LinuxPodSandboxConfig, sandbox_id: str) -> None:
    if site.config.get("disableCgroup"):
        spec["linux"]["cgroupsPath"] = ""
        return
    spec["linux"]["resources"]["cpu"] = {"shares": _CPU_SHARES}
    if linux.cgroup_parent:
        spec["linux"]["cgroupsPath"] = cgroups_path(linux.cgroup_parent, sandbox_id, site)


def _namespaces(spec: Spec, site: Site, options: NamespaceOption, place: SandboxPlace) -> None:
    if options.network == NODE:
        without_namespace(spec, "network")
        without_namespace(spec, "uts")
    else:
        namespace(spec, "network", network_namespace(place))
    if options.pid == NODE:
        without_namespace(spec, "pid")
    if options.ipc == NODE:
        without_namespace(spec, "ipc")
    users = options.userns_options
    if users is None or not site.known.has("user-namespaces"):
        return
    check_user_namespace(users)
    if own_user_namespace(users):
        pinned = site.known.has("user-namespace-pinned") and options.network != NODE
        namespace(spec, "user", site.sandbox_state(place.id, "pinned-namespaces/user") if pinned else "")
        spec["linux"]["uidMappings"] = mappings(users.uids)
        spec["linux"]["gidMappings"] = mappings(users.gids)


def _mounts(spec: Spec, site: Site, options: NamespaceOption, sandbox_id: str) -> None:
    known = site.known
    if known.has("sandbox-shm-once"):
        without_mount(spec, SHM)
    shm = SHM if options.ipc == NODE else site.sandbox_state(sandbox_id, "shm")
    spec["mounts"].append(mount(SHM, "bind", shm, list(known.value("sandbox-shm-options"))))
    resolv_conf = known.value("sandbox-resolv-conf")
    if resolv_conf:
        source = site.sandbox_file(sandbox_id, "resolv.conf")
        spec["mounts"].append(mount("/etc/resolv.conf", "bind", source, list(resolv_conf)))
    if known.has("sysfs-bound") and options.network == NODE and own_user_namespace(options.userns_options):
        bound_sysfs(spec)


def _sysctls(spec: Spec, site: Site, linux: LinuxPodSandboxConfig, options: NamespaceOption) -> None:
    sysctls = dict(linux.sysctls)
    if options.network != NODE:
        if site.config.get("enableUnprivilegedPorts"):
            sysctls.setdefault(_FIRST_PORT, "0")
        own = site.known.has("user-namespaces") and own_user_namespace(options.userns_options)
        if site.config.get("enableUnprivilegedICMP") and not own:
            sysctls.setdefault(_PING, "0 2147483647")
    spec["linux"]["sysctl"] = sysctls


def _annotations(
    spec: Spec, site: Site, request: SandboxRequest, linux: LinuxPodSandboxConfig, place: SandboxPlace
) -> None:
    found: dict[str, str] = spec["annotations"]
    asked = linux.resources
    if asked is not None and site.known.has("sandbox-resources-annotated"):
        found[_ANNOTATION + "sandbox-cpu-period"] = str(asked.cpu_period)
        found[_ANNOTATION + "sandbox-cpu-quota"] = str(asked.cpu_quota)
        found[_ANNOTATION + "sandbox-cpu-shares"] = str(asked.cpu_shares)
        found[_ANNOTATION + "sandbox-memory"] = str(asked.memory_limit_in_bytes)
    found.update(passed_on(request.annotations, site.handler.get("PodAnnotations") or ()))
    values = sandbox_annotations(request, place.id)
    values["container-type"] = "sandbox"
    values["podsandbox.image-name"] = site.config.pause_image
    found.update((_ANNOTATION + key, values[key]) for key in site.known.value("sandbox-annotations"))


def _writable_sysfs(spec: Spec) -> None:
    for each in spec["mounts"]:
        if each["destination"] == "/sys":
            each["options"] = ["rw" if option == "ro" else option for option in each["options"]]


def network_namespace(place: SandboxPlace) -> str:
    """Return where a sandbox's network namespace is mounted (pkg/netns/netns_linux.go: a UUID behind "cni-")."""
    return f"/var/run/netns/cni-{place.network}"
