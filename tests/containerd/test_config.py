"""Configuration files and the specs they name: what the sources at each tag make of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runtimes.containerd import model
from runtimes.errors import BadInput, Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import Setup
from runtimes.release import parse
from runtimes.request import (
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    SecurityProfile,
)
from tests.containerd.asking import SANDBOX_PLACE, container, runtime, sandbox

BASE = "/etc/containerd/base.json"
BASE_CONFIG = """version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
base_runtime_spec = "/etc/containerd/base.json"
"""
BASE_SPEC = json.dumps(
    {
        "ociVersion": "1.0.2",
        "process": {
            "cwd": "/base",
            "user": {"uid": 0, "gid": 0},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 9, "soft": 8}],
            "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]},
        },
        "root": {"path": "/elsewhere"},
        "mounts": [
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/proc", "type": "proc", "source": "proc"},
        ],
        "unknown": 1,
        "linux": {"namespaces": [{"type": "mount"}], "seccomp": {"defaultAction": "SCMP_ACT_LOG"}},
    }
)


def with_base(release: str) -> Any:
    return runtime(release, BASE_CONFIG, {BASE: BASE_SPEC})


def test_a_base_spec_is_what_containers_start_with() -> None:
    for release in ("1.6.20", "2.3.4"):
        found = container(release, on=with_base(release))
        assert found.section == {"defaultAction": "SCMP_ACT_LOG"}
        assert found.spec["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 9, "soft": 8}]
        assert found.spec["process"]["capabilities"]["bounding"] == ["CAP_CHOWN"]
        assert found.spec["root"] == {"path": "rootfs"}
        assert [each["destination"] for each in found.spec["mounts"]][:2] == ["/proc", "/sys/fs/cgroup"]
        assert found.spec["ociVersion"] == "1.0.2"
        assert any(step.rule == "base-spec-keeps-seccomp" for step in found.steps)


def test_who_keeps_the_base_specs_section() -> None:
    unconfined = LinuxContainerSecurityContext(seccomp=SecurityProfile(profile_type=1))
    assert container("", unconfined, on=with_base("2.3.4")).section == {"defaultAction": "SCMP_ACT_LOG"}
    default = container("", LinuxContainerSecurityContext(seccomp=SecurityProfile()), on=with_base("2.3.4")).section
    assert default
    assert default["defaultAction"] == "SCMP_ACT_ERRNO"
    pod = sandbox(LinuxPodSandboxConfig(security_context=LinuxSandboxSecurityContext(privileged=True)))
    assert container("", LinuxContainerSecurityContext(privileged=True), on=with_base("2.3.4"), pod=pod).section is None
    assert container("", on=with_base("1.4.13")).section is None
    assert with_base("2.3.4").sandbox(sandbox(), SANDBOX_PLACE).section is None


BAD_BASES = [
    (
        None,
        (
            "failed to open base OCI spec: /etc/containerd/base.json: "
            "open /etc/containerd/base.json: no such file or directory"
        ),
    ),
    ("{", "failed to parse base OCI spec file: unexpected end of JSON input"),
    ("[]", "failed to parse base OCI spec file: json: cannot unmarshal array into Go value of type specs.Spec"),
]


@pytest.mark.parametrize(("text", "message"), BAD_BASES)
def test_a_bad_base_spec_keeps_the_service_down(text: str | None, message: str) -> None:
    files = {} if text is None else {BASE: text}
    with pytest.raises(Refused) as refused:
        runtime("1.7.24", BASE_CONFIG, files)
    assert refused.value.where == "runtime"
    assert refused.value.message == f"failed to load base OCI spec from file: {BASE}: {message}"


def test_the_runtimes_of_a_file() -> None:
    table = '[plugins."io.containerd.grpc.v1.cri".containerd'
    kata = f'version = 2\n{table}.runtimes.kata]\nruntime_type = "io.containerd.kata.v2"\n'
    assert runtime("2.3.4", kata).handlers == ("runc", "kata")
    assert runtime("1.4.13", kata).handlers == ("runc", "kata")
    with pytest.raises(Refused, match=re.escape("no corresponding runtime configured in `containerd.runtimes`")):
        runtime("1.6.20", kata)
    default = f'{kata}{table}]\ndefault_runtime_name = "kata"\n'
    assert runtime("1.6.20", default).handlers == ("kata",)
    with pytest.raises(BadInput, match="no runtime handler 'nosuch'"):
        model.runtime(parse("2.3.4"), Host(), Setup(handler="nosuch"), MemoryFiles())


def test_systemd_cgroup() -> None:
    text = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\nSystemdCgroup = true\n'
    assert runtime("2.3.4", text).persona.cgroup_driver() == "SYSTEMD"
    assert runtime("2.3.4").persona.cgroup_driver() == "CGROUPFS"


def test_the_pause_image_of_a_file() -> None:
    old = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "p:1"\n'
    new = "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'p:2'\n"
    assert runtime("1.6.20", old).persona.pause_image == "p:1"
    assert runtime("2.3.4", old).persona.pause_image == "p:1"
    assert runtime("2.3.4", new).persona.pause_image == "p:2"
    assert runtime("2.3.4").persona.pause_image == "registry.k8s.io/pause:3.10.2"


BAD_FILES = [
    ("a =", "/etc/containerd/config.toml:1"),
    ("version = 'x'", "version"),
    ('version = 2\n[plugins."io.containerd.grpc.v1.cri"]\ncni = 3\n', "cni"),
    ('version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\nruntimes = 3\n', "runtimes"),
    ("imports = 3", "imports"),
]


@pytest.mark.parametrize(("text", "names"), BAD_FILES)
def test_bad_files_are_named(text: str, names: str) -> None:
    with pytest.raises(BadInput) as fault:
        runtime("1.6.20", text)
    assert names in str(fault.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(BadInput, match="open /nosuch: no such file or directory"):
        model.runtime(parse("2.3.4"), Host(), Setup(config="/nosuch"), MemoryFiles())


def test_a_section_that_runc_rejects_fails_at_start_and_for_the_sandbox_at_once() -> None:
    files = {"/p.json": '{"defaultAction": "SCMP_ACT_BOGUS"}'}
    on = runtime("2.3.4", "version = 3", files)
    profile = SecurityProfile(profile_type=2, localhost_ref="/p.json")
    decision = container("", LinuxContainerSecurityContext(seccomp=profile), on=on)
    with pytest.raises(Refused, match="failed to create containerd task: failed to create shim task") as refused:
        on.start(decision.spec)
    assert refused.value.reason == "StartError"
    pod = sandbox(LinuxPodSandboxConfig(security_context=LinuxSandboxSecurityContext(seccomp=profile)))
    with pytest.raises(Refused, match=f'^failed to start sandbox "{"a" * 64}": failed to create containerd task: '):
        on.sandbox(pod, SANDBOX_PLACE)


def test_a_lost_setting_is_told() -> None:
    text = '[plugins.cri]\nunset_seccomp_profile = "runtime/default"\n'
    found = container("", on=runtime("2.1.9", text))
    assert found.section is None
    (warning,) = [step.because for step in found.steps if step.warns]
    assert "loses every setting" in warning
