"""A node to ask: `shim.skew.experiments.site`, as a test wants to handle it.

Its kubelet is that of `crishim kubelet`. It does not look by itself but whenever something is done here, so what a test
reads has come to rest.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Literal

from runtimes.errors import BadInput, CrishimError
from shim import nodefile
from shim.skew.experiments import experiment as does
from shim.testing.manifests import plain_pod, read_pods
from shim.testing.pods import CriContainer, CriPod, CriSandbox, HandmadeContainer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shim.kubelet.api import Source
    from shim.nodefile import Document
    from shim.testing.behind import Behind


class CriNode:
    """A node. `root` stands for its file system, `base` is where relative paths of manifests start.

    What is done to it is told in sentences, which the methods return: what its kubelet and its runtimes say.
    """

    def __init__(self, behind: Behind, root: Path, base: str) -> None:
        self.root, self.base = root, base
        self._behind = behind

    def __repr__(self) -> str:
        return f"<node {self.name}>"

    @property
    def name(self) -> str:
        """What it is: "containerd 2.0.9, kubelet 1.30.2"."""
        return self._behind.name

    @property
    def document(self) -> Document:
        """The node document, as it is written down."""
        return self._behind.site.document

    @property
    def says(self) -> tuple[str, ...]:
        """What was said about the last thing that was done."""
        return tuple(self._behind.site.says)

    # Pods from manifests

    def create(self, manifest: Any, *, source: Source = "api", handler: str = "") -> CriPod:
        """Have the kubelet run the one pod of a manifest: YAML or JSON, a mapping, or the path of a file.

        Each call makes another pod; the second one of a name is called shop-2, as a Deployment's have names of their
        own. A pod that is refused is there all the same, and says so. `source` "static" makes it a file of the node;
        `handler` is the RuntimeHandler that a RuntimeClass would name. Raises `BadInput` for what is no manifest, and
        `Refused` where the node's kubelet does not run.
        """
        pods = read_pods(manifest, self.base)
        if len(pods) != 1:
            what = f"there are {len(pods)} pods in the manifest: {', '.join(map(str, pods)) or 'none'}"
            raise BadInput(what, right="create_all makes them all")
        return CriPod(self._behind, *self._behind.deploy(pods[0], source, handler))

    def create_all(self, manifest: Any, *, source: Source = "api", handler: str = "") -> list[CriPod]:
        """Do the same for every pod of a manifest: a List, several documents, what `kubectl get` printed."""
        pods = read_pods(manifest, self.base)
        return [CriPod(self._behind, *self._behind.deploy(pod, source, handler)) for pod in pods]

    def container(
        self, manifest: Any = None, name: str = "", *, source: Source = "api", handler: str = "", **security: Any
    ) -> CriContainer:
        """Have the kubelet run a pod, and return one of its containers, the only one where no name is given.

        Without a manifest the pod has one container, and the keywords are the securityContext of that:
        `container(seccompProfile={"type": "RuntimeDefault"})`, `container(privileged=True)`.
        """
        if manifest is not None and security:
            raise BadInput(f"{', '.join(security)} besides a manifest", right="write it into the manifest")
        pod = self.create(plain_pod(security) if manifest is None else manifest, source=source, handler=handler)
        everyone = pod.containers
        return pod[name] if name or len(everyone) != 1 else everyone[0]

    # Requests in the shape of the CRI

    def run_sandbox(self, config: Mapping[str, Any] | None = None, handler: str = "") -> CriSandbox:
        """Make a sandbox from a CRI request, a PodSandboxConfig as crictl takes it, by default one that says nothing.

        What comes back makes containers from CRI requests. Raises `Refused` as the runtime does.
        """
        config = dict(config or {})
        if "metadata" not in config:
            number = len(self.call("ListPodSandbox").items) + 1
            config["metadata"] = {"name": f"sandbox-{number}", "namespace": "default", "uid": f"sandbox-{number}"}
        made = self.call("RunPodSandbox", config=config, runtime_handler=handler).pod_sandbox_id
        pod = "/".join(config["metadata"].get(key, "") for key in ("namespace", "name"))
        return CriSandbox(self._behind, made, pod)

    def call(self, method: str, **fields: Any) -> Any:
        """Call the CRI, `call("ListContainers", filter={...})`, and return the message that comes back.

        Raises `Refused`, and `BadInput` for fields that the request does not have.
        """
        return self._behind.call(method, **fields)

    def find(self, id: str) -> CriContainer:
        """Return a container by its id, or the beginning of one, whoever made it. Raises `Refused` if there is none."""
        full = self.call("ContainerStatus", container_id=id).status.id
        for seen in self._behind.look():
            if seen.id == full:
                return CriContainer(self._behind, seen)
        return HandmadeContainer(self._behind, self._behind.foreign(full))

    # What happens to a node

    def set(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Change settings, `{"runtime.version": "2.0.0", "kubelet.seccompDefault": True}`; return what differs now.

        The kubelet, or the runtimes, are started again where something about them changed. What runs keeps what it was
        made with, unless the new kubelet restarts it. Raises `BadInput`, and `Refused` where a component does not start
        so; then nothing has changed.
        """
        before, texts = self.document, _texts(settings)
        after = nodefile.apply_settings(before, texts)
        if after.host != before.host:
            raise BadInput("a node stays on its host", field="host", right="another node")
        try:
            nodefile.open_node(after)
        except CrishimError as fault:
            raise fault.with_traceback(None) from None  # how it came about is of no interest to a test
        self._behind.do(does.Configure(settings=texts))
        if (after.runtime, after.handlers) != (before.runtime, before.handlers):
            self.restart("runtime")
        if after.kubelet != before.kubelet:
            self.restart("kubelet")
        return nodefile.changes(before, after)

    def write_down(self, settings: Mapping[str, Any]) -> None:
        """Change settings that count when their component reads them next: at a `restart`, `reload` or `reboot`."""
        self._behind.do(does.Configure(settings=_texts(settings)))

    def restart(self, component: Literal["kubelet", "runtime"]) -> tuple[str, ...]:
        """Start the kubelet or the runtimes anew. One that does not start stays down, and what runs goes on."""
        return self._behind.do(does.Restart(component=component))

    def reload(self) -> tuple[str, ...]:
        """Tell the runtimes to read their configuration again, as SIGHUP does."""
        return self._behind.do(does.Reload())

    def reboot(self) -> tuple[str, ...]:
        """Have everything end and start again."""
        return self._behind.do(does.Reboot())

    def wait(self, seconds: float) -> tuple[str, ...]:
        """Let time pass and have the kubelet look: it tries again what failed, and starts again what ended."""
        return self._behind.do(does.Wait(seconds=seconds))

    def write(self, path: str, content: str | bytes | Mapping[str, Any]) -> str:
        """Put a file at an absolute path of the node, and return the path. A mapping is written as JSON."""
        place = self.root / os.path.normpath(f"/{path}").lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def _texts(settings: Mapping[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
