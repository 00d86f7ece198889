"""containerd's own unit tables, and the configuration files that real daemons were shown, as cases for the model."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.containerd import model, seccomp
from runtimes.containerd.default_profile import section
from runtimes.containerd.known import Known
from runtimes.containerd.objection import Objection
from runtimes.errors import BadInput, Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import ContainerPlace, ImageFacts, SandboxPlace, Setup
from runtimes.release import parse
from runtimes.request import (
    Capability,
    ContainerMetadata,
    ContainerRequest,
    LinuxContainerConfig,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    SandboxRequest,
    SecurityProfile,
)

NUMBERS = {"RuntimeDefault": 0, "Unconfined": 1, "Localhost": 2}
IMAGE = ImageFacts(id="sha256:" + "0" * 64, repo_tags=("busybox:1",), cmd=("sh",))
PLACE = ContainerPlace(id="c" * 64, created_at=1, pid=2, storage="d" * 64, image=IMAGE)
SANDBOX = SandboxPlace(id="a" * 64, created_at=1, pid=1, network="x", image=IMAGE)
CONFIG = "/etc/containerd/config.toml"


@functools.cache
def tables() -> Any:
    return json.loads(Path(__file__).with_name("unit_tables.json").read_text())


def cases(table: str) -> list[Any]:
    return list(tables()[table]["cases"])


def container(
    security: LinuxContainerSecurityContext, *, pod_privileged: bool = False, config: str = ""
) -> dict[str, Any]:
    """Return the spec that 2.3.4 makes for a security context."""
    files = MemoryFiles({CONFIG: config.encode()})
    runtime = model.runtime(parse("2.3.4"), Host(), Setup(config=CONFIG if config else ""), files)
    request = ContainerRequest(
        metadata=ContainerMetadata(name="c"), linux=LinuxContainerConfig(security_context=security)
    )
    context = LinuxSandboxSecurityContext(privileged=pod_privileged)
    pod = SandboxRequest(linux=LinuxPodSandboxConfig(security_context=context))
    return runtime.container(request, PLACE, pod, SANDBOX).spec


@pytest.mark.parametrize(
    ("release", "case"),
    [
        *(pytest.param("1.3.10", case, id=f"1.3-{case['id']}") for case in cases("path-only")),
        *(
            pytest.param("1.4.13", case, id=f"1.4-{case['id']}")
            for case in cases("path-only") + cases("path-plus-unset")
        ),
        *(pytest.param("2.3.4", case, id=f"2.3-{case['id']}") for case in cases("security-profile")),
    ],
)
def test_which_profile_applies(release: str, case: dict[str, Any]) -> None:
    message = case.get("sp")
    profile = None
    if message:
        number = NUMBERS.get(message["type"], message["type"])
        profile = SecurityProfile(
            profile_type=number, localhost_ref=message.get("ref", message.get("localhost_ref", ""))
        )
    asked = seccomp.Asked(profile, case.get("path") or "", privileged=case.get("privileged", False))
    host = Host(seccomp=case.get("host_seccomp", True))
    try:
        choice = seccomp.choose(asked, case.get("unset") or "", Known(parse(release)), host)
    except Objection:
        assert case["expect"] == "error"
    else:
        got = {"file": choice.file} if choice.kind == "file" else choice.kind
        assert got == case["expect"]
        assert choice.steps


@pytest.mark.parametrize("case", cases("container-capabilities"), ids=lambda case: case["id"])
def test_capabilities(case: dict[str, Any]) -> None:
    asked = Capability(add_capabilities=tuple(case.get("add", ())), drop_capabilities=tuple(case.get("drop", ())))
    sets = container(LinuxContainerSecurityContext(capabilities=asked))["process"]["capabilities"]
    for which in ("includes", "excludes"):
        wanted = case.get(which, [])
        if isinstance(wanted, str):
            but = wanted.partition(" minus ")[2]
            wanted = [name for name in Host().capabilities if name != but]
        for name in ("bounding", "effective", "permitted"):
            assert all((each in sets.get(name, [])) == (which == "includes") for each in wanted), name
    assert "inheritable" not in sets


@pytest.mark.parametrize("case", cases("container-vs-sandbox-privileged"))
def test_a_privileged_container_needs_a_privileged_sandbox(case: dict[str, Any]) -> None:
    security = LinuxContainerSecurityContext(privileged=case["container_privileged"])
    if case["expect"] == "ok":
        container(security, pod_privileged=case["sandbox_privileged"])
        return
    with pytest.raises(Refused, match="spec: failed to generate spec opts: no privileged container allowed in sandbox"):
        container(security, pod_privileged=case["sandbox_privileged"])


@pytest.mark.parametrize("case", cases("masked-and-readonly-paths"))
def test_masked_and_readonly_paths(case: dict[str, Any]) -> None:
    security = LinuxContainerSecurityContext(
        masked_paths=tuple(case["masked"] or ()),
        readonly_paths=tuple(case["readonly"] or ()),
        privileged=case["privileged"],
    )
    off = str(case["disable_proc_mount"]).lower()
    config = f"version = 3\n[plugins.'io.containerd.cri.v1.runtime']\ndisable_proc_mount = {off}\n"
    linux = container(security, pod_privileged=case["privileged"], config=config)["linux"]
    for key, expected in (("maskedPaths", case["expect_masked"]), ("readonlyPaths", case["expect_readonly"])):
        if expected == "DEFAULT":
            assert "/proc/sys" in linux[key] or "/proc/kcore" in linux[key]
        else:
            assert linux.get(key, []) == (expected or [])


def test_io_uring_is_not_allowed() -> None:
    (case,) = cases("default-profile-io-uring")
    found, _ = section(parse("2.0.11"), "amd64", "6.1", tuple(case["bounding"]))
    names = {name for rule in found["syscalls"] for name in rule["names"]}
    assert not names & set(case["must_not_allow"])


@pytest.mark.parametrize("case", cases("kernel-release-parse"), ids=lambda case: case["in"] or "nothing")
def test_kernel_releases(case: dict[str, Any]) -> None:
    found, _ = section(parse("2.3.4"), "amd64", case["in"], ())
    allowed = any("ptrace" in rule["names"] for rule in found["syscalls"])
    assert allowed == ("error" not in case and (case["kernel"], case["major"]) >= (4, 8))


# Configuration files, by what the observations call them: G is the old table, R the new one.
G, R = 'plugins."io.containerd.grpc.v1.cri"', 'plugins."io.containerd.cri.v1.runtime"'
RD = 'unset_seccomp_profile = "runtime/default"\n'
IMPORT = 'imports = ["more.toml"]\n'
FILES: dict[str, tuple[str, str]] = {
    "version=2, no key": ("version = 2\n", ""),
    "version=2, G.unset=runtime/default": (f"version = 2\n[{G}]\n{RD}", ""),
    "no version, [plugins.cri] unset=runtime/default": (f"[plugins.cri]\n{RD}", ""),
    "version=1, [plugins.cri] unset=runtime/default": (f"version = 1\n[plugins.cri]\n{RD}", ""),
    "no version, G.unset=runtime/default": (f"[{G}]\n{RD}", ""),
    "version=3, R.unset=runtime/default": (f"version = 3\n[{R}]\n{RD}", ""),
    "version=3, G.unset=runtime/default": (f"version = 3\n[{G}]\n{RD}", ""),
    "version=4, R.unset=runtime/default": (f"version = 4\n[{R}]\n{RD}", ""),
    "root version=3 empty + import version=2 G.unset=runtime/default": (
        f"version = 3\n{IMPORT}",
        f"version = 2\n[{G}]\n{RD}",
    ),
    "root version=2 empty + import version=3 R.unset=runtime/default": (
        f"version = 2\n{IMPORT}",
        f"version = 3\n[{R}]\n{RD}",
    ),
    "root version=2 G.other=x + import version=2 G.unset=runtime/default": (
        f"version = 2\n{IMPORT}[{G}]\nenable_selinux = true\n",
        f"version = 2\n[{G}]\n{RD}",
    ),
    "root version=2 G.unset=runtime/default + import version=2 G.other=x": (
        f"version = 2\n{IMPORT}[{G}]\n{RD}",
        f"version = 2\n[{G}]\nenable_selinux = true\n",
    ),
    "version=2, G.unset=localhost//a and R.unset=runtime/default": (
        f'version = 2\n[{G}]\nunset_seccomp_profile = "localhost//a"\n[{R}]\n{RD}',
        "",
    ),
    "version=2, G.unset=bogus": (f'version = 2\n[{G}]\nunset_seccomp_profile = "bogus"\n', ""),
    "version=2, G.unset=true (bool)": (f"version = 2\n[{G}]\nunset_seccomp_profile = true\n", ""),
    "version=2, G.unset_seccomp_profilex=...": (f"version = 2\n[{G}]\nunset_seccomp_profilex = 1\n", ""),
    "version=2, unknown top-level key and table": ("version = 2\nnothing = 1\n[nobody]\nx = 1\n", ""),
    "version=2, G.containerd.unset_seccomp_profile=...": (f"version = 2\n[{G}.containerd]\n{RD}", ""),
    'version=2, [plugins."cri"]': (f'version = 2\n[plugins."cri"]\n{RD}', ""),
    "version=2, key spelled Unset_Seccomp_Profile": (
        f'version = 2\n[{G}]\nUnset_Seccomp_Profile = "runtime/default"\n',
        "",
    ),
    "version=5": ("version = 5\n", ""),
    'version="2" (string)': ('version = "2"\n', ""),
    "root version=2 G.unset=runtime/default + import version=3 R.other=x": (
        f"version = 2\n{IMPORT}[{G}]\n{RD}",
        f"version = 3\n[{R}]\nenable_selinux = true\n",
    ),
    "root version=3 R.unset=runtime/default + import version=2 G.unset=localhost//b": (
        f"version = 3\n{IMPORT}[{R}]\n{RD}",
        f'version = 2\n[{G}]\nunset_seccomp_profile = "localhost//b"\n',
    ),
    "no version, [plugins.cri] unset=unconfined": ('[plugins.cri]\nunset_seccomp_profile = "unconfined"\n', ""),
    "root version=1 empty + import version=2 G.unset=runtime/default": (
        f"version = 1\n{IMPORT}",
        f"version = 2\n[{G}]\n{RD}",
    ),
}
EXITS = "-"
# What the observations say in words is no value of the setting.
WORDS = {"silent-ok": "", "warning-ok": "", "(silent)": "", "(warning)": ""}


@pytest.mark.parametrize("row", tables()["observed-configuration"]["rows"], ids=lambda row: row[0])
def test_configuration_files_are_taken_as_observed(row: list[str]) -> None:
    name, *results = row
    root, imported = FILES[name]
    for release, result in zip(tables()["observed-configuration"]["releases"], results, strict=True):
        files = MemoryFiles({CONFIG: root.encode(), "/etc/containerd/more.toml": imported.encode()})
        expected = WORDS.get(result, result.partition(" (")[0] if not result.startswith("(accepted") else "")
        try:
            runtime = model.runtime(parse(release), Host(), Setup(config=CONFIG), files)
        except (Refused, BadInput):
            got = EXITS
        else:
            got = json.loads(runtime.persona.status().info["config"])["unsetSeccompProfile"]
        assert got == expected, release
