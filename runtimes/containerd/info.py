"""The verbose info of containerd's answers: one text of JSON, in the order of its own structs.

Source: container_status.go (ContainerInfo), sandbox_status.go (SandboxInfo), internal/cri/store/sandbox/metadata.go,
images/image_status.go (verboseImageInfo), vendor/github.com/containerd/go-cni/result.go.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from runtimes.containerd.received import received
from runtimes.containerd.sandbox import network_namespace
from runtimes.gojson import Toolchain, dumps
from runtimes.request import NODE, sandbox_security

if TYPE_CHECKING:
    from runtimes.containerd.config import Handler
    from runtimes.containerd.known import Known
    from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace
    from runtimes.request import ContainerRequest, Message, SandboxRequest

_RUNNING = 1  # ContainerState
_SNAPSHOTTER = "overlayfs"
# runc's options, in the order of io.containerd.runc.v1.Options.
_OPTIONS = (
    "no_pivot_root no_new_keyring shim_cgroup io_uid io_gid binary_name root criu_path systemd_cgroup criu_image_path "
    "criu_work_path task_api_address task_api_version"
).split()
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def container(
    request: ContainerRequest,
    place: ContainerPlace,
    sandbox_place: SandboxPlace,
    spec: dict[str, Any],
    handler: Handler,
    known: Known,
    *,
    state: int,
) -> str:
    """Return the info of ContainerStatus."""
    found = {
        "sandboxID": sandbox_place.id,
        "pid": place.pid if state == _RUNNING else 0,
        "removing": False,
        "snapshotKey": place.id,
        "snapshotter": handler.get("snapshotter") or _SNAPSHOTTER,
        "runtimeType": handler.get("runtimeType"),
        "runtimeOptions": _options(handler),
        "config": _message(request, known),
        "runtimeSpec": spec,
    }
    return dumps(found, Toolchain(known.value("json-toolchain")))


def sandbox(
    request: SandboxRequest,
    place: SandboxPlace,
    spec: dict[str, Any],
    handler: Handler,
    image: str,
    known: Known,
    *,
    running: bool,
) -> str:
    """Return the info of PodSandboxStatus. `image` is the pause image by its name."""
    config = _message(request, known)
    network = None if on_host_network(request) else _network(place, known)
    values = {
        "pid": place.pid if running else 0,
        "processStatus": "running" if running else "deleted",
        "netNamespaceClosed": not running and network is not None,
        "image": image,
        "snapshotKey": place.id,
        "snapshotter": handler.get("snapshotter") or _SNAPSHOTTER,
        "runtimeHandler": place.requested_handler,
        "runtimeType": handler.get("runtimeType"),
        "runtimeOptions": _options(handler),
        "config": config,
        "runtimeSpec": spec,
        "cniResult": network,
        "sandboxMetadata": _metadata(request, place, config, network),
    }
    # Overhead and resources are shown once they were updated, which no request of these does.
    found = {key: values[key] for key in known.value("sandbox-info") if key in values}
    return dumps(found, Toolchain(known.value("json-toolchain")))


def image(facts: ImageFacts, arch: str) -> str:
    """Return the info of ImageStatus. `arch` is a GOARCH."""
    config = {
        "User": facts.user,
        "Env": list(facts.env),
        "Entrypoint": list(facts.entrypoint),
        "Cmd": list(facts.cmd),
        "Volumes": {volume: {} for volume in sorted(facts.volumes)},
        "WorkingDir": facts.working_dir,
        "StopSignal": facts.stop_signal,
    }
    spec: dict[str, Any] = {"created": facts.created} if facts.created else {}
    spec["architecture"], spec["os"] = arch, "linux"
    spec["config"] = {key: value for key, value in config.items() if value}
    spec["rootfs"] = {"type": "layers", "diff_ids": list(facts.diff_ids)}
    return dumps({"chainID": _chain(facts.diff_ids), "imageSpec": spec})


def on_host_network(request: SandboxRequest) -> bool:
    """Whether a pod is on the host's network."""
    security = sandbox_security(request)
    return bool(security and security.namespace_options and security.namespace_options.network == NODE)


def sandbox_name(request: SandboxRequest) -> str:
    """Return the name of a sandbox among containerd's."""
    metadata = request.metadata
    if metadata is None:
        return ""
    return f"{metadata.name}_{metadata.namespace}_{metadata.uid}_{metadata.attempt}"


def _message(request: Message, known: Known) -> dict[str, Any]:
    return msgspec.to_builtins(received(request, known))  # type: ignore[no-any-return]


def _options(handler: Handler) -> dict[str, Any] | None:
    options = handler.get("options")
    if options is None:
        return None
    spelled = {_WORD.sub("_", name).lower(): value for name, value in options.items()}
    return {name: spelled[name] for name in _OPTIONS if spelled.get(name)}


def _metadata(
    request: SandboxRequest, place: SandboxPlace, config: dict[str, Any], network: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "Version": "v1",
        "Metadata": {
            "ID": place.id,
            "Name": sandbox_name(request),
            "Config": config,
            "NetNSPath": network_namespace(place) if network else "",
            "IP": place.ip if network else "",
            "AdditionalIPs": None,
            "RuntimeHandler": place.requested_handler,
            "CNIResult": network,
            "ProcessLabel": "",
        },
    }


def _network(place: SandboxPlace, known: Known) -> dict[str, Any]:
    """Return what the network plugin of a simulated node answered: an address on a bridge, and the loopback."""
    gateway = ".".join([*place.ip.split(".")[:3], "1"]) if place.ip else ""
    digest = hashlib.sha256(place.id.encode()).hexdigest()
    mac = "0a:" + ":".join(digest[at : at + 2] for at in range(0, 10, 2))
    own = [{"IP": place.ip, "Gateway": gateway}] if place.ip else None
    loopback = [{"IP": "127.0.0.1", "Gateway": ""}, {"IP": "::1", "Gateway": ""}]
    interfaces: dict[str, dict[str, Any]] = {
        "eth0": {"IPConfigs": own, "Mac": mac, "Sandbox": network_namespace(place)},
        "lo": {"IPConfigs": loopback, "Mac": "00:00:00:00:00:00", "Sandbox": network_namespace(place)},
    }
    if known.has("cni-interface-details"):
        for interface in interfaces.values():
            interface["PciID"] = interface["SocketPath"] = ""
    return {"Interfaces": interfaces, "DNS": [{}, {}], "Routes": None}


def _chain(layers: tuple[str, ...]) -> str:
    """Return the chain id of layers: what names the file system that they make together."""
    chain = ""
    for layer in layers:
        chain = f"sha256:{hashlib.sha256(f'{chain} {layer}'.encode()).hexdigest()}" if chain else layer
    return chain
