"""An answer says what had a say in it: each rule as a sentence, with the change or the file it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.host import Host
from runtimes.request import (
    Capability,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    SecurityProfile,
)
from tests.containerd.asking import container, runtime, sandbox

DEFAULT, UNCONFINED, LOCALHOST = range(3)
UNSET = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nunset_seccomp_profile = "runtime/default"\n'
PRIVILEGED = sandbox(LinuxPodSandboxConfig(security_context=LinuxSandboxSecurityContext(privileged=True)))


def security(seccomp: int | None = None, path: str = "", **fields: Any) -> LinuxContainerSecurityContext:
    message = None if seccomp is None else SecurityProfile(profile_type=seccomp)
    return LinuxContainerSecurityContext(seccomp=message, seccomp_profile_path=path, **fields)


def told(found: Any) -> list[str]:
    assert all(step.source for step in found.steps)
    return [step.because for step in found.steps]


def test_the_message_comes_before_the_string() -> None:
    found = container("2.3.4", security(UNCONFINED, "runtime/default"))
    assert found.steps[0].warns
    assert told(found) == [
        'the message `seccomp` is there: seccomp_profile_path ("runtime/default") is not looked at',
        "the profile is Unconfined: no filter is set",
    ]


def test_the_string_comes_before_the_setting() -> None:
    found = container("", security(path="unconfined"), on=runtime("1.4.13", UNSET))
    assert found.section is None
    assert not any("unset_seccomp_profile" in sentence for sentence in told(found))


def test_the_setting_is_for_those_who_say_nothing() -> None:
    first, *_ = told(container("", security(), on=runtime("2.3.4", UNSET)))
    assert first == 'the request names no profile: unset_seccomp_profile of the configuration says "runtime/default"'
    assert told(container("2.3.4", security())) == [
        "neither the request nor the configuration names a profile: no filter is set"
    ]


def test_privileged_comes_before_all() -> None:
    found = container("2.3.4", security(DEFAULT, privileged=True), pod=PRIVILEGED)
    assert found.section is None
    assert told(found)[-1] == "privileged: no filter is set, whatever the request names"


def test_a_host_without_seccomp() -> None:
    found = container("", security(UNCONFINED), on=runtime("2.3.4", host=Host(seccomp=False)))
    (sentence,) = told(found)
    assert sentence.startswith("the host has no seccomp filter")


CONDITIONS = [
    (Host(), (), "CAP_SYS_ADMIN is not in the bounding set: clone3 does not exist for whoever may not make namespaces"),
    (Host(), (), "CAP_SYS_CHROOT is in the bounding set: chroot allowed"),
    (Host(), ("SYS_ADMIN",), "CAP_SYS_ADMIN is in the bounding set: bpf, clone, clone3, "),
    (Host(kernel="6.1.0"), (), "kernel 6.1.0 is at least 4.8: process_vm_readv, process_vm_writev, ptrace allowed"),
    (Host(arch="s390x"), (), "on s390x: s390_pci_mmio_read, s390_pci_mmio_write, s390_runtime_instr allowed"),
    (Host(arch="arm64"), (), "a build for arm64 filters SCMP_ARCH_ARM, SCMP_ARCH_AARCH64"),
]


@pytest.mark.parametrize(("host", "added", "sentence"), CONDITIONS)
def test_conditions_of_the_profile(host: Host, added: tuple[str, ...], sentence: str) -> None:
    asked = security(DEFAULT, capabilities=Capability(add_capabilities=added))
    found = container("", asked, on=runtime("2.3.4", host=host))
    assert any(each.startswith(sentence) for each in told(found)), told(found)


def test_an_old_kernel_is_not_told_to_allow() -> None:
    found = container("", security(DEFAULT), on=runtime("2.3.4", host=Host(kernel="4.7.9")))
    assert not any("ptrace allowed" in sentence for sentence in told(found))


def test_a_capability_that_no_kernel_knows_is_told() -> None:
    asked = security(DEFAULT, capabilities=Capability(add_capabilities=("BOGUS",)))
    (step,) = [step for step in container("2.3.4", asked).steps if step.warns]
    assert step.because == ("no kernel knows CAP_BOGUS: the name is written down as it came, and unlocks nothing")
