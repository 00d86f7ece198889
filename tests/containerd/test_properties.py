"""Whatever is asked of it, the model answers or refuses; and no answer depends on what was asked before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from runtimes.capabilities import KERNEL_CAPABILITIES
from runtimes.containerd import model
from runtimes.containerd.paths import matches
from runtimes.decision import Decision
from runtimes.errors import BadInput, Refused
from runtimes.files import MemoryFiles
from runtimes.host import Host
from runtimes.model import ContainerPlace, ImageFacts, Setup
from runtimes.release import parse
from runtimes.request import (
    Capability,
    ContainerMetadata,
    ContainerRequest,
    Device,
    IDMapping,
    Int64Value,
    KeyValue,
    LinuxContainerConfig,
    LinuxContainerResources,
    LinuxContainerSecurityContext,
    LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext,
    Mount,
    NamespaceOption,
    PodSandboxMetadata,
    SandboxRequest,
    SecurityProfile,
    SELinuxOption,
    UserNamespace,
)
from tests.containerd.asking import SANDBOX_PLACE, runtime
from tests.oci_schema import check

RELEASES = [known.release.upstream for known in model.releases()]
PROFILE = "/p.json"

# Values at which something changes, and others.
names = (
    st.sampled_from(["", "a", "root", "CHOWN", "cap_chown", "ALL", "runc", "b c", "é", "\x00", "%s {0}"]) | st.text()
)
numbers = st.sampled_from([-(2**31), -1, 0, 1, 1000, 2**31 - 1, 2**31]) | st.integers(-(2**31), 2**31 - 1)
paths = st.sampled_from(["", "/", "/dev", "/etc/hosts", "/dev/shm", "/run", "/a/b/", "a", "../b", PROFILE])  # noqa: S108
enums = st.integers(0, 4)
flags = st.booleans()
seccomp_paths = st.sampled_from(
    ["", "unconfined", "runtime/default", "docker/default", f"localhost/{PROFILE}", "localhost/", "localhost/none", "x"]
)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def few(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


def texts() -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(names, names, max_size=3)


profiles = st.builds(SecurityProfile, profile_type=enums, localhost_ref=paths | names)
id_ranges = few(st.builds(IDMapping, host_id=st.integers(0, 2**32 - 1), length=st.integers(0, 2**32 - 1)))
users = st.builds(UserNamespace, mode=enums, uids=id_ranges, gids=id_ranges)
namespaces = st.builds(
    NamespaceOption, network=enums, pid=enums, ipc=enums, target_id=names, userns_options=some(users)
)
ids = some(st.builds(Int64Value, value=st.integers(-(2**63), 2**63 - 1) | numbers))
labels = some(st.builds(SELinuxOption, user=names, role=names, type=names, level=names))
groups = few(st.integers(-(2**63), 2**63 - 1) | numbers)
added = some(
    st.builds(
        Capability, add_capabilities=few(names), drop_capabilities=few(names), add_ambient_capabilities=few(names)
    )
)
container_security = st.builds(
    LinuxContainerSecurityContext,
    capabilities=added,
    privileged=flags,
    namespace_options=some(namespaces),
    selinux_options=labels,
    run_as_user=ids,
    run_as_group=ids,
    run_as_username=names,
    readonly_rootfs=flags,
    supplemental_groups=groups,
    supplemental_groups_policy=enums,
    no_new_privs=flags,
    masked_paths=few(names),
    readonly_paths=few(names),
    seccomp=some(profiles),
    apparmor=some(profiles),
    apparmor_profile=names,
    seccomp_profile_path=seccomp_paths,
)
limits = st.builds(
    LinuxContainerResources,
    cpu_period=numbers,
    cpu_quota=numbers,
    cpu_shares=numbers,
    memory_limit_in_bytes=numbers,
    oom_score_adj=numbers,
    cpuset_cpus=names,
    cpuset_mems=names,
    unified=texts(),
    memory_swap_limit_in_bytes=numbers,
)
mounts = st.builds(
    Mount,
    container_path=paths,
    host_path=paths,
    readonly=flags,
    selinux_relabel=flags,
    propagation=enums,
    uidMappings=id_ranges,
    gidMappings=id_ranges,
    recursive_read_only=flags,
)
devices = st.builds(
    Device, container_path=paths, host_path=st.sampled_from(["/dev/null", "/dev/fuse", "/dev", "x"]), permissions=names
)
containers = st.builds(
    ContainerRequest,
    metadata=some(st.builds(ContainerMetadata, name=names, attempt=st.integers(0, 2**32 - 1))),
    command=few(names),
    args=few(names),
    working_dir=paths,
    envs=few(st.builds(KeyValue, key=names, value=names)),
    mounts=few(mounts),
    devices=st.just(()) | few(devices),
    annotations=texts(),
    tty=flags,
    linux=some(st.builds(LinuxContainerConfig, resources=some(limits), security_context=some(container_security))),
)
sandbox_security = st.builds(
    LinuxSandboxSecurityContext,
    namespace_options=some(namespaces),
    selinux_options=labels,
    run_as_user=ids,
    run_as_group=ids,
    readonly_rootfs=flags,
    supplemental_groups=groups,
    privileged=flags,
    seccomp=some(profiles),
    apparmor=some(profiles),
    seccomp_profile_path=seccomp_paths,
    supplemental_groups_policy=enums,
)
sandboxes = st.builds(
    SandboxRequest,
    metadata=some(st.builds(PodSandboxMetadata, name=names, uid=names, namespace=names)),
    hostname=names,
    annotations=texts(),
    linux=some(
        st.builds(
            LinuxPodSandboxConfig,
            cgroup_parent=paths | names,
            security_context=some(sandbox_security),
            sysctls=texts(),
            resources=some(limits),
        )
    ),
)
images = st.builds(
    ImageFacts,
    id=st.just("sha256:" + "0" * 64),
    entrypoint=few(names),
    cmd=few(names),
    env=few(names),
    user=names | st.sampled_from(["0:0", "1:", ":1", "a:b:c", "9999999999"]),
    working_dir=paths,
)
hosts = st.builds(
    Host,
    seccomp=flags,
    capabilities=st.sampled_from([(), ("CAP_CHOWN", "CAP_BPF"), KERNEL_CAPABILITIES]),
    kernel=st.sampled_from(["3.10.0", "4.8", "5.10.0-26-cloud", "6.1.0", "odd"]),
    cgroup=st.sampled_from([1, 2]),
    arch=st.sampled_from(["amd64", "arm64", "s390x", "ppc64le", "riscv64", "386", "arm", "loong64"]),
)
json_values = st.recursive(
    st.none() | flags | numbers | st.floats() | names | st.sampled_from(["SCMP_ACT_ERRNO", "SCMP_ARCH_X86_64"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from("defaultAction syscalls names name action args index op value flags archMap x".split()),
            inner,
        )
    ),
    max_leaves=12,
)
profile_files = st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode())


def place(image: ImageFacts) -> ContainerPlace:
    return ContainerPlace(id="c" * 64, created_at=1, pid=2, storage="d" * 64, image=image)


def asked(on: Any, container: ContainerRequest, sandbox: SandboxRequest, image: ImageFacts) -> list[Any]:
    """Return what a sandbox, a container in it and its start come to, as far as each gets, as JSON."""
    answers = []
    try:
        answers.append(on.sandbox(sandbox, SANDBOX_PLACE))
    except Refused as refused:
        answers.append(refused)
    try:
        answers.append(on.container(container, place(image), sandbox, SANDBOX_PLACE))
        on.start(answers[-1].spec)
    except Refused as refused:
        answers.append(refused)
    for answer in answers:
        if isinstance(answer, Decision):
            assert answer.steps
            assert all(step.because and step.source for step in answer.steps)
            assert answer.spec.get("linux", {}).get("seccomp") == answer.section
        else:
            assert answer.code
            assert answer.message
    return answers


def shown(answers: list[Any]) -> str:
    return json.dumps(
        [
            [answer.spec, answer.section, [step.because for step in answer.steps]]
            if isinstance(answer, Decision)
            else [answer.code, answer.message]
            for answer in answers
        ]
    )


@given(st.sampled_from(RELEASES), hosts, containers, sandboxes, images)
def test_any_request_is_answered_or_refused(
    release: str, host: Host, container: ContainerRequest, sandbox: SandboxRequest, image: ImageFacts
) -> None:
    for answer in asked(runtime(release, host=host), container, sandbox, image):
        if isinstance(answer, Decision):
            check(answer.spec)


@given(st.sampled_from(RELEASES), profile_files)
def test_any_profile_file_is_used_or_refused(release: str, data: bytes) -> None:
    on = model.runtime(parse(release), Host(), Setup(), MemoryFiles({PROFILE: data}))
    security = LinuxContainerSecurityContext(
        seccomp=SecurityProfile(profile_type=2, localhost_ref=PROFILE), seccomp_profile_path=f"localhost/{PROFILE}"
    )
    request = ContainerRequest(
        metadata=ContainerMetadata(name="c"), linux=LinuxContainerConfig(security_context=security)
    )
    sandbox = SandboxRequest(metadata=PodSandboxMetadata(name="p"))
    _, *answers = asked(on, request, sandbox, ImageFacts(id="sha256:" + "0" * 64, cmd=("sh",)))
    assert isinstance(answers[0], Decision) or "seccomp" in answers[0].message


@given(st.sampled_from(RELEASES), st.lists(st.tuples(containers, sandboxes), min_size=1, max_size=4), images)
def test_no_answer_depends_on_earlier_requests(
    release: str, requests: list[tuple[ContainerRequest, SandboxRequest]], image: ImageFacts
) -> None:
    used = runtime(release)
    first = [shown(asked(used, container, sandbox, image)) for container, sandbox in requests]
    again = [shown(asked(used, container, sandbox, image)) for container, sandbox in reversed(requests)]
    alone = [shown(asked(runtime(release), container, sandbox, image)) for container, sandbox in requests]
    assert first == alone == again[::-1]


CRI = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "cri"]
tables = st.sampled_from(
    ["", "[plugins]"]
    + [f"[plugins.'{name}'{part}]" for name in CRI for part in ("", ".containerd", ".containerd.runtimes.runc")]
    + [f"[plugins.'{name}'.containerd.runtimes.a{part}]" for name in CRI for part in ("", ".options")]
)
keys = st.sampled_from(
    (
        "version imports root state disabled_plugins plugins containerd runtimes runc options SystemdCgroup cni "
        "unset_seccomp_profile default_runtime_name runtime_type base_runtime_spec sandbox_image snapshotter x"
    ).split()
)
values = st.sampled_from(
    (
        "1 2 3 4 -1 1.5 true '' 'runc' 'runtime/default' 'localhost/x' '/p.json' [] ['a*'] ['/p.json'] [1] {} {a=1} "
        "2020-01-01 nan [ 'io.containerd.runc.v2'"
    ).split()
)
settings = st.lists(tables | st.builds("{} = {}".format, keys, values), max_size=8).map("\n".join)


@given(st.sampled_from(RELEASES), settings | st.text(max_size=30), profile_files)
def test_any_configuration_is_used_or_refused(release: str, text: str, data: bytes) -> None:
    files = MemoryFiles({"/c.toml": text.encode("utf-8", "surrogatepass"), PROFILE: data})
    try:
        on = model.runtime(parse(release), Host(), Setup(config="/c.toml"), files)
    except (BadInput, Refused) as fault:
        event(type(fault).__name__)
        return
    on.persona.status()
    request = ContainerRequest(metadata=ContainerMetadata(name="c"))
    asked(on, request, SandboxRequest(metadata=PodSandboxMetadata(name="p")), ImageFacts(id="", cmd=("sh",)))


PATTERNS = [
    ("*", "a/b", False),
    ("*/?", "a/b", True),
    ("a*b", "acb", True),
    ("[^a]", "b", True),
    ("[a-c]", "b", True),
    ("[c-a]", "b", False),
    ("[^c-a]", "b", True),
    ("[\\]]", "]", True),
    ("\\*", "*", True),
    ("[]", "", False),
    ("[^]", "^", False),
    ("[-a]", "a", False),
    ("a\\", "a", False),
    ("[[]", "[", True),
    ("[!a]", "!", True),
]


@pytest.mark.parametrize(("pattern", "text", "matched"), PATTERNS)
def test_patterns(pattern: str, text: str, matched: bool) -> None:
    assert matches(pattern, text) is matched


@given(st.text(alphabet="ab*?[]^-!\\/."), st.text(alphabet="ab/"))
def test_any_pattern_matches_or_not(pattern: str, text: str) -> None:
    assert matches(pattern, text) in (True, False)
    assert matches(text, text)
