"""The mounts of a container's and a sandbox's spec, in the order in which CRI-O leaves them.

The node's own file system is not looked at: a source of a mount is taken as it is named, and is there.
Source: server/container_create_linux.go addOCIBindMounts and createSandboxContainer; server/sandbox_run_linux.go.
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.errors import Refused
from runtimes.gojson import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtimes.request import ContainerRequest, Mount

Json = dict[str, Any]

_PRIVATE, _HOST_TO_CONTAINER, _BIDIRECTIONAL = 0, 1, 2
_NAMES = {_HOST_TO_CONTAINER: "PROPAGATION_HOST_TO_CONTAINER", _BIDIRECTIONAL: "PROPAGATION_BIDIRECTIONAL"}
_PROPAGATION = {_HOST_TO_CONTAINER: "rslave", _BIDIRECTIONAL: "rshared"}
_READ_ONLY_ROOT = {"/run": "mode=0755", "/tmp": "mode=1777", "/var/tmp": "mode=1777"}  # noqa: S108  of the container
_CGROUP = "/sys/fs/cgroup"
_SYSFS = ["nosuid", "noexec", "nodev"]


def mount(destination: str, kind: str, source: str, options: list[str]) -> Json:
    """Return one mount in the order of the spec's struct."""
    return {"destination": destination, "type": kind, "source": source, "options": options}


def bind(destination: str, source: str, *options: str) -> Json:
    """Return a bind mount."""
    return mount(destination, "bind", source, list(options))


def base() -> list[Json]:
    """Return what runtime-tools puts into a new spec. Source: vendored runtime-tools generate.go New."""
    return [
        mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),  # noqa: S108
        mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", [*_SYSFS, "ro"]),
    ]


def put(mounts: list[Json], new: Json) -> None:
    """Mount at the end, and instead of what was mounted there before."""
    mounts[:] = [each for each in mounts if each["destination"] != new["destination"]]
    mounts.append(new)


def without_overridden(request: ContainerRequest, *, read_only: bool) -> list[Json]:
    """Return the mounts that a container starts from: less what it mounts itself, and less what lies below that."""
    mounts = base()
    if read_only:
        for target, mode in _READ_ONLY_ROOT.items():
            if target not in {each.container_path for each in request.mounts}:
                put(mounts, mount(target, "tmpfs", "tmpfs", ["rw", "noexec", "nosuid", "nodev", "tmpcopyup", mode]))
    given = {posixpath.normpath(each.container_path) for each in request.mounts}
    below = tuple(f"{each}/" for each in ("/dev", "/sys") if each in given)
    kept = [m for m in mounts if m["destination"] not in given and not (below and m["destination"].startswith(below))]
    if "/sys" not in given:
        kept.append(mount(_CGROUP, "cgroup", "cgroup", [*_SYSFS, "relatime", "ro"]))
    return kept


class Rules(msgspec.Struct, frozen=True):
    """How a release mounts what a request asks for.

    `mounted` says where the files of a layer are; `image_volumes` is where the upper part of image mounts lies.
    """

    access_first: bool
    recursive: bool
    images: bool
    maps_users: bool
    mounted: Callable[[str], str]
    image_volumes: str


def in_order(given: Sequence[Mount]) -> list[Mount]:
    """Return mounts with the shallow ones first, as CRI-O sorts them; a dozen and more it also shuffles."""
    return sorted(given, key=lambda each: posixpath.normpath(each.container_path).count("/"))


def requested(request: ContainerRequest, rules: Rules) -> tuple[list[Json], str]:
    """Return the mounts that a request asks for, the shallow ones first, and the propagation they want of the root.

    Raises `Refused`.
    """
    found = []
    for each in in_order(request.mounts):
        if not each.container_path:
            raise Refused("UNKNOWN", "mount.ContainerPath is empty")
        image = each.image.image if each.image and rules.images else ""
        if image:
            found.append(_image(each.container_path, image, rules))
        elif not each.host_path:
            raise Refused("UNKNOWN", "mount.HostPath is empty")
        else:
            options = _options(each, rules)
            found.append(bind(each.container_path, posixpath.normpath(each.host_path), *options, "bind"))
    wanted = [each.propagation for each in request.mounts]
    root = next((_PROPAGATION[each] for each in (_BIDIRECTIONAL, _HOST_TO_CONTAINER) if each in wanted), "")
    return found, root


def _image(destination: str, image: str, rules: Rules) -> Json:
    """An image's files lie where its layers are mounted; the digits stand for those that the node gave them."""
    layer = hashlib.sha256(image.encode("utf-8", "surrogateescape")).hexdigest()
    return mount(destination, "overlay", "overlay", [f"lowerdir={rules.mounted(layer)}:{rules.image_volumes}"])


def privileged(mounts: list[Json]) -> None:
    """Take `ro` off every mount that is not writable."""
    for each in mounts:
        if "rw" not in each["options"]:
            each["options"] = [option for option in each["options"] if option != "ro"] + ["rw"]


def systemd(mounts: list[Json], *, unified: bool) -> None:
    """Add what a container that runs systemd needs."""
    taken = {each["destination"] for each in mounts}
    options = ["rw", "rprivate", "noexec", "nosuid", "nodev", "tmpcopyup"]
    places = ("/run", "/run/lock", "/tmp", "/var/log/journal")  # noqa: S108  of the container
    mounts.extend(mount(place, "tmpfs", "tmpfs", list(options)) for place in places if place not in taken)
    if unified:
        put(mounts, mount(_CGROUP, "cgroup", "cgroup", ["private", "rw"]))
    elif not any(each["destination"] in (_CGROUP, "/sys/fs", "/sys") and _is_bind(each) for each in mounts):
        mounts.append(bind(f"{_CGROUP}/systemd", f"{_CGROUP}/systemd", "bind", "nodev", "noexec", "nosuid"))


def sysfs(mounts: list[Json], request: ContainerRequest, *, host_network: bool, is_privileged: bool) -> None:
    """Mount /sys again for the network of the host, and once more for the privileged."""
    if host_network and "/sys" not in {each.container_path for each in request.mounts}:
        put(mounts, mount("/sys", "sysfs", "sysfs", [*_SYSFS, "ro"]))
        put(mounts, mount(_CGROUP, "cgroup", "cgroup", [*_SYSFS, "relatime", "ro"]))
    if is_privileged:
        put(mounts, mount("/sys", "sysfs", "sysfs", [*_SYSFS, "rw", "rslave"]))
        put(mounts, mount(_CGROUP, "cgroup", "cgroup", [*_SYSFS, "rw", "relatime", "rslave"]))


def _options(each: Mount, rules: Rules) -> list[str]:
    propagation = _PROPAGATION.get(each.propagation, "rprivate")
    access = "ro" if each.readonly else "rw"
    if each.recursive_read_only and rules.recursive:
        if not each.readonly:
            message = "recursive read-only mount conflicts with read-write mount for hostPath "
            raise Refused("UNKNOWN", message + quote(each.host_path))
        if each.propagation != _PRIVATE:
            message = (
                f"recursive read-only mount requires private propagation for hostPath {quote(each.host_path)}, got: "
            )
            raise Refused("UNKNOWN", message + _NAMES.get(each.propagation, str(each.propagation)))
        access = "rro"
    if (each.uidMappings or each.gidMappings) and rules.maps_users:
        message = "idmap mounts specified but OCI runtime does not support them. Perhaps the OCI runtime is too old"
        raise Refused("UNKNOWN", message)
    return [access, "rbind", propagation] if rules.access_first else ["rbind", propagation, access]


def _is_bind(each: Json) -> bool:
    return "bind" in each["options"] or "rbind" in each["options"]
