"""A case decides as the pod does that it was made from: the same posture, refusal and restart for each container."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.release import parse
from shim.answer import answer_pod
from shim.kubelet import manifest
from shim.kubelet.container import fingerprint
from shim.kubelet.pod import Pod
from shim.nodefile import loads, open_node
from shim.skew.plan import cases
from tests.skew.nodes import HOST

NODES = [
    "kubelet: {version: 1.18.20}\nruntime: {name: containerd, version: 1.4.13}",
    "kubelet: {version: 1.25.9, seccompDefault: true}\nruntime: {name: containerd, version: 1.6.20}",
    "kubelet: {version: 1.26.15}\nruntime: {name: cri-o, version: 1.26.4}",
    "kubelet: {version: 1.36.3, seccompDefault: true}\nruntime: {name: cri-o, version: 1.36.3}",
    "kubelet: {version: 1.33.5}\nruntime: {name: containerd, version: 2.1.9}",
]

PROFILES = st.sampled_from(
    [
        {"type": "RuntimeDefault"},
        {"type": "Unconfined"},
        {"type": "Localhost", "localhostProfile": "here.json"},
        {"type": "Localhost", "localhostProfile": "gone.json"},
        {"type": "Localhost", "localhostProfile": ""},
        {"type": "Localhost"},
        {"type": "Bogus"},
        {},
    ]
)
CAPABILITIES = st.fixed_dictionaries(
    {},
    optional={
        key: st.lists(st.sampled_from(["SYS_ADMIN", "CAP_SYS_ADMIN", "ALL", "BPF"]), max_size=2)
        for key in ("add", "drop")
    },
)
USERS = st.sampled_from([0, 1, 1000, 1000680000])
OF_BOTH = {
    "seccompProfile": PROFILES,
    "runAsUser": USERS,
    "runAsGroup": USERS,
    "runAsNonRoot": st.booleans(),
    "seLinuxOptions": st.just({"level": "s0:c1,c2"}),
}
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        **OF_BOTH,
        "capabilities": CAPABILITIES,
        "privileged": st.booleans(),
        "allowPrivilegeEscalation": st.booleans(),
        "readOnlyRootFilesystem": st.booleans(),
        "procMount": st.sampled_from(["Default", "Unmasked"]),
    },
)
IMAGES = st.sampled_from(["busybox", "registry.example:5000/a/b@sha256:" + "0" * 64, "Not An Image", ""])


@st.composite
def containers(draw: st.DrawFn, /, names: str, **more: Any) -> list[dict[str, Any]]:
    found = []
    for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True)):
        one = {"name": name, "image": draw(IMAGES), "args": [name], "env": [{"name": "A", "value": name}]}
        found.append({**one, **draw(st.fixed_dictionaries({}, optional={"securityContext": CONTEXTS, **more}))})
    return found


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    spec = {
        "initContainers": draw(containers("ij", restartPolicy=st.just("Always"))),
        "containers": draw(containers("abi")) or [{"name": "z", "image": "busybox"}],
        "ephemeralContainers": draw(containers("e")),
        "nodeName": "node-1",
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "securityContext": st.fixed_dictionaries({}, optional={**OF_BOTH, "fsGroup": USERS}),
                    "hostNetwork": st.booleans(),
                    "hostUsers": st.booleans(),
                    "hostPID": st.booleans(),
                    "restartPolicy": st.sampled_from(["Always", "OnFailure", "Never"]),
                    "os": st.sampled_from([{"name": "linux"}, {"name": "windows"}]),
                },
            )
        ),
    }
    words = st.sampled_from(["runtime/default", "unconfined", "localhost/here.json", "docker/default", "bogus"])
    keys = st.sampled_from(
        [
            "seccomp.security.alpha.kubernetes.io/pod",
            "container.seccomp.security.alpha.kubernetes.io/a",
            "container.seccomp.security.alpha.kubernetes.io/i",
            "checksum/config",
        ]
    )
    metadata = {"name": "web-5d", "namespace": "shop", "annotations": draw(st.dictionaries(keys, words, max_size=2))}
    thing = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    (pod,) = manifest.pods(msgspec.json.encode(thing), "p.json")
    return pod


@functools.cache
def opened(number: int, root: str, *, said: bool = False) -> Any:
    images = f"\n{SAID}" if said else ""
    return open_node(loads(HOST.format(root=root) + NODES[number] + images, base=root))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("node")
    profiles = folder / "var/lib/kubelet/seccomp"
    profiles.mkdir(parents=True)
    (profiles / "here.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    return str(folder)


SAID = 'images: {image: {user: "0"}, busybox: {user: "0", annotations: {seccomp-profile.kubernetes.cri-o.io/b: ""}}}'


@pytest.mark.parametrize("number", range(len(NODES)))
@pytest.mark.parametrize("said", [False, True], ids=["", "images"])
@given(pod=pods())
@settings(max_examples=60)
def test_a_case_gets_what_its_pod_gets(number: int, said: bool, root: str, pod: Pod) -> None:
    node = opened(number, root, said=said)
    key, _names = cases.case_of(pod, node.images)
    case = cases.read(key)
    theirs = answer_pod(node, node.default, pod).containers
    ours = answer_pod(node, node.default, case.pod(), case.source).containers
    assert [each.kind for each in ours] == [each.kind for each in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert (our.seccomp, our.capabilities, our.cri) == (their.seccomp, their.capabilities, their.cri)
        assert (our.error and our.error.reason) == (their.error and their.error.reason)


@given(pods())
def test_a_case_keeps_the_names_apart(pod: Pod) -> None:
    key, names = cases.case_of(pod)
    spec, own = cases.read(key).spec, pod.spec
    for case, real, said in zip(
        (spec.init_containers, spec.containers, spec.ephemeral_containers),
        (own.init_containers, own.containers, own.ephemeral_containers),
        names,
        strict=True,
    ):
        assert tuple(each.name for each in real or ()) == said
        assert len(case or ()) == len(said)


@given(pods(), st.sampled_from(["1.30.14", "1.31.13", "1.36.3"]), st.sampled_from(["1.30.14", "1.31.13", "1.36.3"]))
def test_a_hash_changes_for_a_case_as_for_its_pod(pod: Pod, old: str, new: str) -> None:
    releases = parse(old), parse(new)
    spec = cases.read(cases.case_of(pod)[0]).spec
    for case, real in zip(spec.containers or (), pod.spec.containers or (), strict=True):
        changed = [len({fingerprint(each, release) for release in releases}) > 1 for each in (case, real)]
        assert changed[0] == changed[1]


def test_what_does_not_decide_makes_no_other_case() -> None:
    def case(**changes: Any) -> bytes:
        spec = {"containers": [{"name": "a", "image": "x", **changes}], "nodeName": changes.pop("node", "n")}
        thing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": changes.pop("pod", "p")}, "spec": spec}
        return cases.case_of(manifest.pods(msgspec.json.encode(thing), "p")[0])[0]

    plain = case()
    assert case(name="b", image="y/z:1", args=["1"], env=[{"name": "A"}], resources={"limits": {"cpu": 1}}) == plain
    assert case(securityContext={"privileged": True}) != plain
    assert case(securityContext={"runAsUser": 5}) == case(securityContext={"runAsUser": 1000680000})
    assert case(securityContext={"runAsUser": 0}) != case(securityContext={"runAsUser": 5})
