"""Plays cases over a CRI socket: the same requests to whoever serves it, and what came of each.

A case is a request in the CRI's own spelling, enums as numbers (tests/containerd/recorded.json.gz). Pods and containers
are named by a serial number, so both sides get the same bytes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format

from scripts.beside.images import CONTAINER
from shim.cri.pb.runtime.v1 import api_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

Case = dict[str, Any]
Outcome = dict[str, Any]

_NAMESPACES = {"network": 0, "pid": 1, "ipc": 0}
_OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.default_authority", "localhost")]
_TIMEOUT = 60


class Player:
    """One side. `folder` holds the profile files and takes the logs; `sandboxes` are the pods that cases share."""

    def __init__(self, socket: Path, folder: Path, sandboxes: dict[str, Case]) -> None:
        self.folder, self.sandboxes = folder, sandboxes
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        self._running: dict[str, tuple[str, Any, Outcome | None]] = {}
        self._serial = 0

    def call(self, method: str, *, service: str = "RuntimeService", **fields: Any) -> Any:
        """Make a call. Raises `grpc.RpcError`."""
        return _call(self._channel, method, service, fields)

    def play(self, case: Case) -> Outcome:
        """Return what came of a case: outcome, step, code and message, or the spec that was made."""
        self._serial += 1
        if case["kind"] == "sandbox":
            sandbox, _, refused = self._run(case, f"s{self._serial}")
            if refused:
                return refused
            try:
                return _answered(self.call("PodSandboxStatus", pod_sandbox_id=sandbox, verbose=True))
            finally:
                self._drop(sandbox)
        return self._container(case, f"c{self._serial}")

    def close(self) -> None:
        """Remove every pod."""
        for sandbox, _, _ in self._running.values():
            if sandbox:
                self._drop(sandbox)
        self._running.clear()
        self._channel.close()

    def _container(self, case: Case, name: str) -> Outcome:
        shared = case["sandbox"]
        if shared not in self._running:
            self._running[shared] = self._run(self.sandboxes[shared], shared)
        sandbox, sandbox_config, refused = self._running[shared]
        if refused:
            return refused
        image = case.get("image") or CONTAINER
        config = self._config(case, self.sandboxes[shared].get("security_context", {})) | {
            "image": {"image": image, "user_specified_image": image},
            "command": ["/bin/busybox"],
            "args": ["sleep", "30"],
            "log_path": f"{name}.log",
            **self._filled(case.get("config", {})),
        }
        if not case.get("no_metadata"):
            config["metadata"] = {"name": case.get("name") or name, "attempt": self._serial}
        if "linux" in config:
            config["linux"].setdefault("resources", {})
        message = json_format.ParseDict(config, pb.ContainerConfig())
        try:
            fields = {"pod_sandbox_id": sandbox, "config": message, "sandbox_config": sandbox_config}
            container = self.call("CreateContainer", **fields).container_id
        except grpc.RpcError as error:
            return _refused(error, "CreateContainer")
        try:
            found = _answered(self.call("ContainerStatus", container_id=container, verbose=True))
            return found | ({"start": self._start(container)} if "start" in case else {})
        finally:
            self.call("RemoveContainer", container_id=container)

    def _start(self, container: str) -> str:
        try:
            self.call("StartContainer", container_id=container)
        except grpc.RpcError as error:
            return f"{error.code().name}: {neutral(error.details() or '')}"
        return "ok"

    def _run(self, case: Case, name: str) -> tuple[str, Any, Outcome | None]:
        """Run a pod; return its id and configuration, or the refusal."""
        uid = f"00000000-0000-4000-8000-{self._serial:012d}"
        config = self._config(case, {}) | {"log_directory": str(self.folder / "logs" / uid)} | case.get("config", {})
        if not case.get("no_metadata"):
            config["metadata"] = {"name": name, "uid": uid, "namespace": "beside"}
        message = json_format.ParseDict(config, pb.PodSandboxConfig())
        try:
            return self.call("RunPodSandbox", config=message).pod_sandbox_id, message, None
        except grpc.RpcError as error:
            return "", message, _refused(error, "RunPodSandbox")

    def _drop(self, sandbox: str) -> None:
        self.call("StopPodSandbox", pod_sandbox_id=sandbox)
        self.call("RemovePodSandbox", pod_sandbox_id=sandbox)

    def _config(self, case: Case, pod: Case) -> dict[str, Any]:
        """Return what pods and containers have in common."""
        config: dict[str, Any] = {"labels": {"crishim": "1"}, "annotations": case.get("annotations") or {}}
        if case.get("no_linux"):
            return config
        config["linux"] = dict(case.get("linux", {}))
        if not case.get("no_security_context"):
            context = case.get("security_context") or {}
            options = {"namespace_options": pod.get("namespace_options", _NAMESPACES)}
            config["linux"]["security_context"] = self._filled(options | context)
        return config

    def _filled(self, value: Any) -> Any:
        """Return JSON-shaped values with the folder of the profiles filled in."""
        return json.loads(json.dumps(value).replace("${PROFILE_DIR}", str(self.folder / "profiles")))


def call(socket: Path, method: str, *, service: str = "RuntimeService", **fields: Any) -> Any:
    """Make a single call. Raises `grpc.RpcError`."""
    with grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS) as channel:
        return _call(channel, method, service, fields)


def _call(channel: grpc.Channel, method: str, service: str, fields: dict[str, Any]) -> Any:
    answer = pb.DESCRIPTOR.services_by_name[service].methods_by_name[method].output_type.name
    rpc: Any = channel.unary_unary(
        f"/runtime.v1.{service}/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=getattr(pb, answer).FromString,
    )
    return rpc(getattr(pb, f"{method}Request")(**fields), timeout=_TIMEOUT)


# What every daemon makes up, and the placeholder for it. The last digits of a pod's uid go with the short ids.
_MADE_UP = [
    (r"\b[0-9a-f]{64}\b", "<ID>"),
    (r"\b[0-9a-f]{12}\b", "<ID12>"),
    (r"(?<=cni-)[0-9a-f]{8}(-[0-9a-f]{4}){3}-([0-9a-f]{12}|<ID12>)", "<UUID>"),
    (r"(?<=ns/)[0-9a-f]{8}(-[0-9a-f]{4}){3}-([0-9a-f]{12}|<ID12>)", "<UUID>"),
    (r"containerd-mount\d+", "containerd-mount<N>"),
    (r"/proc/\d+/", "/proc/<PID>/"),
    (r"0x[0-9a-f]{6,}", "<POINTER>"),
    (r'time=(\\?)"[^"]*"', r'time=\1"<TIME>\1"'),
    (r"\b10\.88\.\d+\.\d+\b", "<ADDRESS>"),
]
_CRIO = "io.kubernetes.cri-o."


def neutral(text: str) -> str:
    """Return a text with placeholders for what every daemon makes up: ids, names of namespaces, processes, folders."""
    for what, placeholder in _MADE_UP:
        text = re.sub(what, placeholder, text)
    return text


def _in_order(key: str, value: str) -> str:
    """CRI-O writes objects of JSON into its annotations, in an order that is another every time."""
    if key.startswith(_CRIO) and value.startswith("{"):
        return json.dumps(json.loads(value), sort_keys=True)
    return value


def _sort_read_only(mounts: list[dict[str, Any]]) -> None:
    """Under CRI-O's `read_only` some places stay writable, which it mounts in an order that is another every time."""
    places = [at for at, each in enumerate(mounts) if "tmpcopyup" in each.get("options", ())]
    for at, each in zip(
        places, sorted((mounts[at] for at in places), key=lambda each: each["destination"]), strict=True
    ):
        mounts[at] = each


def _refused(error: Any, step: str) -> Outcome:
    message = neutral(error.details() or "")
    return {"outcome": "error", "step": step, "code": error.code().name, "message": message}


def _answered(response: Any) -> Outcome:
    spec = json.loads(response.info["info"])["runtimeSpec"]
    _sort_read_only(spec["mounts"])
    if "annotations" in spec:
        spec["annotations"] = {key: _in_order(key, value) for key, value in spec["annotations"].items()}
    spec = json.loads(neutral(json.dumps(spec)))
    return {"outcome": "ok", "seccomp": spec.get("linux", {}).pop("seccomp", None), "spec": spec}
