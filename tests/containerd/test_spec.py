"""The rest of the spec: what the recordings do not show, from the sources at each tag."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.containerd import model
from runtimes.errors import Refused
from runtimes.host import Host
from runtimes.model import ContainerPlace, ImageFacts
from runtimes.request import (
    Capability,
    Device,
    IDMapping,
    Int64Value,
    KeyValue,
    LinuxContainerResources,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    Mount,
    NamespaceOption,
    SecurityProfile,
    UserNamespace,
)
from tests.containerd.asking import SANDBOX_PLACE, container, runtime, sandbox
from tests.containerd.player import daemon, recorded
from tests.containerd.player import play as play_case
from tests.oci_schema import check


def test_recorded_specs_meet_the_schema() -> None:
    for release, answers in recorded()["releases"].items():
        for name in answers["configs"]["default"]["cases"]:
            answer = play_case(daemon(release, "default"), recorded()["cases"][name])
            if answer["outcome"] == "ok":
                spec = answer["spec"]
                spec["linux"].pop("seccomp", None)
                check(spec)


def test_every_release_makes_valid_specs() -> None:
    security = LinuxContainerSecurityContext(seccomp=SecurityProfile(), seccomp_profile_path="runtime/default")
    limits = LinuxContainerResources(memory_limit_in_bytes=1 << 20)
    for known in model.releases():
        found = runtime(known.release.upstream)
        check(found.sandbox(sandbox(), SANDBOX_PLACE).spec)
        spec = container("", security, on=found, resources=limits).spec
        assert spec["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO", known.release


def test_environment_is_overridden_by_name_only_over_what_the_daemon_set() -> None:
    spec = container("2.3.4", envs=(KeyValue(key="A", value="2"), KeyValue(key="HOSTNAME", value="me"))).spec
    assert spec["process"]["env"] == ["PATH=/bin", "HOSTNAME=me", "A=1", "A=2"]
    spec = container("1.2.14", envs=(KeyValue(key="A", value="2"),)).spec
    assert spec["process"]["env"] == ["PATH=/bin", "HOSTNAME=localhost", "A=2"]


def test_a_terminal_sets_its_variable_before_the_name_of_the_host() -> None:
    process = container("2.3.4", tty=True, pod=sandbox(hostname="pod")).spec["process"]
    assert process["terminal"] is True
    assert process["env"][1:3] == ["TERM=xterm", "HOSTNAME=pod"]


COMMANDS = [
    (("a",), (), (), ("x",), ["a"]),
    ((), ("b",), ("e",), ("x",), ["e", "b"]),
    ((), (), ("e",), ("x",), ["e", "x"]),
    ((), (), ("",), ("x",), ["x"]),
]


@pytest.mark.parametrize(("command", "args", "entrypoint", "cmd", "expected"), COMMANDS)
def test_arguments(
    command: tuple[str, ...],
    args: tuple[str, ...],
    entrypoint: tuple[str, ...],
    cmd: tuple[str, ...],
    expected: list[str],
) -> None:
    image = ImageFacts(id="sha256:" + "0" * 64, entrypoint=entrypoint, cmd=cmd)
    place = ContainerPlace(id="c" * 64, created_at=1, pid=2, storage="d" * 64, image=image)
    assert container("2.3.4", command=command, args=args, place=place).spec["process"]["args"] == expected


def test_an_entrypoint_of_one_empty_text_is_an_argument_before_the_fix() -> None:
    image = ImageFacts(id="sha256:" + "0" * 64, entrypoint=("",), cmd=("x",))
    place = ContainerPlace(id="c" * 64, created_at=1, pid=2, storage="d" * 64, image=image)
    assert container("1.6.8", place=place).spec["process"]["args"] == ["", "x"]
    assert container("1.6.9", place=place).spec["process"]["args"] == ["x"]


def test_no_command_at_all_is_refused() -> None:
    image = ImageFacts(id="sha256:" + "0" * 64)
    place = ContainerPlace(id="c" * 64, created_at=1, pid=2, storage="d" * 64, image=image)
    with pytest.raises(Refused) as refused:
        container("2.3.4", place=place)
    assert (
        refused.value.message
        == f'failed to generate container "{"c" * 64}" spec: failed to generate spec: no command specified'
    )


USERS = [
    ("2.3.4", (1000, None), {"uid": 1000, "gid": 0, "additionalGids": [0]}),
    ("2.3.4", (1000, 7), {"uid": 1000, "gid": 7, "additionalGids": [7]}),
    ("1.6.17", (1000, 7), {"uid": 1000, "gid": 7}),
    ("1.6.18", (1000, 7), {"uid": 1000, "gid": 7, "additionalGids": [7]}),
]


@pytest.mark.parametrize(("release", "ids", "user"), USERS)
def test_users(release: str, ids: tuple[int, int | None], user: dict[str, Any]) -> None:
    run_as_user, run_as_group = (None if value is None else Int64Value(value=value) for value in ids)
    security = LinuxContainerSecurityContext(run_as_user=run_as_user, run_as_group=run_as_group)
    assert container(release, security).spec["process"]["user"] == user


def test_the_image_names_the_user_where_the_request_does_not() -> None:
    image = ImageFacts(id="sha256:" + "0" * 64, cmd=("sh",), user="7:8")
    place = ContainerPlace(id="c" * 64, created_at=1, pid=2, storage="d" * 64, image=image)
    assert container("1.3.0-beta.1", place=place).spec["process"]["user"] == {"uid": 0, "gid": 0}
    assert container("1.3.0-beta.2", place=place).spec["process"]["user"] == {"uid": 7, "gid": 8}


def test_supplemental_groups_outlive_the_user_only_since_they_are_added_last() -> None:
    security = LinuxContainerSecurityContext(run_as_user=Int64Value(value=5), supplemental_groups=(9, 3, 9))
    assert container("2.3.4", security).spec["process"]["user"]["additionalGids"] == [0, 3, 9]
    strict = LinuxContainerSecurityContext(supplemental_groups=(3,), supplemental_groups_policy=1)
    assert container("2.3.4", strict).spec["process"]["user"]["additionalGids"] == [3]


REFUSALS = [
    (
        "2.3.4",
        LinuxContainerSecurityContext(run_as_group=Int64Value(value=1)),
        'failed to get container spec opts: failed to generate user string: user group "1" is specified without user',
    ),
    (
        "2.3.4",
        LinuxContainerSecurityContext(run_as_username="nobody"),
        "failed to create containerd container: no users found",
    ),
    (
        "2.3.4",
        LinuxContainerSecurityContext(run_as_user=Int64Value(value=2**31)),
        'failed to create containerd container: invalid USER value "2147483648": uid out of range',
    ),
    (
        "2.3.4",
        LinuxContainerSecurityContext(supplemental_groups_policy=7),
        "failed to get container spec opts: not implemented in this containerd release: SupplementalGroupsPolicy=7",
    ),
    (
        "2.3.4",
        LinuxContainerSecurityContext(apparmor=SecurityProfile()),
        "failed to get container spec opts: failed to generate apparmor spec opts: apparmor is not supported",
    ),
    (
        "1.4.13",
        LinuxContainerSecurityContext(seccomp_profile_path="bogus"),
        ': failed to generate seccomp spec opts: invalid seccomp profile "bogus"',
    ),
    (
        "1.3.10",
        LinuxContainerSecurityContext(seccomp_profile_path="bogus"),
        'failed to generate seccomp spec opts: invalid seccomp profile "bogus"',
    ),
    (
        "1.2.2",
        LinuxContainerSecurityContext(seccomp_profile_path="localhost/nosuch"),
        (
            'failed to create containerd container: Cannot load seccomp profile "nosuch": '
            "open nosuch: no such file or directory"
        ),
    ),
]


@pytest.mark.parametrize(("release", "security", "message"), REFUSALS)
def test_refusals(release: str, security: LinuxContainerSecurityContext, message: str) -> None:
    with pytest.raises(Refused) as refused:
        container(release, security)
    assert (refused.value.code, refused.value.message) == ("UNKNOWN", message)


def test_a_message_that_the_api_does_not_have_is_not_seen_and_that_is_told() -> None:
    found = container("1.4.13", LinuxContainerSecurityContext(seccomp=SecurityProfile(profile_type=99)))
    assert found.section is None
    (warning,) = [step.because for step in found.steps if step.warns]
    assert "linux.security_context.seccomp" in warning


def test_old_capabilities() -> None:
    asked = LinuxContainerSecurityContext(
        capabilities=Capability(add_capabilities=("ALL",), drop_capabilities=("CHOWN",))
    )
    old = container("1.3.10", asked).spec["process"]["capabilities"]
    assert old["bounding"][-1] == "CAP_AUDIT_READ"
    assert old["inheritable"] == old["bounding"]
    oldest = container("1.2.14", asked).spec["process"]["capabilities"]["bounding"]
    assert oldest[:2] == ["CAP_DAC_OVERRIDE", "CAP_FSETID"]
    bogus = LinuxContainerSecurityContext(capabilities=Capability(add_capabilities=("BOGUS",)))
    with pytest.raises(Refused, match="invalid capability: CAP_BOGUS"):
        container("1.2.14", bogus)
    (warning,) = [step.because for step in container("1.3.0", bogus).steps if step.warns]
    assert "CAP_BOGUS" in warning


def test_limits() -> None:
    asked = LinuxContainerResources(
        cpu_period=100,
        cpu_quota=50,
        cpu_shares=2,
        memory_limit_in_bytes=64,
        cpuset_cpus="0-1",
        oom_score_adj=-3,
        unified={"b": "1", "a": "2"},
    )
    spec = container("2.3.4", resources=asked).spec
    assert spec["process"]["oomScoreAdj"] == -3
    assert spec["linux"]["resources"] == {
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": {"limit": 64, "swap": 64},
        "cpu": {"shares": 2, "quota": 50, "period": 100, "cpus": "0-1"},
        "unified": {"a": "2", "b": "1"},
    }
    assert container("1.6.12", resources=asked).spec["linux"]["resources"]["memory"] == {"limit": 64}
    assert "oomScoreAdj" not in container("2.3.4").spec["process"]


CGROUPS = [
    ("", f"/k8s.io/{'c' * 64}"),
    ("/kubepods/pod1", f"/kubepods/pod1/{'c' * 64}"),
    ("/kubepods.slice/kubepods-pod1.slice", f"kubepods-pod1.slice:cri-containerd:{'c' * 64}"),
]


@pytest.mark.parametrize(("parent", "path"), CGROUPS)
def test_cgroups_path(parent: str, path: str) -> None:
    pod = sandbox(LinuxPodSandboxConfig(cgroup_parent=parent))
    assert container("2.3.4", pod=pod).spec["linux"]["cgroupsPath"] == path


def test_cgroup_namespace() -> None:
    def kinds(release: str, *, cgroup: int, privileged: bool = False) -> list[str]:
        pod = sandbox(LinuxPodSandboxConfig(security_context=LinuxSandboxSecurityContext(privileged=privileged)))
        on = runtime(release, host=Host(cgroup=cgroup))
        found = container(release, LinuxContainerSecurityContext(privileged=privileged), on=on, pod=pod).spec
        return [each["type"] for each in found["linux"]["namespaces"]]

    pod = ["pid", "ipc", "uts", "mount", "network"]
    assert kinds("2.3.4", cgroup=2) == [*pod, "cgroup"]
    assert kinds("2.3.4", cgroup=1) == pod
    assert kinds("2.3.4", cgroup=2, privileged=True) == pod
    assert kinds("1.3.10", cgroup=2) == pod


def test_mounts_of_a_request() -> None:
    asked = (
        Mount(container_path="/a/b/c", host_path="/x", readonly=True, propagation=2),
        Mount(container_path="/etc/hosts", host_path="/y"),
        Mount(container_path="/dev", host_path="/dev"),
        Mount(container_path="/z", host_path="/z", readonly=True, recursive_read_only=True),
    )
    spec = container("2.3.4", mounts=asked).spec
    shown = [
        (each["destination"], each["source"], each["options"][1:]) for each in spec["mounts"] if each["type"] == "bind"
    ]
    assert shown == [
        ("/dev", "/dev", ["rprivate", "rw"]),
        ("/z", "/z", ["rprivate", "rro"]),
        ("/etc/hosts", "/y", ["rprivate", "rw"]),
        (
            "/etc/hostname",
            f"/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{'a' * 64}/hostname",
            ["rprivate", "rw"],
        ),
        (
            "/etc/resolv.conf",
            f"/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{'a' * 64}/resolv.conf",
            ["rprivate", "rw"],
        ),
        ("/dev/shm", f"/run/containerd/io.containerd.grpc.v1.cri/sandboxes/{'a' * 64}/shm", ["rprivate", "rw"]),  # noqa: S108  a path in a container
        ("/a/b/c", "/x", ["rshared", "ro"]),
    ]
    assert [each["destination"] for each in spec["mounts"] if each["type"] != "bind"] == [
        "/proc",
        "/sys",
        "/sys/fs/cgroup",
    ]
    assert spec["linux"]["rootfsPropagation"] == "rshared"


def test_recursive_read_only_is_checked() -> None:
    with pytest.raises(Refused, match=r'conflicts with RW mount \(hostPath="/x"\)'):
        container("2.3.4", mounts=(Mount(container_path="/a", host_path="/x", recursive_read_only=True),))
    # An API that does not know it drops it.
    container("1.7.24", mounts=(Mount(container_path="/a", host_path="/x", recursive_read_only=True),))


def test_mounts_with_id_mappings() -> None:
    def bound(release: str) -> dict[str, Any]:
        asked = Mount(container_path="/a", host_path="/x", uidMappings=ids, gidMappings=ids)
        (found,) = [each for each in container(release, mounts=(asked,)).spec["mounts"] if each["source"] == "/x"]
        return dict(found)

    ids = (IDMapping(host_id=100000, length=65536),)
    assert bound("2.3.4")["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    with pytest.raises(Refused, match='idmap mounts not yet supported, but they were requested for: "/x"'):
        bound("1.7.24")
    assert "uidMappings" not in bound("1.7.0")


def test_devices() -> None:
    spec = container("2.3.4", devices=(Device(container_path="/dev/f", host_path="/dev/fuse", permissions="rw"),)).spec
    assert spec["linux"]["devices"][0]["path"] == "/dev/f"
    assert spec["linux"]["resources"]["devices"][-1] == {
        "allow": True,
        "type": "c",
        "major": 10,
        "minor": 229,
        "access": "rw",
    }
    with pytest.raises(Refused, match="spec: failed to generate spec: lstat /dev/none: no such file or directory"):
        container("2.3.4", devices=(Device(container_path="/dev/f", host_path="/dev/none"),))


def test_a_user_namespace() -> None:
    ids = (IDMapping(host_id=100000, container_id=0, length=65536),)
    options = NamespaceOption(userns_options=UserNamespace(mode=0, uids=ids, gids=ids))
    pod = sandbox(LinuxPodSandboxConfig(security_context=LinuxSandboxSecurityContext(namespace_options=options)))
    spec = container("2.3.4", LinuxContainerSecurityContext(namespace_options=options), pod=pod).spec
    assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert spec["linux"]["namespaces"][-1] == {"type": "user", "path": "/proc/77/ns/user"}
    found = runtime("2.3.4").sandbox(pod, SANDBOX_PLACE).spec
    check(found)
    pinned = f"/run/containerd/io.containerd.grpc.v1.cri/sandboxes/{'a' * 64}/pinned-namespaces/user"
    assert found["linux"]["namespaces"][-1] == {"type": "user", "path": pinned}
    assert "net.ipv4.ping_group_range" not in found["linux"]["sysctl"]
    with pytest.raises(Refused, match="user namespace config for sandbox is different from container"):
        container("2.3.4", LinuxContainerSecurityContext(namespace_options=options))
    two = NamespaceOption(userns_options=UserNamespace(mode=0, uids=ids + ids, gids=ids))
    with pytest.raises(Refused, match="only one mapping line supported, got 2 mapping lines"):
        container("2.3.4", LinuxContainerSecurityContext(namespace_options=two), pod=pod)
