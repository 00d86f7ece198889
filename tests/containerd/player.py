"""Plays recorded cases against the model: a case is a request in the CRI's own spelling, enums as numbers.

`recorded.json.gz` holds the cases, the profile files they name, and what real daemons answered to them: 1.6.20 and
1.7.24 as Debian builds them, and a build of the tag v2.3.4, on a host with cgroup v1 and 40 capabilities. Ids, names
and processes are placeholders on both sides; what depends on the recording host is left out: the device nodes of
privileged containers (`linux.devices`).
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import posixpath
import re
from pathlib import Path
from typing import Any

import msgspec

from runtimes.containerd import model
from runtimes.decision import Decision
from runtimes.errors import Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import ContainerPlace, ImageFacts, Runtime, SandboxPlace, Setup
from runtimes.release import parse
from runtimes.request import ContainerRequest, SandboxRequest

PROFILES = "/profiles"
RUN = "/rundir"
CONFIG = "/etc/containerd/config.toml"
NAMESPACES = {"network": 0, "pid": 1, "ipc": 0}
IMAGE = "localhost/oracle/busybox:1"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The two images of the recordings.
BUSYBOX = ImageFacts(
    id="sha256:0f0ce9a3c46b317cf0e29fe8334aa713f95c3195e393f402a4489ac7361ee703",
    repo_tags=(IMAGE,),
    size=1032287,
    created="2024-01-01T00:00:00Z",
    env=(PATH,),
    cmd=("sh",),
    diff_ids=("sha256:cda18b79ce3e2c07a616865d31e44170a350d1b7269547e93b07f95da3bee59a",),
)
PAUSE = ImageFacts(
    id="sha256:2b1103c0e08970c1e0f5693d99e0f86c8c60987317fa8482448ed0d3175ab725",
    repo_tags=("localhost/oracle/pause:1",),
    size=304079,
    env=(PATH,),
    entrypoint=("/pause",),
    user="65535:65535",
)

OLD = """version = 2
root = "{run}/root"
state = "{run}/state"
[grpc]
address = "{run}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/oracle/pause:1"
unset_seccomp_profile = "{unset}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/oracle/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/oracle/hosts.d"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "/oracle/bin/runc"
"""
NEW = """version = 3
root = "{run}/root"
state = "{run}/state"
[grpc]
address = "{run}/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/oracle/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
unset_seccomp_profile = "{unset}"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "/oracle/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "/oracle/bin/runc"
"""


@functools.cache
def recorded() -> Any:
    """Return everything recorded."""
    text = gzip.decompress(Path(__file__).with_name("recorded.json.gz").read_bytes()).decode()
    return json.loads(text.replace("<RUNDIR>", RUN).replace("<ORACLE>", "/oracle"))


@functools.cache
def host(release: str) -> Host:
    """Return the host that recorded."""
    capabilities = tuple(recorded()["releases"][release]["all"])
    return Host(arch="amd64", kernel="6.18.0", cgroup=1, capabilities=capabilities, hostname="vm")


class Profiles(MemoryFiles):
    """The recorded profile files, with `..` as a file system takes it."""

    def read(self, path: str) -> bytes:
        return super().read(posixpath.normpath(path) if path else path)


@functools.cache
def daemon(release: str, config: str) -> Runtime:
    """Return the model of a recorded daemon."""
    unset = recorded()["releases"][release]["configs"][config]["unset"].replace("${PROFILE_DIR}", PROFILES)
    template = NEW if release.startswith("2") else OLD
    files = Profiles({f"{PROFILES}/{name}": text.encode("latin-1") for name, text in recorded()["profiles"].items()})
    files[CONFIG] = template.format(run=RUN, unset=unset).encode()
    return model.runtime(parse(release), host(release), Setup(config=CONFIG), files)


def play(runtime: Runtime, case: dict[str, Any]) -> dict[str, Any]:
    """Return what the model makes of a case, told as the recordings tell it."""
    try:
        if case["kind"] == "sandbox":
            if case.get("no_metadata"):
                raise _situation(runtime, "RunPodSandbox.no-metadata")
            return _answered(runtime.sandbox(*sandbox_request(case)))
        sandbox, sandbox_place = sandbox_request(recorded()["sandboxes"][case["sandbox"]])
        if case.get("image") and case["image"] != IMAGE:
            raise _situation(runtime, "CreateContainer.image-missing", image=case["image"])
    except Refused as refused:
        return _refused(refused, "CreateContainer" if case.get("image") else "RunPodSandbox")
    try:
        runtime.sandbox(sandbox, sandbox_place)
    except Refused as refused:
        return _refused(refused, "RunPodSandbox")
    try:
        if case.get("no_metadata"):
            raise _situation(runtime, "CreateContainer.no-metadata")
        request, place = container_request(case)
        decision = runtime.container(request, place, sandbox, sandbox_place)
    except Refused as refused:
        return _refused(refused, "CreateContainer")
    return _answered(decision) | {"start": _started(runtime, decision)}


def sandbox_request(case: dict[str, Any]) -> tuple[SandboxRequest, SandboxPlace]:
    """Return the request of a sandbox, and a place for it."""
    case = _filled(case)
    config: dict[str, Any] = {
        "metadata": {"name": "<NAME>", "uid": "<UID>", "namespace": "oracle"},
        "log_directory": "<RUN>/podlogs/<UID>",
        "labels": {"oracle": "1"},
        "annotations": case.get("annotations") or {},
    }
    if not case.get("no_linux"):
        config["linux"] = {}
        if not case.get("no_security_context"):
            context = case.get("security_context") or {}
            config["linux"]["security_context"] = {"namespace_options": NAMESPACES, **context}
    place = SandboxPlace(id="a" * 64, created_at=1, pid=4711, network=_uuid(1), ip="10.88.77.12", image=PAUSE)
    return msgspec.convert(config, SandboxRequest), place


def container_request(case: dict[str, Any]) -> tuple[ContainerRequest, ContainerPlace]:
    """Return the request of a container, and a place for it."""
    case = _filled(case)
    config: dict[str, Any] = {
        "metadata": {"name": case.get("name") or "<CONTAINER>", "attempt": 2},
        "image": {"image": IMAGE, "user_specified_image": IMAGE},
        "command": ["/bin/busybox"],
        "args": ["sleep", "30"],
        "log_path": "c2-2.log",
        "labels": {"oracle": "1"},
        "annotations": case.get("annotations") or {},
    }
    if not case.get("no_linux"):
        config["linux"] = {"resources": {}}
        if not case.get("no_security_context"):
            pod = recorded()["sandboxes"][case["sandbox"]].get("security_context") or {}
            options = pod.get("namespace_options", NAMESPACES)
            config["linux"]["security_context"] = {"namespace_options": options, **case["security_context"]}
    place = ContainerPlace(id="b" * 64, created_at=2, pid=4712, storage="c" * 64, image=BUSYBOX, image_reference=IMAGE)
    return msgspec.convert(config, ContainerRequest), place


def neutral(value: Any) -> Any:
    """Return JSON-shaped values with placeholders for what differs from run to run."""
    text = re.sub(r"[0-9a-f]{64}", "<ID>", json.dumps(value)).replace(PROFILES, "${PROFILE_DIR}")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<UID>", text)
    return json.loads(re.sub(r"/proc/\d+/", "/proc/<PID>/", text))


def digest(section: Any) -> str | None:
    """Return the sha256 of canonical JSON: keys sorted, lists in their order."""
    if not section:
        return None
    return hashlib.sha256(json.dumps(section, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _filled(case: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(case).replace("${PROFILE_DIR}", PROFILES))  # type: ignore[no-any-return]


def _uuid(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def _situation(runtime: Runtime, situation: str, **details: str) -> Refused:
    refused = runtime.persona.refusal(situation, **details)
    assert refused
    return refused


def _refused(refused: Refused, step: str) -> dict[str, Any]:
    return {"outcome": "error", "step": step, "code": refused.code, "message": neutral(refused.message)}


def _answered(decision: Decision) -> dict[str, Any]:
    process = decision.spec["process"]
    capabilities = process["capabilities"]
    spec = neutral({**decision.spec, "linux": {**decision.spec["linux"], "seccomp": None}})
    del spec["linux"]["seccomp"]
    spec["linux"].pop("devices", None)
    if decision.section:
        spec["linux"]["seccomp"] = {"$seccomp": digest(decision.section)}
    found = {
        "outcome": "ok",
        "seccomp": digest(decision.section),
        "bounding": capabilities.get("bounding"),
        "inheritable": capabilities.get("inheritable"),
        "noNewPrivileges": process.get("noNewPrivileges"),
        "spec": spec,
    }
    return {key: value for key, value in found.items() if value is not None}


def _started(runtime: Runtime, decision: Decision) -> str:
    try:
        runtime.start(decision.spec)
    except Refused:
        return "error"
    return "ok"
