"""Cases made at random, as far from the recorded ones as the CRI goes: everything that shapes a spec.

Pods are really run, so theirs are requests that a kernel can meet; containers are only created, and ask for anything.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

Case = dict[str, Any]

_CAPABILITIES = "ALL NET_ADMIN SYS_ADMIN SYS_PTRACE SYSLOG BPF PERFMON SYS_NICE SYS_CHROOT CHOWN net_raw KILL".split()
_STRANGE = ["CAP_SYS_ADMIN", "NO_SUCH", ""]
_PATHS = ["", *["runtime/default"] * 4, "docker/default", "unconfined", "Unconfined", "localhost/", "bogus"]
_FILES = ["oci-basic.json", "oci-basic.json", "docker-format.json", "docker-format.json", "does-not-exist.json"]
_WORDS = ["a", "a b", "", "ü", "<&>", "x" * 80, "io.kubernetes.cri", "0"]
_MASKED = ["/proc/kcore", "/sys/firmware", "/proc/acpi", "/tmp/x"]  # noqa: S108  names in a container
_TARGETS = ["/data", "/data/deep/er", "/etc/hosts", "/dev/shm", "/run", "/proc/x", "data", "/data/", "/"]  # noqa: S108
_SYSCTLS = {"net.ipv4.ip_forward": ("network", "1"), "kernel.shm_rmid_forced": ("ipc", "0")}
LOCALHOST = 2  # the kind of a profile
NODE = 2  # the namespace of the machine


class Chance:
    """What comes by chance."""

    def __init__(self, source: random.Random) -> None:
        self.source = source

    def one(self, values: list[Any]) -> Any:
        return self.source.choice(values)

    def some(self, values: list[Any], most: int = 3) -> list[Any]:
        return [self.one(values) for _ in range(self.source.randrange(most + 1))]

    def maybe(self, share: float, **fields: Any) -> dict[str, Any]:
        """Return each field with this probability."""
        return {name: value for name, value in fields.items() if self.source.random() < share}

    def words(self) -> dict[str, str]:
        return {self.one(["k", "example.org/k", "z", "io.kubernetes.cri.x"]): self.one(_WORDS) for _ in range(2)}


def sandbox(source: random.Random, *, profile: bool = True) -> Case:
    """Return a pod, which may ask for a seccomp profile of its own, and be refused for it."""
    chance = Chance(source)
    options = chance.maybe(0.3, network=NODE, pid=chance.one([1, NODE]), ipc=NODE)
    context = {
        "namespace_options": options,
        **(_profile(chance, 0.4) if profile else {}),
        **chance.maybe(
            0.2,
            readonly_rootfs=True,
            run_as_user={"value": chance.one([0, 1000])},
            supplemental_groups=chance.some([1, 5, 1000]),
        ),
    }
    if source.random() < 0.15:  # noqa: PLR2004
        context["privileged"] = True
    config = chance.maybe(
        0.3,
        hostname=chance.one(["pod", "a-b"]),
        dns_config={"servers": ["10.0.0.10"], "searches": chance.some(["a.local"]), "options": ["ndots:5"]},
        port_mappings=[{"protocol": 0, "container_port": 80, "host_port": 0}],
    )
    linux = chance.maybe(
        0.3,
        cgroup_parent=chance.one(["/crishim-beside", "/crishim-beside/x"]),
        resources={"cpu_shares": 512, "cpu_quota": 50000, "cpu_period": 100000, "memory_limit_in_bytes": 1 << 27},
    )
    # What runc refuses: the name and the settings of the machine itself.
    if "network" in options:
        config.pop("hostname", None)
    linux |= chance.maybe(0.2, sysctls={name: value for name, (kind, value) in _SYSCTLS.items() if kind not in options})
    return {
        "kind": "sandbox",
        "security_context": context,
        "annotations": chance.words(),
        "config": config,
        "linux": linux,
    }


def container(source: random.Random, sandboxes: dict[str, Case]) -> Case:
    """Return a container in one of these pods."""
    chance = Chance(source)
    pod = chance.one(list(sandboxes))
    context = {
        **_profile(chance, 0.6),
        **chance.maybe(0.4, capabilities=_capabilities(chance)),
        **chance.maybe(
            0.2,
            no_new_privs=True,
            readonly_rootfs=True,
            masked_paths=chance.some(_MASKED),
            readonly_paths=chance.some(_MASKED),
            supplemental_groups=chance.some([0, 5, 1000, 1000]),
            run_as_user={"value": chance.one([0, 1000, 65534])},
            namespace_options={"pid": chance.one([0, 1, 2]), "ipc": chance.one([0, 2])},
        ),
        **chance.maybe(0.1, run_as_username=chance.one(["root", "nobody-knows", "0:5"]), run_as_group={"value": 7}),
        **chance.maybe(0.1, privileged=True, apparmor_profile=chance.one(["", "unconfined", "localhost/x"])),
    }
    config = chance.maybe(
        0.3,
        command=chance.some(_WORDS),
        args=chance.some(_WORDS),
        working_dir=chance.one(["", "/w", "/w/../x", "rel"]),
        envs=[{"key": chance.one(["A", "PATH", "HOSTNAME"]), "value": _bytes(word)} for word in chance.some(_WORDS)],
        labels=chance.words(),
        mounts=[_mount(chance) for _ in range(source.randrange(4))],
        tty=True,
        stdin=True,
    )
    return {
        "kind": "container",
        "sandbox": pod,
        "security_context": context,
        "annotations": chance.words(),
        "config": config,
        "linux": {"resources": _resources(chance)},
    }


def _bytes(text: str) -> str:
    """Return bytes as protobuf's JSON spells them."""
    return base64.b64encode(text.encode()).decode()


def _profile(chance: Chance, share: float) -> dict[str, Any]:
    file = "${PROFILE_DIR}/" + chance.one(_FILES)
    kind = chance.one([*[0] * 4, *[1] * 3, *[LOCALHOST] * 6, 7])
    message = {"profile_type": kind, **({"localhost_ref": file} if kind == LOCALHOST else {})}
    return {
        **chance.maybe(share, seccomp=message),
        **chance.maybe(share / 2, seccomp_profile_path=chance.one([*_PATHS, f"localhost/{file}"])),
    }


def _capabilities(chance: Chance) -> dict[str, list[str]]:
    names = _CAPABILITIES + (_STRANGE if chance.source.random() < 0.2 else [])  # noqa: PLR2004
    return {"add_capabilities": chance.some(names), "drop_capabilities": chance.some(names, 2)}


def _mount(chance: Chance) -> dict[str, Any]:
    return {
        "host_path": "${PROFILE_DIR}",
        "container_path": chance.one(_TARGETS),
        **chance.maybe(0.3, readonly=True, propagation=0),  # others depend on how the machine is mounted
    }


def _resources(chance: Chance) -> dict[str, Any]:
    return chance.maybe(
        0.3,
        cpu_period=chance.one([0, 100000]),
        cpu_quota=chance.one([-1, 0, 20000]),
        cpu_shares=chance.one([0, 2, 1024]),
        memory_limit_in_bytes=chance.one([0, 1 << 26]),
        memory_swap_limit_in_bytes=chance.one([0, 1 << 27]),
        oom_score_adj=chance.one([-997, 0, 1000]),
        cpuset_cpus=chance.one(["", "0"]),
        cpuset_mems=chance.one(["", "0"]),
        hugepage_limits=[{"page_size": "2MB", "limit": chance.one([0, 1 << 21])}],
        unified={"memory.high": "1000000"},
    )
