"""What a platform team may promise about seccomp on its nodes, as a suite that anybody can run: `pytest`.

Every sentence is checked on every node of pytest.ini, from nodes of 2022 to nodes of today, under either runtime. A
mark with settings alone changes something about these nodes; one that names nodes takes their place.
"""

import socket

import pytest

RUNTIME_DEFAULT = {"type": "RuntimeDefault"}
UNCONFINED = {"type": "Unconfined"}
AUDIT = {"type": "Localhost", "localhostProfile": "audit.json"}
AUDIT_FILE = "/var/lib/kubelet/seccomp/audit.json"
DENY_PTRACE = {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}


def test_who_asks_for_the_default_gets_that_of_the_runtime(cri_node, assert_seccomp):
    assert_seccomp(cri_node.container(seccompProfile=RUNTIME_DEFAULT)).is_default()


def test_who_asks_for_nothing_gets_what_the_kubelet_is_set_to(cri_node, assert_seccomp):
    check = assert_seccomp(cri_node.container())
    if cri_node.document.kubelet.seccomp_default:
        check.is_default().explains("seccompDefault is on")
    else:
        check.is_unconfined().explains("seccompDefault is off")


@pytest.mark.cri_node(kubelet="1.30.2", seccompDefault=True)
def test_who_asks_for_no_filter_gets_none_whatever_the_kubelet_is_set_to(cri_node, assert_seccomp):
    assert_seccomp(cri_node.container(seccompProfile=UNCONFINED)).is_unconfined()


def test_a_privileged_container_has_no_filter(cri_node, assert_seccomp):
    assert_seccomp(cri_node.container(privileged=True, seccompProfile=RUNTIME_DEFAULT)).is_unconfined()


def test_the_default_lets_nobody_make_namespaces_or_load_modules(cri_node, assert_seccomp):
    container = cri_node.container(seccompProfile=RUNTIME_DEFAULT)
    assert_seccomp(container).denies("unshare", "init_module", "finit_module", "bpf", "swapon")


def test_a_capability_widens_the_default(cri_node, assert_seccomp):
    plain = cri_node.container(seccompProfile=RUNTIME_DEFAULT)
    admin = cri_node.container(seccompProfile=RUNTIME_DEFAULT, capabilities={"add": ["SYS_ADMIN"]})
    assert_seccomp(admin).is_default().allows("mount", "unshare").does_not_equal(plain)
    assert_seccomp(plain).allows_no_more_than(admin)


def test_a_file_of_the_node_is_the_filter(cri_node, assert_seccomp):
    cri_node.write(AUDIT_FILE, {"defaultAction": "SCMP_ACT_LOG", "syscalls": [DENY_PTRACE]})
    assert_seccomp(cri_node.container(seccompProfile=AUDIT)).is_localhost().allows("unshare").denies("ptrace")


def test_a_file_that_is_missing_stops_its_container_and_no_other(cri_node, assert_seccomp):
    pod = cri_node.create("two.yaml")
    assert_seccomp(pod["plain"]).is_default()
    assert_seccomp(pod["audited"]).is_refused("CreateContainerError", "no such file or directory")
    cri_node.write(AUDIT_FILE, {"defaultAction": "SCMP_ACT_LOG"})
    cri_node.wait(60)
    assert_seccomp(pod["audited"]).allows("ptrace")


@pytest.mark.cri_node(kubelet="1.30.2", seccompDefault=False)
def test_a_changed_setting_waits_for_the_restart(cri_node, assert_seccomp):
    container = cri_node.container()
    cri_node.set({"kubelet.seccompDefault": True})
    assert container.state == "running"
    assert_seccomp(container).is_unconfined()
    assert_seccomp(container.restart()).is_default()


@pytest.mark.cri_node("containerd@1.7.31", kubelet="1.30.2")
def test_an_upgrade_closes_what_it_should_for_restarted_containers(cri_node, assert_seccomp):
    """containerd#13327 (CVE-2026-31431): sockets of the kernel's crypto API, closed from 1.7.32 on."""
    container = cri_node.container(seccompProfile=RUNTIME_DEFAULT)
    cri_node.set({"runtime.version": "1.7.32"})
    assert_seccomp(container).allows("socket", arg0=socket.AF_ALG)
    assert_seccomp(container.restart()).denies("socket", arg0=socket.AF_ALG, errno="EPERM")


@pytest.mark.cri_node("containerd@1.7.32", "containerd@2.0.9", "containerd@2.2.4", "containerd@2.3.1")
def test_the_fleet_is_patched(cri_node, assert_seccomp):
    assert_seccomp(cri_node.container(seccompProfile=RUNTIME_DEFAULT)).denies("socket", arg0=socket.AF_ALG)
