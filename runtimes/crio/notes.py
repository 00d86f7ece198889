"""What CRI-O writes into the annotations of a spec, and which annotations of a request it lets through.

Texts that a JSON library of CRI-O's makes from maps have no order of their own there; here they are sorted.
Source: internal/factory/container/container.go SpecAddAnnotations; server/sandbox_run_linux.go setupSandboxAnnotations.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.crio import names
from runtimes.crio.config import known_annotations
from runtimes.crio.layout import pinned
from runtimes.crio.mounts import in_order
from runtimes.crio.times import rfc3339
from runtimes.decision import Step
from runtimes.gojson import dumps, quote
from runtimes.request import NODE, NamespaceOption, sandbox_security

if TYPE_CHECKING:
    from runtimes.crio.config import Config
    from runtimes.crio.layout import Layout
    from runtimes.model import ContainerPlace, SandboxPlace
    from runtimes.release import Release
    from runtimes.request import ContainerRequest, Mount, SandboxRequest

Notes = dict[str, str]

_CRIO = "io.kubernetes.cri-o."
_TRACE = "io.containers.trace-syscall"
_GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
_POD = "io.kubernetes.pod."
_STOP_SIGNAL = "org.opencontainers.image.stopSignal"
_PROTOCOLS = ("TCP", "UDP", "SCTP")


def allowed(
    release: Release, config: Config, handler: str, find: Notes, given: Notes, *, filters: bool
) -> tuple[Notes, tuple[Step, ...]]:
    """Return the annotations that a handler, or the workload that `find` activates, lets through."""
    if not filters or not given:
        return given, ()
    granted = set(config.allowed_annotations(handler, find))
    denied = tuple(name for name in known_annotations(release) if name not in granted)
    kept = {key: value for key, value in given.items() if not key.startswith(denied)}
    steps = []
    for key in (key for key in given if key not in kept):
        name = handler or config.default_runtime
        because = (
            f"the annotation {quote(key)} is not in `allowed_annotations` of handler {name}: it is taken out in silence"
        )
        steps.append(
            Step(
                "runtime", "annotation-not-allowed", because, "server/utils.go FilterDisallowedAnnotations", warns=True
            )
        )
    return kept, tuple(steps)


def of_container(
    layout: Layout,
    request: ContainerRequest,
    place: ContainerPlace,
    sandbox: SandboxRequest,
    sandbox_place: SandboxPlace,
    *,
    reference: str,
    merged: str,
    inherited: Notes,
) -> Notes:
    """Return the annotations of a container's spec, sorted by key as they are written."""
    own = dict(request.annotations)
    found: Notes = {}
    if layout.facts.has("sandbox-annotations-in-container"):
        name = request.metadata.name if request.metadata else ""
        for key, value in inherited.items():
            if key == f"{_TRACE}/{name}":
                own[_TRACE] = found[_TRACE] = value
            else:
                found[key] = value
    image = request.image.image if request.image else ""
    digests, identifier = place.image.repo_digests, place.image.id.removeprefix("sha256:")
    by_digest = digests and layout.facts.has("image-ref-annotation-is-digest")
    found |= {
        "io.container.manager": "cri-o",
        _CRIO + "Image": image,
        _CRIO + "ImageName": place.image_reference or image,
        _CRIO + "ImageRef": digests[0] if by_digest else identifier,
        _CRIO + "Name": names.container(request, sandbox),
        _CRIO + "ContainerID": place.id,
        _CRIO + "SandboxID": sandbox_place.id,
        _CRIO + "SandboxName": names.sandbox(sandbox),
        _CRIO + "ContainerType": "container",
        _CRIO + "LogPath": posixpath.join(
            log_directory(layout, sandbox, sandbox_place), request.log_path or f"{place.id}.log"
        ),
        _CRIO + "TTY": _word(request.tty),
        _CRIO + "Stdin": _word(request.stdin),
        _CRIO + "StdinOnce": _word(request.stdin_once),
        _CRIO + "ResolvPath": layout.resolv_conf(sandbox, sandbox_place),
        _CRIO + "MountPoint": merged,
        _CRIO + "SeccompProfilePath": reference,
        _CRIO + "Created": rfc3339(place.created_at),
        _CRIO + "Metadata": _json(request.metadata),
        _CRIO + "Labels": _sorted(request.labels),
        _CRIO + "Volumes": dumps(
            [_volume(each, layout.value("volume-fields")) for each in in_order(request.mounts) if each.host_path]
        ),
        _CRIO + "Annotations": _sorted(own),
    }
    if digests and layout.facts.has("repo-digests-annotation"):
        found[_CRIO + "ImageRepoDigests"] = ",".join(digests)
    platform = layout.value("platform-runtime-path-annotation")
    if platform:
        found[platform] = ""
    found |= own | request.labels
    if sandbox_place.ip and not _on_host(sandbox):
        found[_CRIO + "IP.0"] = sandbox_place.ip
    if layout.systemd:
        found |= _systemd(layout, own)
    if place.image.stop_signal:
        found[_STOP_SIGNAL] = place.image.stop_signal
    return dict(sorted(found.items()))


def of_sandbox(
    layout: Layout,
    request: SandboxRequest,
    place: SandboxPlace,
    *,
    reference: str,
    merged: str,
    privileged: bool,
    own: Notes,
) -> Notes:
    """Return the annotations of an infra container's spec, sorted by key as they are written."""
    security = sandbox_security(request)
    options = (security.namespace_options if security else None) or NamespaceOption()
    with_defaults = layout.facts.has("handler-default-annotations")
    if with_defaults:
        own = {**(layout.config.handler(place.handler)["default_annotations"] or {}), **own}
    labels = labels_of(layout, request)
    image = layout.config.tables["crio.image"]["pause_image"]
    found: Notes = {
        "io.container.manager": "cri-o",
        _CRIO + "Metadata": _json(request.metadata),
        _CRIO + "Labels": _sorted(labels),
        _CRIO + "Annotations": dumps(dict(sorted(own.items()))) if own or with_defaults else "null",
        _CRIO + "LogPath": posixpath.join(log_directory(layout, request, place), f"{place.id}.log"),
        _CRIO + "Name": names.sandbox(request),
        _CRIO + "Namespace": request.metadata.namespace if request.metadata else "",
        _CRIO + "ContainerType": "sandbox",
        _CRIO + "SandboxID": place.id,
        _CRIO + "ContainerName": names.infra(request),
        _CRIO + "ContainerID": place.id,
        _CRIO + "ShmPath": layout.shm(request, place),
        _CRIO + "PrivilegedRuntime": _word(privileged),
        _CRIO + "RuntimeHandler": place.handler if place.requested_handler else "",
        _CRIO + "ResolvPath": layout.resolv_conf(request, place),
        _CRIO + "HostName": layout.hostname(request, place),
        _CRIO + "NamespaceOptions": _json(options),
        _CRIO + "KubeName": request.metadata.name if request.metadata else "",
        _CRIO + "HostNetwork": _word(_on_host(request)),
        _CRIO + "Created": rfc3339(place.created_at),
        _CRIO + "PortMappings": dumps(_ports(request)),
        _CRIO + "CgroupParent": layout.cgroup_parent(request),
        _CRIO + "MountPoint": merged,
        _CRIO + "HostnamePath": layout.run_directory(place.id, "hostname"),
    }
    made_of = {"Image": image, "ImageName": image, "SandboxName": names.sandbox(request)}
    found |= {_CRIO + name: made_of[name] for name in layout.value("sandbox-image-annotations")}
    if place.image.stop_signal:
        found[_STOP_SIGNAL] = place.image.stop_signal
    if layout.systemd and layout.facts.has("systemd-collect-mode-annotation"):
        found["org.systemd.property.CollectMode"] = "'inactive-or-failed'"
    linux = request.linux
    for key, what in zip(
        layout.value("pod-resources-annotations"),
        (linux.overhead if linux else None, linux.resources if linux else None),
        strict=False,
    ):
        found[key] = _json(what)
    found |= own | labels
    if place.ip and not _on_host(request):
        found[_CRIO + "CNIResult"] = dumps(_cni_result(place, layout.config.runtime["namespaces_dir"]))
        found[_CRIO + "IP.0"] = place.ip
    found[_CRIO + "SeccompProfilePath"] = reference
    return dict(sorted(found.items()))


def labels_of(layout: Layout, request: SandboxRequest) -> Notes:
    """Return the labels of a sandbox: the request's, the kubelet's own where nobody sent them, and the infra's name."""
    labels = dict(request.labels)
    populates = layout.facts.has("populates-sandbox-labels")
    if populates and request.metadata:
        labels.setdefault(_POD + "name", request.metadata.name)
        labels.setdefault(_POD + "namespace", request.metadata.namespace)
        labels.setdefault(_POD + "uid", request.metadata.uid)
    if labels or populates:
        labels["io.kubernetes.container.name"] = "POD"
    return labels


def log_directory(layout: Layout, sandbox: SandboxRequest, place: SandboxPlace) -> str:
    """Return the directory of a pod's logs."""
    return sandbox.log_directory or posixpath.join(layout.config.tables["crio"]["log_dir"], place.id)


def _systemd(layout: Layout, own: Notes) -> Notes:
    found: Notes = {}
    if _GRACE_PERIOD in own:
        found["org.systemd.property.TimeoutStopUSec"] = f"uint64 {own[_GRACE_PERIOD]}000000"
    if layout.facts.has("systemd-collect-mode-annotation"):
        found["org.systemd.property.CollectMode"] = "'inactive-or-failed'"
    if layout.facts.has("systemd-dependencies-annotations"):
        found["org.systemd.property.DefaultDependencies"] = "true"
        found["org.systemd.property.After"] = "['crio.service']"
    return found


def _on_host(request: SandboxRequest) -> bool:
    security = sandbox_security(request)
    return bool(security and security.namespace_options and security.namespace_options.network == NODE)


def _volume(each: Mount, fields: list[str]) -> dict[str, Any]:
    values = {
        "container_path": each.container_path,
        "host_path": posixpath.normpath(each.host_path),
        "readonly": each.readonly,
        "recursive_read_only": each.recursive_read_only,
        "propagation": each.propagation,
        "selinux_relabel": each.selinux_relabel,
    }
    return {name: values[name] for name in fields}


def _ports(request: SandboxRequest) -> list[dict[str, Any]]:
    return [
        {
            "HostPort": each.host_port,
            "ContainerPort": each.container_port,
            "Protocol": _PROTOCOLS[each.protocol] if 0 <= each.protocol < len(_PROTOCOLS) else str(each.protocol),
            "HostIP": each.host_ip,
        }
        for each in request.port_mappings
        if each.host_port > 0
    ]


def _cni_result(place: SandboxPlace, namespaces: str) -> dict[str, Any]:
    interface = {"name": "eth0", "sandbox": posixpath.join(namespaces, "netns", pinned(place))}
    return {"cniVersion": "1.0.0", "interfaces": [interface], "ips": [{"interface": 0, "address": place.ip}]}


def _json(message: msgspec.Struct | None) -> str:
    return dumps(None if message is None else msgspec.to_builtins(message))


def _sorted(values: Notes) -> str:
    return dumps(dict(sorted(values.items()))) if values else "null"


def _word(value: bool) -> str:
    return "true" if value else "false"
