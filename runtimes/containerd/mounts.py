"""The mounts of a container: the defaults, the pod's own files, the request's, and the image's volumes.

Source: container_create.go (volumeMounts), container_create_linux.go (containerMounts), pkg/cri/opts (WithMounts).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from runtimes.containerd.objection import Objection
from runtimes.containerd.paths import clean, join
from runtimes.containerd.spec import Site, Spec, mappings, mount
from runtimes.gojson import quote
from runtimes.request import NODE, Mount

if TYPE_CHECKING:
    from runtimes.model import ContainerPlace
    from runtimes.request import ContainerRequest, LinuxContainerSecurityContext

PRIVATE, HOST_TO_CONTAINER, BIDIRECTIONAL = 0, 1, 2  # MountPropagation
_PROPAGATION = {PRIVATE: "rprivate", HOST_TO_CONTAINER: "rslave", BIDIRECTIONAL: "rshared"}
_PROPAGATION_NAMES = {HOST_TO_CONTAINER: "PROPAGATION_HOST_TO_CONTAINER", BIDIRECTIONAL: "PROPAGATION_BIDIRECTIONAL"}
SHM = "/dev/shm"  # noqa: S108  a mount point


def container(
    spec: Spec,
    site: Site,
    request: ContainerRequest,
    security: LinuxContainerSecurityContext,
    place: ContainerPlace,
    sandbox_id: str,
) -> None:
    """Set the mounts. Raises `Objection`."""
    asked = [_of_image(each, site, sandbox_id) for each in request.mounts]
    taken = {clean(each.container_path) for each in asked}
    extra = [*_pod_files(site, security, sandbox_id), *_volumes(site, security, place)]
    wanted = asked + [each for each in extra if clean(each.container_path) not in taken]
    wanted.sort(key=lambda each: clean(each.container_path).count("/"))

    covered = {clean(each.container_path) for each in wanted}
    spec["mounts"].append(mount("/sys/fs/cgroup", "cgroup", "cgroup", _cgroup_options(spec, site)))
    spec["mounts"] = [each for each in spec["mounts"] if not _is_covered(clean(each["destination"]), covered)]
    spec["mounts"] += [_bound(each, spec, site) for each in wanted]


def _is_covered(destination: str, covered: set[str]) -> bool:
    return destination in covered or ("/dev" in covered and destination.startswith("/dev/"))


def _cgroup_options(spec: Spec, site: Site) -> list[str]:
    options = ["nosuid", "noexec", "nodev", "relatime", "rw" if site.handler.get("cgroupWritable") else "ro"]
    shares = all(each["type"] != "cgroup" for each in spec["linux"].get("namespaces") or ())
    if shares and site.host.cgroup != 1:
        options += site.known.value("host-cgroup-options")
    return options


def _pod_files(site: Site, security: LinuxContainerSecurityContext, sandbox_id: str) -> list[Mount]:
    options = security.namespace_options
    userns = options.userns_options if options and site.known.has("idmapped-mounts") else None
    uids, gids = (userns.uids, userns.gids) if userns else ((), ())
    names = ["hosts", "resolv.conf"]
    if site.known.has("hostname-file"):
        names.insert(0, "hostname")
    found = [
        Mount(
            container_path=f"/etc/{name}",
            host_path=site.sandbox_file(sandbox_id, name),
            readonly=security.readonly_rootfs,
            uidMappings=uids,
            gidMappings=gids,
        )
        for name in names
    ]
    shared = options is not None and options.ipc == NODE
    shm = SHM if shared else site.sandbox_state(sandbox_id, "shm")
    return [*found, Mount(container_path=SHM, host_path=shm)]


def _volumes(site: Site, security: LinuxContainerSecurityContext, place: ContainerPlace) -> list[Mount]:
    if site.config.get("ignoreImageDefinedVolumes"):
        return []
    options = security.namespace_options
    userns = options.userns_options if options and site.known.has("idmapped-mounts") else None
    found = []
    for volume in sorted(place.image.volumes):
        destination = volume
        if site.known.has("image-volumes-absolute") and not volume.startswith("/"):
            destination = join("/", volume)
        name = hashlib.sha256(f"{place.id} {volume}".encode()).hexdigest()
        found.append(
            Mount(
                container_path=destination,
                host_path=join(site.config.root_dir, "containers", place.id, "volumes", name),
                uidMappings=userns.uids if userns else (),
                gidMappings=userns.gids if userns else (),
            )
        )
    return found


def _of_image(asked: Mount, site: Site, sandbox_id: str) -> Mount:
    """Return the mount of an image as the bind mount that the daemon makes of it."""
    if asked.image is None or not asked.image.image:
        return asked
    name = hashlib.sha256(asked.image.image.encode()).hexdigest()
    host_path = join(site.config.state_dir, "image-volumes", sandbox_id, name, asked.image_sub_path)
    return Mount(container_path=asked.container_path, host_path=host_path, readonly=asked.readonly)


def _bound(asked: Mount, spec: Spec, site: Site) -> dict[str, Any]:
    linux = spec["linux"]
    if asked.propagation == BIDIRECTIONAL:
        linux["rootfsPropagation"] = "rshared"
    elif asked.propagation == HOST_TO_CONTAINER and linux.get("rootfsPropagation") != "rshared":
        linux["rootfsPropagation"] = "rslave"
    options = ["rbind", _PROPAGATION.get(asked.propagation, "rprivate"), _access(asked)]
    ids: dict[str, Any] = {}
    if (asked.uidMappings or asked.gidMappings) and site.known.has("idmapped-mounts-refused"):
        what = f"idmap mounts not yet supported, but they were requested for: {quote(asked.host_path)}"
        raise Objection(f"failed to generate spec: {what}")
    if site.known.has("idmapped-mounts"):
        ids = {"uidMappings": mappings(asked.uidMappings), "gidMappings": mappings(asked.gidMappings)}
    return mount(asked.container_path, "bind", asked.host_path, options, **ids)


def _access(asked: Mount) -> str:
    if not asked.recursive_read_only:
        return "ro" if asked.readonly else "rw"
    where = f"(hostPath={quote(asked.host_path)})"
    if not asked.readonly:
        raise Objection(f"failed to generate spec: recursive read-only mount conflicts with RW mount {where}")
    if asked.propagation != PRIVATE:
        got = quote(_PROPAGATION_NAMES.get(asked.propagation, str(asked.propagation)))
        text = f"recursive read-only mount needs private propagation, got {got} {where}"
        raise Objection(f"failed to generate spec: {text}")
    return "rro"


def bound_sysfs(spec: Spec) -> None:
    """Bind the host's /sys, read-only, in the place of a new one that such a pod could not mount."""
    spec["mounts"] = [each for each in spec["mounts"] if clean(each["destination"]) != "/sys"]
    spec["mounts"].append(mount("/sys", "bind", "/sys", ["rbind", "rro", "nosuid", "nodev", "noexec"]))
