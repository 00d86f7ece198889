"""A runtime's base_runtime_spec: the spec its containers start with, from a file that is read when the daemon starts.

Source: pkg/cri/server/service.go (loadBaseOCISpecs), plugins/cri/runtime/plugin.go, container_create.go (runtimeSpec).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from runtimes.containerd.capabilities import SETS
from runtimes.containerd.refusals import not_started
from runtimes.containerd.spec import NAMESPACE, Spec, finished
from runtimes.files import FileFault
from runtimes.gojson import (
    Bool,
    GoJsonFault,
    Map,
    Pointer,
    Record,
    Shape,
    Signed,
    Slice,
    Text,
    Toolchain,
    Unsigned,
    decode,
)
from runtimes.gojson.seccomp import seccomp_shape

if TYPE_CHECKING:
    from runtimes.containerd.known import Known
    from runtimes.containerd.spec import Site
    from runtimes.files import Files


def load(path: str, known: Known, files: Files) -> Spec:
    """Return the spec in a file, in the order of the runtime spec; keys that the shape below does not have are lost.

    Raises `Refused`: with a bad one the CRI service does not come up.
    """
    words = known.value("base-spec-refusal")
    try:
        found = decode(files.read(path), _shape(known), Toolchain(known.value("json-toolchain")))
    except FileFault as fault:
        raise not_started(words["open"].format(path=path, error=fault)) from None
    except GoJsonFault as fault:
        raise not_started(words["parse"].format(path=path, error=fault)) from None
    return finished(_without_nil(found.value))


def fresh(site: Site, container_id: str) -> Spec | None:
    """Return a copy for one container, None where its runtime has no such file."""
    if site.handler.base_spec is None:
        return None
    spec: Spec = copy.deepcopy(site.handler.base_spec)
    process, linux = spec.setdefault("process", {}), spec.setdefault("linux", {})
    process.setdefault("user", {"uid": 0, "gid": 0})
    process.setdefault("cwd", "")
    sets = process.setdefault("capabilities", {})
    for name in SETS:
        sets.setdefault(name, [])
    spec.setdefault("root", {})["path"] = "rootfs"
    spec["mounts"] = [each for each in spec.get("mounts", ()) if each["destination"].rstrip("/") != "/run"]
    linux["cgroupsPath"] = f"/{NAMESPACE}/{container_id}"
    if not site.known.has("base-spec-keeps-seccomp"):
        linux.pop("seccomp", None)
        process.pop("rlimits", None)
        process.pop("apparmorProfile", None)
    return spec


def _shape(known: Known) -> Record:
    """Return specs.Spec, as far as it is told here. Source: runtime-spec specs-go/config.go."""
    number, unsigned, texts = Signed("int64"), Unsigned("uint64"), Slice(Text())
    small = Unsigned("uint32", 32)
    ids = Slice(_record("LinuxIDMapping", containerID=small, hostID=small, size=small))
    user = _record("User", uid=small, gid=small, umask=Pointer(small), additionalGids=Slice(small))
    sets = Record("specs.LinuxCapabilities", dict.fromkeys((*SETS, "ambient"), texts))
    limit = _record("POSIXRlimit", type=Text(), hard=unsigned, soft=unsigned)
    process = _record(
        "Process",
        terminal=Bool(),
        user=user,
        args=texts,
        env=texts,
        cwd=Text(),
        capabilities=Pointer(sets),
        rlimits=Slice(limit),
        noNewPrivileges=Bool(),
        apparmorProfile=Text(),
        oomScoreAdj=Pointer(Signed("int")),
        selinuxLabel=Text(),
    )
    rule = _record(
        "LinuxDeviceCgroup", allow=Bool(), type=Text(), major=Pointer(number), minor=Pointer(number), access=Text()
    )
    memory = _record(
        "LinuxMemory",
        limit=Pointer(number),
        reservation=Pointer(number),
        swap=Pointer(number),
        kernel=Pointer(number),
        kernelTCP=Pointer(number),
        swappiness=Pointer(unsigned),
        disableOOMKiller=Pointer(Bool()),
    )
    cpu = _record(
        "LinuxCPU",
        shares=Pointer(unsigned),
        quota=Pointer(number),
        period=Pointer(unsigned),
        cpus=Text(),
        mems=Text(),
    )
    resources = _record(
        "LinuxResources",
        devices=Slice(rule),
        memory=Pointer(memory),
        cpu=Pointer(cpu),
        pids=Pointer(_record("LinuxPids", limit=number)),
        unified=Map(Text()),
    )
    device = _record(
        "LinuxDevice",
        path=Text(),
        type=Text(),
        major=number,
        minor=number,
        fileMode=Pointer(Unsigned("fs.FileMode", 32)),
        uid=Pointer(small),
        gid=Pointer(small),
    )
    linux = _record(
        "Linux",
        uidMappings=ids,
        gidMappings=ids,
        sysctl=Map(Text()),
        resources=Pointer(resources),
        cgroupsPath=Text(),
        namespaces=Slice(_record("LinuxNamespace", type=Text("specs.LinuxNamespaceType"), path=Text())),
        devices=Slice(device),
        seccomp=Pointer(seccomp_shape(frozenset(known.value("seccomp-fields")))),
        rootfsPropagation=Text(),
        maskedPaths=texts,
        readonlyPaths=texts,
        mountLabel=Text(),
    )
    mount = _record(
        "Mount",
        destination=Text(),
        type=Text(),
        source=Text(),
        options=texts,
        uidMappings=ids,
        gidMappings=ids,
    )
    return _record(
        "Spec",
        ociVersion=Text(),
        process=Pointer(process),
        root=Pointer(_record("Root", path=Text(), readonly=Bool())),
        hostname=Text(),
        mounts=Slice(mount),
        annotations=Map(Text()),
        linux=Pointer(linux),
    )


def _record(name: str, **fields: Shape) -> Record:
    return Record(f"specs.{name}", fields)


# What Marshal writes although it is empty.
_WRITTEN = frozenset("ociVersion user cwd allow names action op defaultAction destination".split())


def _without_nil(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nil(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_nil(item) for key, item in value.items() if key in _WRITTEN or not _nothing(item)}


def _nothing(item: Any) -> bool:
    return item is None or item is False or item in ("", [], {})
