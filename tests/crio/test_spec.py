"""The rest of the spec: what the recordings do not show, from the sources at each tag."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from runtimes.crio import model
from runtimes.crio.daemon import Daemon
from runtimes.errors import Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import ContainerPlace, ImageFacts, Setup
from runtimes.release import parse
from runtimes.request import ContainerRequest, SandboxRequest
from tests.crio.player import BUSYBOX, daemon, play, recorded, sandbox_request
from tests.oci_schema import check

CONF = "/etc/crio/crio.conf"
NAMESPACES = {"namespace_options": {"pid": 1}}
EVERY = [str(known.release) for known in model.releases()]


def start(release: str = "1.36.3", conf: str = "", *, cgroup: int = 1, driver: str = "cgroupfs") -> Daemon:
    text = f'[crio.runtime]\ncgroup_manager = "{driver}"\n{conf}'
    return model.runtime(parse(release), Host(cgroup=cgroup), Setup(config=CONF), MemoryFiles({CONF: text.encode()}))


def pod(**parts: Any) -> SandboxRequest:
    named = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "labels": {"a": "b"}}
    return msgspec.convert({**named, **parts}, SandboxRequest)


def create(
    on: Daemon,
    security: dict[str, Any] | None = None,
    *,
    sandbox: SandboxRequest | None = None,
    image: ImageFacts = BUSYBOX,
    **parts: Any,
) -> dict[str, Any]:
    """Return the spec of a container. `parts` are those of its request; `resources` lies in its `linux`."""
    linux = {"security_context": security or {}, "resources": parts.pop("resources", None)}
    request = msgspec.convert({"metadata": {"name": "c"}, "linux": linux, **parts}, ContainerRequest)
    _, sandbox_place = sandbox_request({})
    place = ContainerPlace(id="b" * 64, created_at=2, pid=4712, storage="c" * 64, image=image)
    return on.container(request, place, sandbox or pod(), sandbox_place).spec


def infra(on: Daemon, **parts: Any) -> dict[str, Any]:
    """Return the spec of a sandbox."""
    return on.sandbox(pod(**parts), sandbox_request({})[1]).spec


def mounted(spec: dict[str, Any], target: str) -> list[str] | None:
    return next((each["options"] for each in spec["mounts"] if each["destination"] == target), None)


# --- every spec is one


def test_recorded_specs_meet_the_schema() -> None:
    checked = 0
    for release, answers in recorded()["releases"].items():
        for name in answers["configs"]["default"]["cases"]:
            answer = play(daemon(release), recorded()["cases"][name])
            if answer["outcome"] == "ok":
                answer["spec"]["linux"].pop("seccomp", None)
                check(answer["spec"])
                checked += 1
    assert checked > 500


def test_every_release_makes_valid_specs() -> None:
    for release in EVERY:
        found = start(release)
        check(infra(found))
        spec = create(found, {"seccomp": {}, "seccomp_profile_path": "runtime/default"}, resources={"cpu_shares": 2})
        check(spec)
        assert spec["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO", release


@pytest.mark.parametrize(
    ("release", "version"),
    [("1.18.0", "1.0.2"), ("1.19.0", "1.0.2-dev"), ("1.24.6", "1.0.2-dev"), ("1.30.14", "1.2.0"), ("1.36.3", "1.3.0")],
)
def test_the_version_of_the_spec(release: str, version: str) -> None:
    assert create(start(release))["ociVersion"] == version


# --- the process


@pytest.mark.parametrize(
    ("command", "args", "entrypoint", "cmd", "expected"),
    [
        (["a"], [], ["e"], ["x"], ["a"]),
        ([], ["b"], ["e"], ["x"], ["e", "b"]),
        ([], [], ["e"], ["x"], ["e", "x"]),
        (["a"], ["b"], ["e"], ["x"], ["a", "b"]),
    ],
)
def test_arguments(
    command: list[str], args: list[str], entrypoint: list[str], cmd: list[str], expected: list[str]
) -> None:
    image = ImageFacts(id=BUSYBOX.id, entrypoint=tuple(entrypoint), cmd=tuple(cmd))
    assert create(start(), image=image, command=command, args=args)["process"]["args"] == expected


def test_nothing_to_run() -> None:
    with pytest.raises(Refused, match="no command specified"):
        create(start(), image=ImageFacts(id=BUSYBOX.id))


def test_environment() -> None:
    env = [{"key": "A", "value": "request"}, {"key": "PATH", "value": "/bin"}]
    image = ImageFacts(id=BUSYBOX.id, cmd=("sh",), env=("A=image", "B=image", "PATH=/image"))
    spec = create(start(conf='default_env = ["C=daemon", "B=daemon"]'), image=image, envs=env)
    assert spec["process"]["env"] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM=xterm",
        f"HOSTNAME={'a' * 12}",
        "C=daemon",
        "B=image",
        "A=request",
        "PATH=/bin",
    ]


@pytest.mark.parametrize(
    ("security", "image_user", "expected"),
    [
        ({}, "", {"uid": 0, "gid": 0, "additionalGids": [0]}),
        ({"run_as_user": {"value": 5}}, "7", {"uid": 5, "gid": 0, "additionalGids": [0]}),
        ({}, "7:8", {"uid": 7, "gid": 8, "additionalGids": [8]}),
        (
            {"run_as_user": {"value": 5}, "run_as_group": {"value": 6}, "supplemental_groups": [9, 6]},
            "",
            {"uid": 5, "gid": 6, "additionalGids": [6, 9]},
        ),
        ({"run_as_username": "root"}, "7", {"uid": 0, "gid": 0, "additionalGids": [0]}),
    ],
)
def test_user(security: dict[str, Any], image_user: str, expected: dict[str, Any]) -> None:
    image = ImageFacts(id=BUSYBOX.id, cmd=("sh",), user=image_user)
    assert create(start(), security, image=image)["process"]["user"] == expected


@pytest.mark.parametrize(
    ("security", "words"),
    [
        ({"run_as_group": {"value": 6}}, "user group is specified without user or username"),
        ({"run_as_username": "nobody"}, "unable to find user nobody: no matching entries in passwd file"),
        ({"run_as_user": {"value": -1}}, "uids and gids must be in range 0-2147483647"),
    ],
)
def test_a_user_that_is_none(security: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        create(start(), security)


def test_limits_of_the_configuration_and_flags_of_the_request() -> None:
    spec = create(start(conf='default_ulimits = ["nofile=1:2"]'), {"no_new_privs": True}, tty=True, working_dir="/w")
    assert spec["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "hard": 2, "soft": 1}]
    assert spec["process"]["noNewPrivileges"] is True
    assert spec["process"]["terminal"] is True
    assert spec["process"]["cwd"] == "/w"


# --- resources, cgroups, namespaces


def test_resources() -> None:
    limits = {
        "cpu_shares": 2,
        "cpu_period": -1,
        "memory_limit_in_bytes": 1 << 30,
        "hugepage_limits": [{"page_size": "2MB", "limit": 5}],
        "unified": {"b": "2", "a": "1"},
        "oom_score_adj": 7,
    }
    spec = create(start(cgroup=2), resources=limits)
    found = spec["linux"]["resources"]
    assert found["cpu"] == {"shares": 2, "quota": 0, "period": 2**64 - 1}
    assert found["memory"] == {"limit": 1 << 30, "swap": 1 << 30}
    assert found["hugepageLimits"] == [{"pageSize": "2MB", "limit": 5}]
    assert found["unified"] == {"a": "1", "b": "2"}
    assert "unified" not in create(start(), resources=limits)["linux"]["resources"]
    assert spec["process"]["oomScoreAdj"] == 7


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"memory_limit_in_bytes": 1000}, "1000"),
        ({"memory_limit_in_bytes": 1 << 30, "memory_swap_limit_in_bytes": 1}, "memory swap limit"),
    ],
)
def test_memory_that_is_too_little(limits: dict[str, int], words: str) -> None:
    with pytest.raises(Refused, match=words):
        create(start(), resources=limits)


@pytest.mark.parametrize(
    ("driver", "parent", "path"),
    [
        ("cgroupfs", "", f"/crio/crio-{'b' * 64}"),
        ("cgroupfs", "/pods/p", f"/pods/p/crio-{'b' * 64}"),
        ("systemd", "", f"system.slice:crio:{'b' * 64}"),
        ("systemd", "/kubepods.slice/kubepods-p.slice", f"kubepods-p.slice:crio:{'b' * 64}"),
    ],
)
def test_where_a_container_is_counted(driver: str, parent: str, path: str) -> None:
    sandbox = pod(linux={"cgroup_parent": parent})
    assert create(start(driver=driver), sandbox=sandbox)["linux"]["cgroupsPath"] == path


@pytest.mark.parametrize(
    ("driver", "parent", "words"),
    [
        (
            "cgroupfs",
            "a.slice",
            "cri-o configured with cgroupfs cgroup manager, but received systemd slice as parent: a",
        ),
        ("systemd", "/a", "cri-o configured with systemd cgroup manager, but did not receive slice as parent: /a"),
    ],
)
def test_a_parent_of_the_other_manager(driver: str, parent: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        infra(start(driver=driver), linux={"cgroup_parent": parent})


def test_namespaces() -> None:
    kinds = [each["type"] for each in create(start(cgroup=2), {"namespace_options": {"pid": 1}})["linux"]["namespaces"]]
    assert kinds == ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    options = {"network": 2, "pid": 2, "ipc": 2}
    node = create(
        start(), {"namespace_options": options}, sandbox=pod(linux={"security_context": {"namespace_options": options}})
    )
    assert "network" not in [each["type"] for each in node["linux"]["namespaces"]]
    target = create(start(), {"namespace_options": {"pid": 3, "target_id": "t"}})["linux"]["namespaces"][0]
    assert target == {"type": "pid", "path": "/var/run/pidns/t"}


def test_users_of_its_own() -> None:
    ids = [{"host_id": 65536, "container_id": 0, "length": 65536}]
    options = {"userns_options": {"mode": 0, "uids": ids, "gids": ids}, "pid": 1}
    sandbox = pod(linux={"security_context": {"namespace_options": options}})
    spec = create(start(), {"namespace_options": {"pid": 1}}, sandbox=sandbox)
    assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 65536, "size": 65536}]
    assert spec["linux"]["namespaces"][-1]["type"] == "user"


def test_the_pods_pids_need_an_infra_container() -> None:
    apart = pod(linux={"security_context": {"namespace_options": {"pid": 1}}})
    with pytest.raises(Refused, match="does not have an infra container"):
        create(start(), {"namespace_options": {"pid": 0}}, sandbox=apart)
    spec = create(start(conf="drop_infra_ctr = false"), {"namespace_options": {"pid": 0}}, sandbox=apart)
    assert spec["linux"]["namespaces"][0] == {"type": "pid", "path": "/proc/4711/ns/pid"}


def test_sysctls() -> None:
    asked = {"net.a": "1", "kernel.shm_rmid_forced": "1", "vm.x": "1"}
    found = infra(start(conf='default_sysctls = ["net.a=0", "net.b=0"]'), linux={"sysctls": asked})["linux"]["sysctl"]
    assert found == {"kernel.shm_rmid_forced": "1", "net.a": "1", "net.b": "0"}
    options = {"security_context": {"namespace_options": {"network": 2}}, "sysctls": asked}
    assert infra(start(), linux=options)["linux"]["sysctl"] == {"kernel.shm_rmid_forced": "1"}


# --- mounts and paths


@pytest.mark.parametrize(
    ("release", "mount", "options"),
    [
        ("1.36.3", {}, ["rw", "rbind", "rprivate", "bind"]),
        ("1.36.3", {"readonly": True, "propagation": 1}, ["ro", "rbind", "rslave", "bind"]),
        ("1.18.0", {"readonly": True}, ["rbind", "rprivate", "ro", "bind"]),
        ("1.36.3", {"readonly": True, "recursive_read_only": True}, ["rro", "rbind", "rprivate", "bind"]),
        ("1.24.6", {"readonly": True, "recursive_read_only": True}, None),
    ],
)
def test_a_mount(release: str, mount: dict[str, Any], options: list[str] | None) -> None:
    found = mounted(create(start(release), mounts=[{"container_path": "/c", "host_path": "/h/../h", **mount}]), "/c")
    assert found
    if options:
        assert sorted(found) == sorted(options)
    else:
        assert "rro" not in found


@pytest.mark.parametrize(
    ("release", "options"),
    [
        ("1.29.13", ["rw", "rbind", "rprivate", "bind"]),
        ("1.30.0", ["rbind", "rprivate", "rw", "bind"]),
        ("1.30.14", ["rbind", "rprivate", "rw", "bind"]),  # answered by a daemon of that release, too
        ("1.36.3", ["rbind", "rprivate", "rw", "bind"]),
    ],
)
def test_the_order_of_mount_options_changed(release: str, options: list[str]) -> None:
    """Source: server/container_create_linux.go addOCIBindMounts at v1.29.13 and at v1.30.0."""
    assert mounted(create(start(release), mounts=[{"container_path": "/c", "host_path": "/h"}]), "/c") == options


def test_the_annotation_tells_the_volumes_in_the_order_of_the_mounts() -> None:
    """As daemons of 1.24.6 and 1.36.3 do. Source: addOCIBindMounts sorts the request itself (criOrderedMounts)."""
    mounts = [{"container_path": path, "host_path": "/h"} for path in ("/a/b/c", "/a", "/a/b", "c/", "/d/")]
    for release in EVERY:
        annotations = create(start(release), mounts=mounts)["annotations"]
        told = [each["container_path"] for each in json.loads(annotations["io.kubernetes.cri-o.Volumes"])]
        assert told == ["c/", "/a", "/d/", "/a/b", "/a/b/c"], release


@pytest.mark.parametrize(
    ("driver", "layer", "containers"),
    [
        ("overlay", "/s/overlay/{}/merged", "/r/overlay-containers"),
        ("overlay2", "/s/overlay/{}/merged", "/r/overlay-containers"),
        ("vfs", "/s/vfs/dir/{}", "/r/vfs-containers"),  # as real daemons of four releases do
        ("btrfs", "/s/btrfs/subvolumes/{}", "/r/btrfs-containers"),
        ("zfs", "/s/zfs/graph/{}", "/r/zfs-containers"),
    ],
)
def test_where_a_storage_driver_keeps_its_layers(driver: str, layer: str, containers: str) -> None:
    """Source: drivers/*/ Get and store.go of the containers/storage that v1.36.3 vendors."""
    spec = create(start(conf=f'[crio]\nroot = "/s"\nrunroot = "/r"\nstorage_driver = "{driver}"'))
    merged = spec["root"]["path"]
    assert merged == layer.format("c" * 64)
    assert spec["annotations"]["io.kubernetes.cri-o.MountPoint"] == merged
    hostname = next(each for each in spec["mounts"] if each["destination"] == "/etc/hostname")
    assert hostname["source"].startswith(f"{containers}/")


@pytest.mark.parametrize(
    ("drops", "root"), [("false", "/var/lib/containers/storage"), ("true", "/run/containers/storage")]
)
def test_where_a_container_finds_its_environment_file(drops: str, root: str) -> None:
    """As a real 1.36.3 does. Source: oci.NewSpoofedContainer has podContainer.RunDir for its Dir."""
    on = start(conf=f"drop_infra_ctr = {drops}")
    spec = create(on, NAMESPACES, sandbox=pod(linux={"security_context": NAMESPACES}))
    source = next(each["source"] for each in spec["mounts"] if each["destination"] == "/run/.containerenv")
    assert source.startswith(f"{root}/overlay-containers/")


def test_no_limit_is_the_largest_number() -> None:
    """As a real 1.36.3 does: runtime-tools has unsigned numbers there."""
    found = create(start(conf='default_ulimits = ["nofile=1024:2048", "core=0:-1"]'))["process"]["rlimits"]
    assert found == [
        {"type": "RLIMIT_NOFILE", "hard": 2048, "soft": 1024},
        {"type": "RLIMIT_CORE", "hard": (1 << 64) - 1, "soft": 0},
    ]


@pytest.mark.parametrize("release", ["1.24.6", "1.36.3"])
def test_what_is_wrong_is_refused_in_the_order_of_the_real_one(release: str) -> None:
    """Source: createSandboxContainer at v1.24.6 and v1.36.3; a real 1.36.3 refused the namespace, not the user."""
    on = start(release, "drop_infra_ctr = true")
    security: dict[str, Any] = {
        "capabilities": {"add_capabilities": ["NO_SUCH"]},
        "namespace_options": {"pid": 0},
        "seccomp": {"profile_type": 2, "localhost_ref": "/none.json"},
        "seccomp_profile_path": "localhost//none.json",
        "run_as_username": "nobody-knows",
    }
    parts: dict[str, Any] = {"mounts": [{"container_path": "/c"}], "resources": {"memory_limit_in_bytes": 1}}
    mended: list[Callable[[], Any]] = [
        lambda: parts.pop("mounts"),
        lambda: parts.pop("resources"),
        lambda: security.pop("capabilities"),
        lambda: security.update(NAMESPACES),
        lambda: parts.update(command=["c"]),
        lambda: (security.pop("seccomp"), security.pop("seccomp_profile_path")),
        lambda: security.pop("run_as_username"),
    ]
    image = msgspec.structs.replace(BUSYBOX, cmd=())
    sandbox = pod(linux={"security_context": NAMESPACES})
    said = []
    for mend in mended:
        with pytest.raises(Refused) as caught:
            create(on, security, sandbox=sandbox, image=image, **parts)
        said.append(caught.value.message)
        mend()
    create(on, security, sandbox=sandbox, image=image, **parts)
    words = ["mount.HostPath", "memory", "NO_SUCH", "pod level PID", "no command", "none.json", "nobody-knows"]
    assert [word for word, message in zip(words, said, strict=True) if word in message] == words


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({"host_path": "/h"}, "mount.ContainerPath is empty"),
        ({"container_path": "/c"}, "mount.HostPath is empty"),
        (
            {"container_path": "/c", "host_path": "/h", "recursive_read_only": True},
            'recursive read-only mount conflicts with read-write mount for hostPath "/h"',
        ),
        (
            {
                "container_path": "/c",
                "host_path": "/h",
                "readonly": True,
                "recursive_read_only": True,
                "propagation": 2,
            },
            'recursive read-only mount requires private propagation for hostPath "/h", got: PROPAGATION_BIDIRECTIONAL',
        ),
    ],
)
def test_a_mount_that_cannot_be(mount: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        create(start(), mounts=[mount])
    assert words in caught.value.message


def test_a_mount_over_a_base_mount_takes_its_place() -> None:
    mounts = [{"container_path": "/dev", "host_path": "/d"}, {"container_path": "/a/b", "host_path": "/h"}]
    spec = create(start(), mounts=mounts)
    targets = [each["destination"] for each in spec["mounts"]]
    assert targets.count("/dev") == 1
    assert "/dev/pts" not in targets
    assert targets.index("/dev") < targets.index("/a/b")


def test_the_propagation_that_mounts_want() -> None:
    mount = {"container_path": "/c", "host_path": "/h", "propagation": 2}
    assert create(start(), mounts=[mount])["linux"]["rootfsPropagation"] == "rshared"


def test_a_read_only_container() -> None:
    spec = create(start(), {"readonly_rootfs": True})
    assert spec["root"]["readonly"] is True
    assert "ro" in (mounted(spec, "/etc/hostname") or ())
    spec = create(start(conf="read_only = true"))
    assert "tmpcopyup" in (mounted(spec, "/tmp") or ())  # noqa: S108


def test_hidden_paths() -> None:
    linux = create(start("1.36.3"), {"masked_paths": ["/m"], "readonly_paths": ["/r"]})["linux"]
    assert "/m" in linux["maskedPaths"]
    assert linux["readonlyPaths"] == ["/r"]
    privileged = create(
        start(),
        {"privileged": True, "masked_paths": ["/m"]},
        sandbox=pod(linux={"security_context": {"privileged": True}}),
    )
    assert "maskedPaths" not in privileged["linux"]


def test_a_container_that_runs_systemd() -> None:
    spec = create(start(), command=["/sbin/init"])
    assert spec["process"]["env"][-1] == "container=crio"
    assert mounted(spec, "/sys/fs/cgroup/systemd")
    assert "/sys/fs/cgroup/systemd/release_agent" in spec["linux"]["maskedPaths"]
    assert mounted(create(start(cgroup=2), command=["/usr/lib/systemd/systemd"]), "/sys/fs/cgroup") == ["private", "rw"]


def test_who_is_privileged_in_a_sandbox_that_is_not() -> None:
    with pytest.raises(Refused, match="no privileged container allowed in sandbox"):
        create(start(), {"privileged": True}, sandbox=pod(linux={"security_context": {}}))


# --- annotations


def test_volumes_are_noted() -> None:
    mount = {"container_path": "/c", "host_path": "/h", "readonly": True}
    noted = create(start(), mounts=[mount])["annotations"]["io.kubernetes.cri-o.Volumes"]
    (volume,) = json.loads(noted)
    assert (volume["container_path"], volume["host_path"], volume["readonly"]) == ("/c", "/h", True)


def test_ports_are_noted() -> None:
    ports = [{"container_port": 80, "host_port": 8080, "protocol": 1}, {"container_port": 81}]
    noted = infra(start(), port_mappings=ports)["annotations"]["io.kubernetes.cri-o.PortMappings"]
    assert json.loads(noted) == [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "UDP", "HostIP": ""}]


@pytest.mark.parametrize(
    ("release", "names"),
    [("1.18.1", set()), ("1.18.2", {"Image"}), ("1.24.3", {"Image", "ImageName", "SandboxName"})],
)
def test_what_an_infra_container_is_made_of(release: str, names: set[str]) -> None:
    noted = infra(start(release))["annotations"]
    every = {"Image", "ImageName", "SandboxName"}
    assert {name for name in every if f"io.kubernetes.cri-o.{name}" in noted} == names


def test_annotations_are_text_in_order() -> None:
    for release in EVERY[::9]:
        noted = create(start(release), annotations={"z": "1", "a": "2"})["annotations"]
        assert list(noted) == sorted(noted)
        assert noted["z"] == "1"


def test_a_network_may_be_named_by_its_path() -> None:
    request, place = sandbox_request({})
    named = msgspec.structs.replace(place, network="/var/run/netns/cni-1234")
    paths = [each.get("path") for each in start().sandbox(request, named).spec["linux"]["namespaces"]]
    assert "/var/run/netns/1234" in paths
