"""A pod moved from one release of CRI-O to the next: what `crishim explain` and the section say of it.

The expected changes are those of CRI-O's sources at the tags: Setup and DefaultProfile in internal/config/seccomp, and
the vendored profile packages (containers/common 0.43.2 for 1.22.0, 0.60.2 for 1.31.0, go.podman.io/common 0.66.2 for
1.35.1).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runtimes.errors import Refused
from shim.cli.explain import command

DEFAULT = "{seccompProfile: {type: RuntimeDefault}}"
WITH_SYS_ADMIN = "{seccompProfile: {type: RuntimeDefault}, capabilities: {add: [SYS_ADMIN]}}"
# A kubelet that says nothing where a pod says nothing, as a client other than a kubelet may.
SILENT = "1.19.16"
OLD = "seccomp.security.alpha.kubernetes.io/pod"
ALLOW, ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EPERM, ENOSYS = 1, 38
# CLONE_NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWCGROUP
NAMESPACES = [0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x2000000]

Rule = tuple[str, str, Any, str]


class Moved:
    """Explains one pod on two releases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, old: str, new: str, context: str = DEFAULT, *, kubelet: str, config: str = "", annotations: str = "{}"
    ) -> tuple[Any, Any]:
        answers = (self.explain(each, context, kubelet, config, annotations) for each in (old, new))
        before, after = answers
        return before, after

    def explain(self, release: str, context: str, kubelet: str, config: str, annotations: str) -> Any:
        pod, node = self.folder / "pod.yaml", self.folder / "node.yaml"
        pod.write_text(
            f"{{apiVersion: v1, kind: Pod, metadata: {{name: p, annotations: {annotations}}}, "
            f"spec: {{containers: [{{name: c, image: busybox, securityContext: {context}}}]}}}}"
        )
        runtime = f"{{name: cri-o, version: {release}{f', config: {config}' if config else ''}}}"
        host = f"{{arch: amd64, cgroup: 2, seccomp: true, kernel: 6.1.0, root: {self.folder}}}"
        node.write_text(f"{{host: {host}, kubelet: {{version: {kubelet}}}, runtime: {runtime}}}")
        result = CliRunner().invoke(command, ["-f", str(pod), "--node", str(node), "-o", "json"], standalone_mode=False)
        if result.exception:
            raise result.exception
        return json.loads(result.stdout)["pods"][0]["containers"][0]


@pytest.fixture
def moved(tmp_path: Path) -> Moved:
    return Moved(tmp_path)


def rules(answer: Any) -> set[Rule]:
    """Return what a section says, name by name; nothing for none."""
    section = answer.get("seccomp")
    if section is None:
        return set()
    return {("*", section["defaultAction"], section.get("defaultErrnoRet"), "")} | {
        (name, rule["action"], rule.get("errnoRet"), json.dumps(rule["args"]) if rule.get("args") else "")
        for rule in section["syscalls"]
        for name in rule["names"]
    }


def told(answer: Any) -> set[str]:
    """Return what `explain` tells that is not about single capabilities, each by its name."""
    return {step["rule"] for step in answer["steps"] if not step["rule"].startswith("capability ")}


def _masked(mask: int, value: int) -> dict[str, Any]:
    return {"index": 0, "value": mask, **({"valueTwo": value} if value else {}), "op": "SCMP_CMP_MASKED_EQ"}


CLONE_WITHOUT_NAMESPACES = json.dumps([_masked(0x7E020000, 0)])
CLONE_WITH_THEM = json.dumps([_masked(flag, flag) for flag in NAMESPACES])


def test_1_22_0_answers_enosys(moved: Moved) -> None:
    before, after = moved("1.21.7", "1.22.0", kubelet="1.21.0")
    was, now = rules(before), rules(after)
    assert was - now == {("*", ERRNO, None, "")}
    assert ("*", ERRNO, ENOSYS, "") in now
    refused = {rule for rule in now - was if rule[1] == ERRNO and rule[0] != "*"}
    assert {rule[2] for rule in refused} == {EPERM}
    assert {"bpf", "chroot", "ptrace", "kexec_load"} <= {rule[0] for rule in refused}
    allowed = {rule[0] for rule in now - was if rule[1] == ALLOW}
    assert {"clone3", "pkey_alloc", "rseq", "mbind", "get_mempolicy", "set_mempolicy", "futex_time64"} <= allowed
    assert told(before) ^ told(after) == {"blocked-syscalls-eperm", "blocked-syscalls-enosys"}


def test_1_24_0_takes_nothing_for_runtime_default(moved: Moved) -> None:
    before, after = moved("1.23.5", "1.24.0", "{}", kubelet=SILENT)
    assert before["cri"] == after["cri"] == {"seccomp": None, "seccomp_profile_path": ""}
    assert before["seccomp"] is None
    assert ("*", ERRNO, ENOSYS, "") in rules(after)
    assert told(before) - told(after) == {"nothing-asked"}
    assert "use-default-when-empty" in told(after)


def test_1_24_0_allows_unshare_with_sys_admin_only(moved: Moved) -> None:
    before, after = moved("1.23.5", "1.24.0", kubelet="1.23.0")
    assert (rules(before) - rules(after), rules(after) - rules(before)) == ({("unshare", ALLOW, None, "")}, set())
    assert told(after) - told(before) == {"unshare-needs-sys-admin"}
    before, after = moved("1.23.5", "1.24.0", WITH_SYS_ADMIN, kubelet="1.23.0")
    assert rules(before) == rules(after)


def test_1_25_0_starts_without_its_profile(moved: Moved) -> None:
    (moved.folder / "crio.conf").write_text('[crio.runtime]\nseccomp_profile = "/etc/crio/gone.json"\n')
    arguments = {"context": DEFAULT, "kubelet": "1.24.0", "config": "/crio.conf", "annotations": "{}"}
    with pytest.raises(Refused) as caught:
        moved.explain("1.24.6", **arguments)
    assert caught.value.message == (
        "validating runtime config: unable to load seccomp profile: open seccomp profile: "
        "open /etc/crio/gone.json: no such file or directory"
    )
    after = moved.explain("1.25.0", **arguments)
    assert after["outcome"] == "ok"
    assert {"missing-profile-falls-back", "internal-profile"} <= told(after)
    assert rules(after) == rules(moved.explain("1.25.0", **arguments | {"config": ""}))


def test_1_28_0_does_not_look_at_the_path(moved: Moved) -> None:
    profile = moved.folder / "var/lib/kubelet/seccomp/x.json"
    profile.parent.mkdir(parents=True)
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}'
    )
    before, after = moved("1.27.8", "1.28.0", "{}", kubelet="1.18.20", annotations=f"{{{OLD}: localhost/x.json}}")
    path = "localhost//var/lib/kubelet/seccomp/x.json"
    assert before["cri"] == after["cri"] == {"seccomp": None, "seccomp_profile_path": path}
    assert rules(before) == {("*", "SCMP_ACT_LOG", None, ""), ("read", ALLOW, None, "")}
    assert ("*", ERRNO, ENOSYS, "") in rules(after)
    assert {"path-ignored", "use-default-when-empty"} <= told(after) - told(before)
    assert any(step["rule"] == "path-ignored" and step["warns"] for step in after["steps"])


def test_1_30_0_takes_nothing_for_unconfined_again(moved: Moved) -> None:
    before, after = moved("1.29.8", "1.30.0", "{}", kubelet=SILENT)
    assert ("*", ERRNO, ENOSYS, "") in rules(before)
    assert after["seccomp"] is None
    assert "use-default-when-empty" in told(before)
    assert told(after) - told(before) == {"nothing-asked"}


def test_1_30_0_does_not_know_the_option_any_more(moved: Moved) -> None:
    (moved.folder / "crio.conf").write_text("[crio.runtime]\nseccomp_use_default_when_empty = true\n")
    before, after = moved("1.29.8", "1.30.0", "{}", kubelet=SILENT, config="/crio.conf")
    assert before["seccomp"]
    assert after["seccomp"] is None
    assert told(after) - told(before) == {"nothing-asked", "ignored-key"}


@pytest.mark.parametrize(("old", "new"), [("1.29.8", "1.29.9"), ("1.30.5", "1.30.6")])
def test_the_patch_releases_that_tightened_clone(moved: Moved, old: str, new: str) -> None:
    before, after = moved(old, new, kubelet="1.29.0")
    assert rules(before) - rules(after) == {("clone", ALLOW, None, ""), ("clone3", ALLOW, None, "")}
    assert rules(after) - rules(before) == {
        ("clone", ALLOW, None, CLONE_WITHOUT_NAMESPACES),
        ("clone", ERRNO, EPERM, CLONE_WITH_THEM),
        ("clone3", ERRNO, ENOSYS, ""),
    }
    assert told(after) ^ told(before) == {"clone-namespaces-refused"}


def test_1_30_0_loosens_clone_again(moved: Moved) -> None:
    before, after = moved("1.29.9", "1.30.0", kubelet="1.29.0")
    assert told(before) - told(after) == {"clone-namespaces-refused"}
    assert ("clone", ALLOW, None, "") in rules(after) - rules(before)


def test_1_31_0_knows_newer_syscalls_and_forgets_old_ones(moved: Moved) -> None:
    before, after = moved("1.30.14", "1.31.0", kubelet="1.30.0")
    gone = "readdir sigaction sigpending sigsuspend syscall timerfd".split()
    assert rules(before) - rules(after) == {
        *((name, ALLOW, None, "") for name in gone),
        ("swapcontext", ERRNO, EPERM, ""),
    }
    refused = (
        "cachestat futex_requeue futex_wait futex_waitv futex_wake io_pgetevents_time64 map_shadow_stack quotactl_fd"
    )
    assert rules(after) - rules(before) == {
        ("fchmodat2", ALLOW, None, ""),
        *((name, ERRNO, EPERM, "") for name in (*refused.split(), "io_pgetevents_time64", "syscall")),
    }
    assert told(after) ^ told(before) == {"perf-event-open-needs-perfmon"}


def test_1_31_0_loses_perf_event_open_with_sys_admin_until_1_35_1(moved: Moved) -> None:
    perf = ("perf_event_open", ALLOW, None, "")
    before, after = moved("1.30.14", "1.31.0", WITH_SYS_ADMIN, kubelet="1.30.0")
    assert perf in rules(before) - rules(after)
    assert "perf_event_open" not in {rule[0] for rule in rules(after)}  # so that the default, ENOSYS, holds
    before, after = moved("1.35.0", "1.35.1", WITH_SYS_ADMIN, kubelet="1.35.0")
    assert perf in rules(after) - rules(before)


def test_1_35_1_refuses_af_vsock(moved: Moved) -> None:
    before, after = moved("1.35.0", "1.35.1", kubelet="1.35.0")
    vsock = json.dumps([{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}])
    assert ("socket", ERRNO, EPERM, vsock) in rules(after) - rules(before)
    assert {rule[0] for rule in rules(after) ^ rules(before)} == {"socket"}
    assert told(before) - told(after) == {"perf-event-open-needs-perfmon"}
    assert told(after) - told(before) == {"vsock-refused"}
