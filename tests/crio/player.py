"""Plays recorded cases against the model: a case is a request in the CRI's own spelling, enums as numbers.

`recorded.json.gz` holds the cases, the profile files they name, and what real daemons answered to them: builds of the
tags v1.24.6, v1.30.14 and v1.36.3 on a host with cgroup v1 and 40 capabilities. Ids and processes are placeholders on
both sides. What depends on the recording host is left out: the time of creation, the result of its network plugin, and
the device nodes of privileged containers (`linux.devices`). So is the configuration that pulls profiles as OCI
artifacts: it needs a registry.
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

from runtimes.crio import model
from runtimes.decision import Decision
from runtimes.errors import Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import ContainerPlace, ImageFacts, Runtime, SandboxPlace, Setup
from runtimes.release import parse
from runtimes.request import ContainerRequest, SandboxRequest

PROFILES = "/profiles"
CONFIG = "/etc/crio/crio.conf"
NAMESPACES = {"network": 0, "pid": 1, "ipc": 0}
IMAGE = "localhost/oracle/busybox:1"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOST = Host(arch="amd64", kernel="6.18.0", cgroup=1, hostname="vm")
MISSING = "f" * 64
UNSEEN = (".Created", ".CNIResult")

# The two images of the recordings.
BUSYBOX = ImageFacts(
    id="sha256:0f0ce9a3c46b317cf0e29fe8334aa713f95c3195e393f402a4489ac7361ee703",
    repo_tags=(IMAGE,),
    repo_digests=("localhost/oracle/busybox@sha256:134f828810b3a28c24be9add60219e353043e8a5b7e06aee97affbe740766772",),
    size=2131137,
    created="2024-01-01T00:00:00Z",
    env=(PATH,),
    cmd=("sh",),
    diff_ids=("sha256:cda18b79ce3e2c07a616865d31e44170a350d1b7269547e93b07f95da3bee59a",),
)
PAUSE = ImageFacts(
    id="sha256:2b1103c0e08970c1e0f5693d99e0f86c8c60987317fa8482448ed0d3175ab725",
    repo_tags=("localhost/oracle/pause:1",),
    repo_digests=("localhost/oracle/pause@sha256:e0c82a681b44e2582b6f66d2771409b13844f10a5b23b49c245728394fea05ce",),
    user="65535",
    uid=65535,
)

# What the recorder configured. Each recorded configuration adds to the two tables at the end.
CRIO_CONF = """
[crio]
root = "/rundir/root"
runroot = "/rundir/runroot"
log_dir = "/rundir/logs"
storage_driver = "overlay"
[crio.api]
listen = "/rundir/crio.sock"
[crio.image]
pause_image = "localhost/oracle/pause:1"
pause_command = "/pause"
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
conmon = "/usr/bin/conmon"
drop_infra_ctr = false
apparmor_profile = "unconfined"
namespaces_dir = "/rundir/ns"
container_exits_dir = "/rundir/exits"
container_attach_socket_dir = "/rundir/attach"
hooks_dir = []
pinns_path = "/oracle/bin/crio-{release}/pinns"
default_runtime = "runc"
{runtime}
[crio.runtime.runtimes.runc]
runtime_path = "/oracle/bin/runc"
runtime_type = "oci"
runtime_root = "/rundir/runc"
{handler}
"""


@functools.cache
def recorded() -> Any:
    """Return everything recorded."""
    return json.loads(gzip.decompress(Path(__file__).with_name("recorded.json.gz").read_bytes()))


class Profiles(MemoryFiles):
    """Files with `..` as a file system takes it."""

    def read(self, path: str) -> bytes:
        return super().read(posixpath.normpath(path) if path.startswith("/") else path)


def files(config: str) -> MemoryFiles:
    """Return the recorded profiles and a crio.conf."""
    found = Profiles({f"{PROFILES}/{name}": text.encode("latin-1") for name, text in recorded()["profiles"].items()})
    found[f"{PROFILES}/a-directory.json/.keep"] = b""
    found[CONFIG] = config.encode()
    return found


def start(release: str, setting: dict[str, Any]) -> Runtime:
    """Return the model of a daemon that was configured as the recorder does, plus `setting`."""
    handler = setting.get("runtimes.runc", {})
    own = {key: value for key, value in setting.items() if key != "runtimes.runc"}
    config = CRIO_CONF.format(release=release, runtime=_toml(own), handler=_toml(handler))
    return model.runtime(parse(release), HOST, Setup(config=CONFIG), files(config))


@functools.cache
def daemon(release: str, config: str = "default") -> Runtime:
    """Return the model of a recorded daemon."""
    return start(release, recorded()["releases"][release]["configs"][config]["setting"])


def play(runtime: Runtime, case: dict[str, Any]) -> dict[str, Any]:
    """Return what the model makes of a case, told as the recordings tell it."""
    step = "RunPodSandbox"
    try:
        if case["kind"] == "sandbox":
            if case.get("no_metadata"):
                raise situation(runtime, "RunPodSandbox.no-metadata")
            return _answered(runtime.sandbox(*sandbox_request(case)))
        if case["sandbox"] == "@missing":
            step = "CreateContainer"
            raise situation(runtime, "CreateContainer.sandbox-missing", id=MISSING)
        sandbox, sandbox_place = sandbox_request(recorded()["sandboxes"][case["sandbox"]])
        runtime.sandbox(sandbox, sandbox_place)
        step = "CreateContainer"
        if case.get("no_metadata"):
            raise situation(runtime, "CreateContainer.no-metadata")
        if case.get("image", IMAGE) != IMAGE:
            raise situation(runtime, "CreateContainer.image-missing", image=case["image"])
        request, place = container_request(case)
        return _answered(runtime.container(request, place, sandbox, sandbox_place))
    except Refused as refused:
        return {"outcome": "error", "step": step, "code": refused.code, "message": neutral(refused.message)}


def sandbox_request(case: dict[str, Any]) -> tuple[SandboxRequest, SandboxPlace]:
    """Return the request of a sandbox, and a place for it."""
    case = _filled(case)
    config: dict[str, Any] = {
        "metadata": {"name": "pod", "uid": "uid", "namespace": "oracle"},
        "log_directory": "/run/podlogs/uid",
        "labels": {"oracle": "1"},
        "annotations": case.get("annotations") or {},
    }
    if not case.get("no_linux"):
        config["linux"] = {}
        if not case.get("no_security_context"):
            context = case.get("security_context") or {}
            config["linux"]["security_context"] = {"namespace_options": NAMESPACES, **context}
    place = SandboxPlace(
        id="a" * 64,
        created_at=1,
        pid=4711,
        network="00000000-0000-0000-0000-000000000001",
        ip="10.88.77.2",
        image=PAUSE,
    )
    return msgspec.convert(config, SandboxRequest), place


def container_request(case: dict[str, Any]) -> tuple[ContainerRequest, ContainerPlace]:
    """Return the request of a container, and a place for it."""
    case = _filled(case)
    config: dict[str, Any] = {
        "metadata": {"name": case.get("name") or "ctr", "attempt": 2},
        "image": {"image": IMAGE, "user_specified_image": IMAGE},
        "command": ["/bin/busybox"],
        "args": ["sleep", "30"],
        "log_path": "ctr.log",
        "labels": {"oracle": "1"},
        "annotations": case.get("annotations") or {},
    }
    if not case.get("no_linux"):
        config["linux"] = {"resources": {}}
        if not case.get("no_security_context"):
            pod = recorded()["sandboxes"].get(case["sandbox"], {}).get("security_context") or {}
            options = pod.get("namespace_options", NAMESPACES)
            config["linux"]["security_context"] = {"namespace_options": options, **case["security_context"]}
    place = ContainerPlace(id="b" * 64, created_at=2, pid=4712, storage="c" * 64, image=BUSYBOX, image_reference=IMAGE)
    return msgspec.convert(config, ContainerRequest), place


def situation(runtime: Runtime, name: str, **details: str) -> Refused:
    """Return what a daemon answers in a situation that it refuses."""
    refused = runtime.persona.refusal(name, **details)
    assert refused
    return refused


def neutral(text: str) -> str:
    """Return a text with placeholders for what differs from run to run."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "<ID>", text)
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<UUID>", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "<ID12>", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "<PTR>", text)
    return re.sub(r'time=(\\?)"[^"]*"', r'time=\1"<TIME>\1"', text).replace(f"{PROFILES}/", "${PROFILE_DIR}/")


def digest(section: Any) -> str | None:
    """Return the sha256 of canonical JSON: keys sorted, lists in their order."""
    if not section:
        return None
    text = json.dumps(section, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(neutral(text).encode()).hexdigest()


def _toml(values: dict[str, Any]) -> str:
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return text.replace("${PROFILE_DIR}", PROFILES)


def _filled(case: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(case).replace("${PROFILE_DIR}", PROFILES))  # type: ignore[no-any-return]


def _answered(decision: Decision) -> dict[str, Any]:
    process = decision.spec["process"]
    capabilities = process.get("capabilities") or {}
    found = {
        "outcome": "ok",
        "seccomp": digest(decision.section),
        "bounding": capabilities.get("bounding"),
        "inheritable": capabilities.get("inheritable"),
        "noNewPrivileges": process.get("noNewPrivileges"),
        "spec": _spec(decision),
    }
    return {key: value for key, value in found.items() if value}


def _spec(decision: Decision) -> Any:
    seen = {**decision.spec, "linux": {**decision.spec["linux"]}}
    for part in ("devices", "seccomp"):
        seen["linux"].pop(part, None)
    seen["annotations"] = {key: text for key, text in seen["annotations"].items() if not key.endswith(UNSEEN)}
    seen = json.loads(neutral(json.dumps(seen)))
    if decision.section:
        seen["linux"]["seccomp"] = digest(decision.section)
    return seen
