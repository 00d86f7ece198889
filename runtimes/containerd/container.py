"""The spec of a container, seccomp aside.

Each step stands in the order in which containerd takes it, since a later one may undo an earlier one.
Source: internal/cri/server/container_create.go (buildLinuxSpec), pkg/cri/server/container_create_linux.go
(containerSpec); what differs between releases is asked of the facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtimes.containerd import base_spec, capabilities, devices, mounts
from runtimes.containerd.objection import Objection
from runtimes.containerd.spec import (
    PATH,
    Site,
    Spec,
    cgroups_path,
    default,
    environment,
    groups,
    mappings,
    namespace,
    own_user_namespace,
    passed_on,
)
from runtimes.gojson import quote
from runtimes.request import CONTAINER, NODE, LinuxContainerSecurityContext, UserNamespace, sandbox_security

if TYPE_CHECKING:
    from runtimes.decision import Step
    from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace
    from runtimes.request import ContainerRequest, LinuxContainerResources, SandboxRequest

_ANNOTATION = "io.kubernetes.cri."


def spec(
    site: Site, request: ContainerRequest, place: ContainerPlace, sandbox: SandboxRequest, sandbox_place: SandboxPlace
) -> tuple[Spec, tuple[Step, ...]]:
    """Return the spec, not finished yet, and the steps that shaped its capabilities. Raises `Objection`."""
    known = site.known
    security = (request.linux.security_context if request.linux else None) or LinuxContainerSecurityContext()
    spec = base_spec.fresh(site, place.id) or default(known, place.id)
    _process(spec, site, request, place.image, sandbox)
    _cgroup_namespace(spec, site, security, first=True)
    mounts.container(spec, site, request, security, place, sandbox_place.id)
    _masks(spec, site, security)
    _devices(spec, site, request, security)
    steps = _privileges(spec, site, security, sandbox)
    if security.no_new_privs:
        spec["process"]["noNewPrivileges"] = True
    if security.readonly_rootfs:
        spec["root"]["readonly"] = True
    _cgroup(spec, site, request, place.id, sandbox)
    _annotations(spec, site, request, place, sandbox, sandbox_place.id)
    _namespaces(spec, site, security, sandbox, sandbox_place.pid)
    groups(spec, security.supplemental_groups)
    _cgroup_namespace(spec, site, security, first=False)
    return spec, steps


def _process(spec: Spec, site: Site, request: ContainerRequest, image: ImageFacts, sandbox: SandboxRequest) -> None:
    process = spec["process"]
    process["args"] = _arguments(request, image, site)
    process["noNewPrivileges"] = False
    environment(spec, [PATH])
    if request.working_dir or image.working_dir:
        process["cwd"] = request.working_dir or image.working_dir
    if request.tty:
        process["terminal"] = True
        process["env"].append("TERM=xterm")
    environment(spec, ["HOSTNAME=" + (sandbox.hostname or site.host.hostname)])
    asked = [f"{each.key}={each.value}" for each in request.envs]
    if site.known.has("environment-by-name"):
        _check_environment(image, site)
        for entry in (*image.env, *asked):
            environment(spec, [entry])
    else:
        environment(spec, [*image.env, *asked])


def _check_environment(image: ImageFacts, site: Site) -> None:
    for entry in image.env:
        if "=" not in entry and site.known.has("image-environment-checked"):
            raise Objection(f"invalid environment variable {quote(entry)}")


def _arguments(request: ContainerRequest, image: ImageFacts, site: Site) -> list[str]:
    command, arguments = list(request.command), list(request.args)
    if not command:
        arguments = arguments or list(image.cmd)
        if image.entrypoint != ("",) or not site.known.has("image-entrypoint-empty-text"):
            command = list(image.entrypoint)
    if not command and not arguments:
        raise Objection("failed to generate spec: no command specified")
    return command + arguments


def _masks(spec: Spec, site: Site, security: LinuxContainerSecurityContext) -> None:
    if site.config.get("disableProcMount"):
        return
    for key, asked in (("maskedPaths", security.masked_paths), ("readonlyPaths", security.readonly_paths)):
        if asked or site.known.has("default-masks-cleared"):
            spec["linux"][key] = list(asked)


def _devices(spec: Spec, site: Site, request: ContainerRequest, security: LinuxContainerSecurityContext) -> None:
    linux = spec["linux"]
    for asked in request.devices:
        try:
            device, rule = devices.one(asked.host_path, asked.container_path, asked.permissions)
        except Objection as objection:
            raise Objection(f"failed to generate spec: {objection}") from None
        if site.config.get("device_ownership_from_security_context"):
            device["uid"] = security.run_as_user.value if security.run_as_user else 0
            device["gid"] = security.run_as_group.value if security.run_as_group else 0
        linux.setdefault("devices", []).append(device)
        linux.setdefault("resources", {}).setdefault("devices", []).append(rule)


def _privileges(
    spec: Spec, site: Site, security: LinuxContainerSecurityContext, sandbox: SandboxRequest
) -> tuple[Step, ...]:
    sets = spec["process"].setdefault("capabilities", {})
    steps = capabilities.requested(sets, security.capabilities, site.known, site.host)
    if security.privileged:
        pod = sandbox_security(sandbox)
        if not (pod and pod.privileged):
            raise Objection("no privileged container allowed in sandbox", steps)
        steps += capabilities.privileged(sets, site.known, site.host)
        _open_up(spec, site)
    sets.pop("ambient", None)
    return steps


def _open_up(spec: Spec, site: Site) -> None:
    """Give a privileged container the host's system files and devices."""
    linux, handler = spec["linux"], site.handler
    linux["maskedPaths"] = linux["readonlyPaths"] = []
    linux.pop("seccomp", None)
    for each in spec["mounts"]:
        if each["type"] in ("sysfs", "cgroup"):
            each["options"] = ["rw" if option == "ro" else option for option in each["options"]]
    everything = [{"allow": True, "access": "rwm"}]
    if not handler.get("privileged_without_host_devices"):
        linux["devices"] = [*linux.get("devices", ()), *devices.host()]
        linux.setdefault("resources", {})["devices"] = everything
    elif handler.get("privileged_without_host_devices_all_devices_allowed"):
        linux.setdefault("resources", {})["devices"] = everything


def _cgroup(spec: Spec, site: Site, request: ContainerRequest, container_id: str, sandbox: SandboxRequest) -> None:
    if site.config.get("disableCgroup"):
        spec["linux"]["cgroupsPath"] = ""
    else:
        if request.linux and request.linux.resources:
            _limits(spec, site, request.linux.resources)
        parent = sandbox.linux.cgroup_parent if sandbox.linux else ""
        if parent:
            spec["linux"]["cgroupsPath"] = cgroups_path(parent, container_id, site)
    if request.linux and request.linux.resources:
        spec["process"]["oomScoreAdj"] = request.linux.resources.oom_score_adj


def _limits(spec: Spec, site: Site, asked: LinuxContainerResources) -> None:
    known, resources = site.known, spec["linux"].setdefault("resources", {})
    cpu, memory = resources.setdefault("cpu", {}), resources.setdefault("memory", {})
    always = known.has("resources-always-written")
    shares, period = (value % 2**64 for value in (asked.cpu_shares, asked.cpu_period))
    for key, value in (("shares", shares), ("quota", asked.cpu_quota), ("period", period)):
        if value or always:
            cpu[key] = value
    for key, text in (("cpus", asked.cpuset_cpus), ("mems", asked.cpuset_mems)):
        if text:
            cpu[key] = text
    limit, swap = asked.memory_limit_in_bytes, asked.memory_swap_limit_in_bytes
    if limit or always:
        memory["limit"] = limit
        if not swap and known.has("swap-follows-memory"):
            memory["swap"] = limit
    if swap and known.has("swap-limit"):
        memory["swap"] = swap
    if known.has("hugepage-limits") and not site.config.get("disableHugetlbController"):
        limits = [{"pageSize": each.page_size, "limit": each.limit} for each in asked.hugepage_limits]
        resources["hugepageLimits"] = [*resources.get("hugepageLimits", ()), *limits]
    if asked.unified and known.has("unified-resources"):
        resources["unified"] = dict(sorted({**resources.get("unified", {}), **asked.unified}.items()))


def _annotations(
    spec: Spec,
    site: Site,
    request: ContainerRequest,
    place: ContainerPlace,
    sandbox: SandboxRequest,
    sandbox_id: str,
) -> None:
    found: dict[str, str] = spec.setdefault("annotations", {})
    found.update(passed_on(sandbox.annotations, site.handler.get("PodAnnotations") or ()))
    found.update(passed_on(request.annotations, site.handler.get("ContainerAnnotations") or ()))
    values = sandbox_annotations(sandbox, sandbox_id)
    values["container-type"] = "container"
    values["container-name"] = request.metadata.name if request.metadata else ""
    values["image-name"] = _image_name(site, request, place)
    found.update((_ANNOTATION + key, values[key]) for key in site.known.value("container-annotations"))


def sandbox_annotations(sandbox: SandboxRequest, sandbox_id: str) -> dict[str, str]:
    """Return what annotations may say about a sandbox, by their short names."""
    metadata = sandbox.metadata
    return {
        "sandbox-id": sandbox_id,
        "sandbox-name": metadata.name if metadata else "",
        "sandbox-namespace": metadata.namespace if metadata else "",
        "sandbox-uid": metadata.uid if metadata else "",
        "sandbox-log-directory": sandbox.log_directory,
    }


def _image_name(site: Site, request: ContainerRequest, place: ContainerPlace) -> str:
    if request.image and request.image.user_specified_image and site.known.has("image-named-as-asked"):
        return request.image.user_specified_image
    tags = place.image.repo_tags or place.image.repo_digests
    return place.image_reference or (tags[0] if tags else place.image.id)


def _namespaces(
    spec: Spec, site: Site, security: LinuxContainerSecurityContext, sandbox: SandboxRequest, pid: int
) -> None:
    options = security.namespace_options
    known = site.known
    users = options.userns_options if options and known.has("user-namespaces") else None
    pod = sandbox_security(sandbox)
    pod_options = pod.namespace_options if pod else None
    if known.has("user-namespaces"):
        check_user_namespace(users)
        _same_user_namespace(pod_options.userns_options if pod_options else None, users)
    own = own_user_namespace(users)
    if own and pod_options and pod_options.network == NODE and known.has("sysfs-bound"):
        mounts.bound_sysfs(spec)
    for kind, name in (("network", "net"), ("ipc", "ipc"), ("uts", "uts")):
        namespace(spec, kind, f"/proc/{pid}/ns/{name}")
    if (options.pid if options else 0) != CONTAINER:
        namespace(spec, "pid", f"/proc/{pid}/ns/pid")
    if own and users:
        namespace(spec, "user", f"/proc/{pid}/ns/user")
        spec["linux"]["uidMappings"] = mappings(users.uids)
        spec["linux"]["gidMappings"] = mappings(users.gids)


def check_user_namespace(users: UserNamespace | None) -> None:
    """Check what a request says about its user namespace. Raises `Objection`."""
    if users is None:
        return
    for what, ranges in (("UID", users.uids), ("GID", users.gids)):
        if len(ranges) > 1:
            text = f"only one mapping line supported, got {len(ranges)} mapping lines"
            raise Objection(f"user namespace configuration: {what} mapping: {text}")
        if ranges and ranges[0].length < 1:
            text = f"invalid mapping length: {ranges[0].length}"
            raise Objection(f"user namespace configuration: {what} mapping: {text}")
    if users.mode == NODE and (users.uids or users.gids):
        got = f"Got {len(users.uids)} UID mappings and {len(users.gids)} GID mappings"
        raise Objection(f'user namespace configuration: can\'t use user namespace mode "NODE" with mappings. {got}')
    if own_user_namespace(users) and not (users.uids and users.gids):
        text = 'can\'t use user namespace mode "POD" without UID and GID mappings'
        raise Objection(f"user namespace configuration: {text}")
    if users.mode not in (0, NODE):
        shown = {1: "CONTAINER", 3: "TARGET"}.get(users.mode, str(users.mode))
        raise Objection(f'user namespace configuration: unsupported user namespace mode: "{shown}"')


def _same_user_namespace(of_pod: UserNamespace | None, of_container: UserNamespace | None) -> None:
    def of(users: UserNamespace | None) -> tuple[Any, ...]:
        return (users.mode, users.uids, users.gids) if users else (None, (), ())

    if of(of_pod) != of(of_container):
        text = "user namespace config for sandbox is different from container."
        shown = f"Sandbox userns config: {_shown(of_pod)} - Container userns config: {_shown(of_container)}"
        raise Objection(f"{text} {shown}")


def _shown(users: UserNamespace | None) -> str:
    if users is None:
        return "<nil>"

    def ranges(name: str, values: tuple[Any, ...]) -> str:
        each = [f"&IDMapping{{HostId:{v.host_id},ContainerId:{v.container_id},Length:{v.length},}}" for v in values]
        return f"{name}:[]*IDMapping{{{''.join(f'{one},' for one in each)}}}"

    mode = {0: "POD", 1: "CONTAINER", 2: "NODE", 3: "TARGET"}.get(users.mode, str(users.mode))
    return f"&UserNamespace{{Mode:{mode},{ranges('Uids', users.uids)},{ranges('Gids', users.gids)},}}"


def _cgroup_namespace(spec: Spec, site: Site, security: LinuxContainerSecurityContext, *, first: bool) -> None:
    known = site.known
    if site.host.cgroup == 1 or security.privileged or not known.has("cgroup-namespace"):
        return
    if known.has("cgroup-namespace-first") == first:
        namespace(spec, "cgroup")
