"""What a client can see of containerd: Version, Status, names, refusals, verbose info.

Source: version.go, status.go, helpers.go, service.go of pkg/cri/server and internal/cri/server at each tag. The texts
are in `facts.yaml`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from runtimes.containerd import info
from runtimes.containerd.known import api, every
from runtimes.containerd.received import received
from runtimes.errors import Refused
from runtimes.gojson import Toolchain, dumps, quote
from runtimes.persona import Condition, HandlerAnswer, Persona, StatusAnswer, VersionAnswer
from runtimes.request import ImageSpec

if TYPE_CHECKING:
    from runtimes.containerd.config import Config, Handler
    from runtimes.containerd.known import Known
    from runtimes.decision import Decision
    from runtimes.host import Host
    from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace
    from runtimes.request import ContainerRequest, SandboxRequest

_KUBE_API = "0.1.0"
_IMAGE_RPCS = frozenset({"ListImages", "StreamImages", "ImageStatus", "PullImage", "RemoveImage", "ImageFsInfo"})
_STATUS_FIELDS = {
    "resources": "status-resources",
    "user": "status-user",
    "image_id": "status-image-id",
    "stop_signal": "status-stop-signal",
}
_DEPRECATION = "io.containerd.deprecation/"


class ContainerdPersona(Persona):
    """One build of containerd with its configuration, as a client sees it."""

    def __init__(self, known: Known, config: Config, host: Host) -> None:
        super().__init__(every(), known.release)
        self.known, self.config, self.host = known, config, host

    def value(self, fact: str) -> Any:
        """Return the value that a fact has for this build."""
        return self.known.value(fact)

    def has(self, fact: str) -> bool:
        """Whether a fact holds for this build."""
        return self.known.has(fact)

    def refusal(self, situation: str, **details: str) -> Refused | None:
        """Return what this release answers. What comes from outside is quoted as %q quotes it."""
        # The id of an object that never comes to exist is made up by the real one too.
        details.setdefault("id", hashlib.sha256(repr(sorted(details.items())).encode()).hexdigest())
        quoted = {name: quote(text)[1:-1] for name, text in details.items()}
        prefix = self.value("lookup-prefixes").get(details.get("rpc", ""), "")
        return super().refusal(situation, **quoted, prefix=prefix.format_map(quoted))

    def unimplemented(self, rpc: str) -> Refused | None:
        """Return the refusal of an RPC that this release does not have."""
        if rpc not in api()["rpcs"]:
            return None
        if not self.has(f"rpc {rpc}"):
            service = "ImageService" if rpc in _IMAGE_RPCS else "RuntimeService"
            text = self.value("unknown-rpc").format(rpc=rpc, api=self.apis[0], service=service)
            return Refused("UNIMPLEMENTED", text)
        if "implemented" in api()["rpcs"][rpc] and not self.has(f"answers {rpc}"):
            return Refused("UNIMPLEMENTED", self.value("refused-rpc").format(rpc=rpc))
        return None

    def version(self, api: str) -> VersionAnswer:
        """Answer Version."""
        shown = api if api in self.apis else self.apis[0]
        return VersionAnswer(_KUBE_API, "containerd", self._runtime_version(), shown)

    def status(self) -> StatusAnswer:
        """Answer Status: ready, with what the configuration and the build say."""
        conditions = [Condition("RuntimeReady", status=True), Condition("NetworkReady", status=True)]
        if self.has("deprecation-condition"):
            conditions.append(self._deprecations())
        features = self.value("runtime-features")
        details = {
            "config": self._json(self.config.shown),
            "golang": self._json(self.value("golang")),
            "cniconfig": self._json(self._networks()),
            **dict.fromkeys(self.value("cni-load-status"), "OK"),
        }
        return StatusAnswer(tuple(conditions), self._handlers(), features and dict(features), details)

    def cgroup_driver(self) -> str:
        """Answer RuntimeConfig: what the options of the default runtime say."""
        options = self._handler("").get("options") or {}
        return "SYSTEMD" if options.get("SystemdCgroup") or self.config.get("systemdCgroup") else "CGROUPFS"

    def sandbox_name(self, request: SandboxRequest) -> str:
        """Return the name under which a sandbox is reserved."""
        return info.sandbox_name(request)

    def container_name(self, request: ContainerRequest, sandbox: SandboxRequest, sandbox_id: str) -> str:
        """Return the name under which a container is reserved."""
        del sandbox_id
        own, pod = request.metadata, sandbox.metadata
        names = (own.name if own else "", *((pod.name, pod.namespace, pod.uid) if pod else ("", "", "")))
        return "_".join((*names, str(own.attempt if own else 0)))

    def sandbox_info(
        self, request: SandboxRequest, place: SandboxPlace, decision: Decision, *, running: bool
    ) -> dict[str, str]:
        """Return the verbose info of PodSandboxStatus."""
        handler, pause = self._handler(place.handler), self.config.pause_image
        text = info.sandbox(request, place, decision.spec, handler, pause, self.known, running=running)
        return {"info": text}

    def container_info(
        self,
        request: ContainerRequest,
        place: ContainerPlace,
        sandbox_place: SandboxPlace,
        decision: Decision,
        *,
        state: int,
    ) -> dict[str, str]:
        """Return the verbose info of ContainerStatus."""
        handler = self._handler(sandbox_place.handler)
        text = info.container(request, place, sandbox_place, decision.spec, handler, self.known, state=state)
        return {"info": text}

    def image_info(self, image: ImageFacts) -> dict[str, str]:
        """Return the verbose info of ImageStatus."""
        return {"info": info.image(image, self.host.arch)}

    def image_id(self, image: ImageFacts) -> str:
        """Return an image's id."""
        return image.id

    def image_ref(self, image: ImageFacts) -> str:
        """Return the digest under which an image is known, else its id."""
        return image.repo_digests[0] if image.repo_digests else image.id

    def shown_image(self, request: ContainerRequest, place: ContainerPlace) -> str:
        """Return the image by its first tag, else as the request named it."""
        if place.image.repo_tags:
            return place.image.repo_tags[0]
        return request.image.image if request.image else ""

    def listed_image(self, request: ContainerRequest, place: ContainerPlace) -> ImageSpec:  # noqa: ARG002
        """Return the image as the request named it, as far as this release's API does: a list looks nothing up."""
        return received(request, self.known).image or ImageSpec()

    def listed_ref(self, image: ImageFacts) -> str:
        """Return the image's id, for the same reason."""
        return self.image_id(image)

    @property
    def unsent(self) -> frozenset[str]:
        """The fields of ContainerStatus that this release leaves empty."""
        return frozenset(field for field, fact in _STATUS_FIELDS.items() if not self.known.has(fact))

    @property
    def pause_image(self) -> str:
        """The image of the pause container."""
        return self.config.pause_image

    def _handler(self, name: str) -> Handler:
        return self.config.handlers.get(name) or self.config.handlers[self.config.default_handler]

    def _handlers(self) -> tuple[HandlerAnswer, ...]:
        if not self.has("status-handlers"):
            return ()
        return tuple(HandlerAnswer(name, **self.value("handler-features")) for name in ("", *self.config.handlers))

    def _deprecations(self) -> Condition:
        warnings = {}
        if self.host.cgroup == 1 and self.has("cgroup-v1-deprecated"):
            warnings[f"{_DEPRECATION}cgroup-v1"] = self.value("cgroup-v1-deprecated")
        ignored = self.config.get("ignoreDeprecationWarnings") or ()
        warnings = {name: text for name, text in warnings.items() if name not in ignored}
        if not warnings:
            return Condition("ContainerdHasNoDeprecationWarnings", status=True)
        return Condition(
            "ContainerdHasNoDeprecationWarnings",
            status=False,
            reason="ContainerdHasDeprecationWarnings",
            message=self._json(warnings),
        )

    def _networks(self) -> dict[str, Any]:
        """Return the network configuration of a simulated node: the loopback, and a bridge for the pods."""
        cni = self.config.get("cni")
        return {
            "PluginDirs": cni.get("binDirs") or [cni["binDir"]],
            "PluginConfDir": cni["confDir"],
            "PluginMaxConfNum": cni.get("maxConfNum", 0),
            "Prefix": "eth",
            "Networks": [self._network("cni-loopback", "loopback", "lo"), self._network("pods", "bridge", "eth0")],
        }

    def _network(self, name: str, plugin: str, interface: str) -> dict[str, Any]:
        short = self.has("cni-sorted-network")
        network = {"ipam": {}, "type": plugin} if short else {"type": plugin, "ipam": {}, "dns": {}}
        source = f'{{\n"cniVersion": "0.3.1",\n"name": "{name}",\n"plugins": [{{\n  "type": "{plugin}"\n}}]\n}}'
        plugins = [{"Network": network, "Source": f'{{"type":"{plugin}"}}'}]
        config = {"Name": name, "CNIVersion": "0.3.1", "Plugins": plugins, "Source": source}
        return {"Config": config, "IFName": interface}

    def _json(self, value: Any) -> str:
        return dumps(value, Toolchain(self.value("json-toolchain")))

    def _runtime_version(self) -> str:
        """Return what the build calls itself: upstream's by its tag, Debian's by its package without the revision."""
        if self.known.of_distribution and "runtime-version" in self.value("distribution-builds"):
            return str(self.value("distribution-builds")["runtime-version"])
        text = self.release.text.removeprefix("v")
        if text == self.release.upstream:
            return f"v{text}"
        return text.partition("-")[0] if "~" in text else text
