"""What a client can see of a CRI-O release: Version, Status, verbose info, names and error texts.

Verbose info is one key, `info`, that holds JSON. What Status shows of the configuration is what the daemon made of it:
the paths of conmon, pinns and the OCI runtimes are those of a usual installation where nobody configured others, and
there is no criu on the host.
Source: server/version.go, server/runtime_status.go, server/container_status.go, server/sandbox_status.go,
server/image_status.go at each tag; pkg/config/config.go for what validation fills in.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from runtimes.crio import names, notes
from runtimes.crio.config import keys, known_annotations
from runtimes.crio.layout import drops_infra
from runtimes.errors import Refused
from runtimes.facts import load as load_facts
from runtimes.gojson import dumps
from runtimes.persona import Condition, HandlerAnswer, Persona, StatusAnswer, VersionAnswer
from runtimes.request import ImageSpec

if TYPE_CHECKING:
    from runtimes.crio.config import Config, Handler
    from runtimes.crio.layout import Layout
    from runtimes.decision import Decision
    from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace
    from runtimes.release import Release
    from runtimes.request import ContainerRequest, SandboxRequest

_IMAGE_RPCS = {"StreamImages"}
_STREAMS = "Stream"
_METRICS = {"ListMetricDescriptors", "ListPodSandboxMetrics"}
_POD_CHECKPOINTS = {"CheckpointPod", "RestorePod"}
_NOT_THERE = "ID does not exist"
# RPCs that answer an id which is no unique prefix as they answer none at all.
_FORGIVING = {"StopPodSandbox", "RemovePodSandbox"}
_STATES = {"CONTAINER_CREATED": "created", "CONTAINER_RUNNING": "running", "CONTAINER_EXITED": "stopped"}
_RECURSIVE_KERNEL = (5, 12)  # the kernel that brought mount_setattr(2)
_MINIMUM_CREATE_TIMEOUT, _CREATE_TIMEOUT = 30, 240


class CrioPersona(Persona):
    """The persona of one daemon."""

    def __init__(self, release: Release, config: Config, layout: Layout) -> None:
        super().__init__(load_facts("runtimes.crio"), release)
        self.config, self.layout = config, layout
        self.create_order = tuple(self.value("create-order"))

    # --- refusals

    def refusal(self, situation: str, **details: str) -> Refused | None:
        """Return what this release answers in a situation; an ambiguous id is answered much as a missing one."""
        kind, _, what = situation.partition(".")
        if kind in ("sandbox", "container"):
            return self._by_id(kind, what, **details)
        return super().refusal(situation, **self._details(situation, details))

    def _details(self, situation: str, details: dict[str, str]) -> dict[str, str]:
        found = {"why": _NOT_THERE, **details}
        if situation.endswith(".name-reserved"):
            found["new"] = _identifier(details.get("name", ""), details.get("owner", ""))
        if situation.endswith(".handler-unknown"):
            found["handlers"] = "map[" + " ".join(f"{n}:{_pointer(n)}" for n in sorted(self.config.handlers)) + "]"
        if situation.endswith(".image-missing"):
            store = f"{self.config.tables['crio']['root']}+{self.config.tables['crio']['runroot']}"
            found["image_reference"] = f"[{self.layout.driver}@{store}]{details.get('image', '')}"
        if "state" in found:
            found["state"] = _STATES.get(found["state"], found["state"])
        return found

    def _by_id(self, kind: str, what: str, *, rpc: str, id: str = "") -> Refused | None:
        empty = what == "empty-id"
        if not empty and rpc in _FORGIVING:
            return None
        why = self.value(f"{kind}.{what}")
        plain = why if empty else f"{_OBJECTS[kind]} with ID starting with {id} not found: {why}: {id}"
        situation = _BY_ID.get(rpc, f"{rpc}.missing")
        if empty and kind == "sandbox" and rpc in (*_FORGIVING, "CreateContainer"):
            return Refused("UNKNOWN", plain)
        if rpc in ("StopContainer", "RemoveContainer"):
            return Refused("NOT_FOUND", f'could not find container "{id}": {plain}')
        missing = self.value(situation) if situation in self.facts else None
        if not isinstance(missing, dict):
            return Refused("UNKNOWN", plain)
        before = missing["message"].format_map({"id": id, "why": ""}).rpartition(f"{_OBJECTS[kind]} with ID")[0]
        return Refused(missing["code"], before + plain)

    def unimplemented(self, rpc: str) -> Refused | None:
        """Return the refusal of an RPC that this release does not have, None where it has it."""
        fact = "stream-rpcs" if rpc.startswith(_STREAMS) else "pod-checkpoint-rpcs" if rpc in _POD_CHECKPOINTS else rpc
        if fact in self.facts and not self.has(fact):
            service = "ImageService" if rpc in _IMAGE_RPCS else "RuntimeService"
            api = self.apis[0]
            return Refused("UNIMPLEMENTED", f"unknown method {rpc} for service runtime.{api}.{service}")
        if rpc in _METRICS and not self.has("metrics-implemented"):
            return Refused("UNIMPLEMENTED", "method unimplemented")
        return None

    @property
    def reserved_returns_owner(self) -> bool:
        """Whether a request for a reserved name is answered with the id of the object that has it."""
        return self.has("returns-reserved")

    # --- Version and Status

    def version(self, api: str) -> VersionAnswer:
        """Answer Version. `v1alpha1` is what the oldest releases say, whatever they serve."""
        return VersionAnswer("0.1.0", "cri-o", self.release.upstream, self.value("runtime-api-version") or api)

    def status(self) -> StatusAnswer:
        """Answer Status. The real daemon lists its handlers in no order; here the default one is last, as ""."""
        conditions = (Condition("RuntimeReady", True), Condition("NetworkReady", True))
        handlers: tuple[HandlerAnswer, ...] = ()
        if self.has("status-handlers"):
            shown = [(name, name) for name in self.config.handlers] + [("", self.config.default_runtime)]
            handlers = tuple(HandlerAnswer(name, self._mounts_read_only(handler)) for name, handler in shown)
        features = {"supplemental_groups_policy": True} if self.has("status-features") else None
        return StatusAnswer(conditions, handlers, features, self._status_info())

    def _mounts_read_only(self, handler: str) -> bool:
        """Whether a handler can mount read-only recursively: Debian 12's runc says so, its crun says nothing."""
        kernel = re.match(r"(\d+)\.(\d+)", self.layout.host.kernel)
        return handler != "crun" and kernel is not None and (int(kernel[1]), int(kernel[2])) >= _RECURSIVE_KERNEL

    def _status_info(self) -> dict[str, str]:
        kind = self.value("status-info")
        if kind == "none":
            return {}
        image = {"sandboxImage": self.pause_image}
        return {"config": dumps({"crio": self._runtime_table(), **image} if kind == "runtime" else image)}

    def _runtime_table(self) -> dict[str, Any]:
        """The runtime table with the Go names of its fields, as validation left it."""
        shown: dict[str, Any] = {}
        for key in keys("runtime"):
            if key.field and self.release in key.span:
                shown[key.field] = self.config.runtime[key.key]
        shown["Runtimes"] = {
            name: self._handler_table(self.config.handlers[name]) for name in sorted(self.config.handlers)
        }
        shown["Workloads"] = self.config.workloads or None
        shown["Conmon"] = shown["Conmon"] or "/usr/bin/conmon"
        shown["PinnsPath"] = shown["PinnsPath"] or "/usr/bin/pinns"
        shown["EnableCriuSupport"] = False
        shown["CtrStopTimeout"] = max(shown["CtrStopTimeout"], 30)
        return shown

    def _handler_table(self, handler: Handler) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key in keys("handler"):
            if key.field and self.release in key.span:
                shown[key.field] = handler[key.key] if handler[key.key] is not None else _ZERO[key.type]
                if key.field == "AllowedAnnotations":
                    granted = set(handler.allowed_annotations)
                    shown["DisallowedAnnotations"] = [n for n in known_annotations(self.release) if n not in granted]
        runtime = self.config.runtime
        shown["RuntimePath"] = shown["RuntimePath"] or f"/usr/bin/{handler.name}"
        shown["MonitorPath"] = runtime["conmon"] or shown["MonitorPath"] or "/usr/bin/conmon"
        shown["MonitorCgroup"] = runtime["conmon_cgroup"] or shown["MonitorCgroup"]
        if self.layout.systemd:
            shown["MonitorCgroup"] = shown["MonitorCgroup"] or "system.slice"
        shown["MonitorEnv"] = runtime["conmon_env"] or shown["MonitorEnv"]
        shown["ContainerMinMemory"] = shown["ContainerMinMemory"] or "12MiB"
        if "ContainerCreateTimeout" in shown:
            wanted = shown["ContainerCreateTimeout"]
            shown["ContainerCreateTimeout"] = max(wanted, _MINIMUM_CREATE_TIMEOUT) if wanted else _CREATE_TIMEOUT
        return shown

    def cgroup_driver(self) -> str:
        """Answer RuntimeConfig."""
        return "SYSTEMD" if self.layout.systemd else "CGROUPFS"

    # --- names

    def sandbox_name(self, request: SandboxRequest) -> str:
        """Return the name under which a sandbox is reserved."""
        return names.sandbox(request)

    def container_name(self, request: ContainerRequest, sandbox: SandboxRequest, sandbox_id: str) -> str:
        """Return the name under which a container is reserved."""
        del sandbox_id  # the pod's own name is in it
        return names.container(request, sandbox)

    def sandbox_labels(self, request: SandboxRequest) -> dict[str, str]:
        """Return the labels that PodSandboxStatus and ListPodSandbox show: CRI-O adds its own."""
        return notes.labels_of(self.layout, request)

    # --- verbose info

    def sandbox_info(
        self, request: SandboxRequest, place: SandboxPlace, decision: Decision, *, running: bool
    ) -> dict[str, str]:
        """Return the verbose info of PodSandboxStatus; a dropped infra container has no image and no process."""
        if not self.has("sandbox-info"):
            return {}
        shown: dict[str, Any] = {"runtimeSpec": decision.spec}
        if not drops_infra(request, self.config):
            shown = {"image": self.pause_image, "pid": place.pid if running else 0, **shown}
        elif not self.has("dropped-sandbox-info"):
            shown = {}
        return {"info": dumps(shown)}

    def container_info(
        self,
        request: ContainerRequest,
        place: ContainerPlace,
        sandbox_place: SandboxPlace,
        decision: Decision,
        *,
        state: int,
    ) -> dict[str, str]:
        """Return the verbose info of ContainerStatus. The pid is there from the creation on, and stays."""
        del state
        security = request.linux.security_context if request.linux else None
        shown = {"sandboxID": sandbox_place.id, "pid": place.pid, "runtimeSpec": decision.spec}
        if self.has("container-info-privileged"):
            shown["privileged"] = bool(security and security.privileged)
        return {"info": dumps(shown)}

    def image_info(self, image: ImageFacts) -> dict[str, str]:
        """Return the verbose info of ImageStatus: the image's configuration."""
        fields = {
            "User": image.user,
            "Env": list(image.env),
            "Entrypoint": list(image.entrypoint),
            "Cmd": list(image.cmd),
            "Volumes": {name: {} for name in image.volumes},
            "WorkingDir": image.working_dir,
            "StopSignal": image.stop_signal,
        }
        shown = {
            "created": image.created,
            "architecture": self.layout.host.arch,
            "os": "linux",
            "config": {name: value for name, value in fields.items() if value},
            "rootfs": {"type": "layers", "diff_ids": list(image.diff_ids)},
        }
        return {"info": dumps({"imageSpec": {name: value for name, value in shown.items() if value}})}

    def image_id(self, image: ImageFacts) -> str:
        """Return an image's id: bare digits, without the algorithm."""
        return image.id.removeprefix("sha256:")

    def image_ref(self, image: ImageFacts) -> str:
        """Return the first digest by which the image is known, its id where there is none or the release says so."""
        return self._reference(image, "image-ref")

    def pulled_ref(self, image: ImageFacts) -> str:
        """Return what PullImage answers."""
        return self._reference(image, "pulled-ref")

    def _reference(self, image: ImageFacts, fact: str) -> str:
        digests = image.repo_digests if self.value(fact) == "digest" else ()
        return digests[0] if digests else self.image_id(image)

    @property
    def ended_have_stats(self) -> bool:
        """Whether ListContainerStats shows containers that have exited."""
        return self.has("ended-have-stats")

    @property
    def unsent(self) -> frozenset[str]:
        """The fields of ContainerStatus that this release leaves empty; none says how to stop the container."""
        return frozenset(field for field, fact in _SENT.items() if not self.has(fact)) | {"stop_signal"}

    def shown_image(self, request: ContainerRequest, place: ContainerPlace) -> str:
        """Return some name of the image."""
        return place.image_reference or (request.image.image if request.image else "")

    def listed_image(self, request: ContainerRequest, place: ContainerPlace) -> ImageSpec:
        """Return the name by which the request asked for the image, and nothing else of what it said."""
        del place
        return ImageSpec(image=request.image.image if request.image else "")

    @property
    def pause_image(self) -> str:
        """The image of the infra container, as the configuration names it."""
        name: str = self.config.tables["crio.image"]["pause_image"]
        return name


_OBJECTS = {"sandbox": "PodSandbox", "container": "container"}
_BY_ID = {"CreateContainer": "CreateContainer.sandbox-missing"}
_SENT = {"resources": "container-resources", "image_id": "container-image-id", "user": "container-user"}
_ZERO: dict[str, Any] = {"string": "", "bool": False, "integer": 0, "list": None, "map": None}


def _identifier(*parts: str) -> str:
    """An id that stands for the random one of the real daemon: the same question has the same answer."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def _pointer(name: str) -> str:
    return f"0xc000{_identifier(name)[:6]}"
