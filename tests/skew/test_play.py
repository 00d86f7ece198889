"""Playing an experiment: which containers are new ones, and laws that hold whatever happens to a node."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimes.errors import BadInput, CrishimError
from shim.kubelet.releases import releases
from shim.skew.experiments.experiment import Experiment
from shim.skew.experiments.moment import RUNNING, UP, Moment
from tests.cri.harness import V1, Admin, pod, running, short_directory
from tests.skew.playing import Played, experiment, played

WORKLOADS = """
workloads:
  shop: |
    apiVersion: v1
    kind: Pod
    metadata: {name: shop}
    spec:
      initContainers: [{name: first, image: init:1}]
      containers:
        - {name: web, image: nginx:1}
        - {name: cache, image: redis:1, securityContext: {seccompProfile: {type: RuntimeDefault}}}
  proxy:
    source: static
    manifest: |
      apiVersion: v1
      kind: Pod
      metadata: {name: proxy, namespace: kube-system}
      spec: {containers: [{name: proxy, image: proxy:1, securityContext: {privileged: true}}]}
"""


def text(kubelet: str = "{version: 1.30.14}", runtime: str = "{name: containerd, version: 1.7.24}") -> str:
    host = '{arch: amd64, kernel: "6.1", seccomp: true, cgroup: 2, hostname: node-1}'
    return f"nodes:\n  node-1: {{host: {host}, kubelet: {kubelet}, runtime: {runtime}}}\n{WORKLOADS}"


def ids(moment: Moment) -> dict[str, str]:
    """Return which container is which."""
    return {each.container: each.id for each in moment.seen if each.kind != "init"}


# Which containers are new


MINORS: list[str] = [
    str(max(known.release for known in group))
    for _, group in itertools.groupby(
        (known for known in releases() if "-" not in known.release.upstream),
        key=lambda known: known.release.upstream.split(".")[:2],
    )
]
"""The newest kubelet of each minor release."""


@pytest.mark.parametrize(("old", "new"), list(itertools.pairwise(MINORS)))
def test_one_minor_restarts_everything_in_place_and_the_others_nothing(old: str, new: str) -> None:
    """kubernetes#124220: from 1.31.0 on the hash of a container is made from its name and image only. Static pods have
    another uid, so are other pods, with nearly every minor: it is made from a dump of all their fields, and only 1.20,
    1.22 and 1.29 have no new one (kubernetes/api core/v1/types.go at each tag).
    """
    runtime = "{name: containerd, version: 1.6.20}"  # serves v1 and v1alpha2
    flags = ", flags: [--container-runtime=remote]" if old < "1.24" else ""
    change = f"- configure: {{kubelet.flags: null}}\n{'':2}" if flags and new >= "1.24" else ""
    steps = f"steps:\n  {change}- upgrade: {{kubelet: {new}}}\n"
    found = played(experiment(text(f"{{version: {old}{flags}}}", runtime) + steps))
    before, after = found.moment(0), found.moment(-1)
    assert (before.kubelet, after.kubelet) == (UP, UP)
    new_ones = {name for name, each in ids(after).items() if each != ids(before)[name]}
    minor = new.rpartition(".")[0]
    assert new_ones == {
        *(("web", "cache", "proxy") if minor == "1.31" else ()),
        *(("proxy",) if minor not in ("1.20", "1.22", "1.29") else ()),
    }
    assert {each.state for each in after.seen if each.kind != "init"} == {RUNNING}


@pytest.mark.parametrize(
    ("step", "containers", "sandboxes"),
    [
        ("restart: runtime", "", ""),
        ("restart: kubelet", "", ""),
        ("upgrade: {runtime: 2.0.9}", "", ""),
        ("restart: {container: web}", "web", ""),
        ("upgrade: {kubelet: 1.31.13}", "web cache proxy", "proxy"),
        ("restart: {pod: shop}", "web cache", "shop"),
        ("restart: {pod: proxy}", "proxy", "proxy"),
        ("upgrade: {runtime: 2.0.9, drained: true}", "web cache", "shop"),
        ("reboot: node", "web cache proxy", "shop proxy"),
    ],
)
def test_what_is_made_anew(step: str, containers: str, sandboxes: str) -> None:
    """A restarted container comes into the old sandbox; a replaced pod, and one after a reboot, into a new one."""
    boxes: list[dict[str, str]] = []
    with short_directory() as directory, running(directory / "a.sock"):
        client = V1(directory / "a.sock")

        def look(_node: str, _step: int) -> None:
            listed = client("ListContainers", filter={"state": {"state": "CONTAINER_RUNNING"}}).containers
            boxes.append({each.metadata.name: each.pod_sandbox_id for each in listed})

        found = played(experiment(f"{text()}steps:\n  - {step}\n"), {"": str(directory / "a.sock")}, look)
        client.channel.close()
    before, after = ids(found.moment(0)), ids(found.moment(1))
    assert {name for name in after if after[name] != before[name]} == set(containers.split())
    changed = {name for name in boxes[1] if boxes[1][name] != boxes[0][name]}
    assert {{"web": "shop", "cache": "shop"}.get(name, name) for name in changed} == set(sandboxes.split())


def test_init_containers_run_again_in_a_new_sandbox_only() -> None:
    steps = "steps:\n  - restart: {container: web}\n  - reboot\n"
    found = played(experiment(text() + steps))
    first = [found.seen(step, "first") for step in range(3)]
    assert [each.state for each in first] == ["Completed"] * 3
    assert first[0].id == first[1].id != first[2].id


def test_a_step_of_another_node_leaves_no_moment() -> None:
    two = (
        text()
        .replace("  node-1: {", "  node-1: &node {", 1)
        .replace("\nworkloads", "\n  node-2: *node\n\nworkloads", 1)
    )
    found = played(experiment(f"{two}steps:\n  - {{reboot: node, nodes: node-2}}\n"))
    assert found.stories["node-1"][1] is None
    assert found.moment(1, "node-2").seen
    assert [verdict for verdict in found.verdicts if verdict.found] == []


def test_what_cannot_be_done_says_in_which_step() -> None:
    steps = "steps:\n  - configure: {runtime.version: 2.0.9}\n  - reload: runtime\n"
    with pytest.raises(BadInput, match=r"experiment\.yaml:23: step 2 on node node-1: .*another release") as raised:
        played(experiment(text() + steps))
    assert raised.value.line == 23


# Laws

_STEPS = [
    "reboot: node",
    "drain: node",
    "uncordon: node",
    "restart: kubelet",
    "restart: runtime",
    "reload: runtime",
    "restart: {container: web}",
    "restart: {container: cache}",
    "restart: {pod: shop}",
    "restart: {pod: proxy}",
    "restart: {workload: shop}",
    "delete: shop",
    "deploy: shop",
    "deploy: proxy",
    "wait: 5s",
    "wait: 11m",
    "flip: {SeccompDefault: true}",
    "flip: {SeccompDefault: null}",
    "configure: {kubelet.seccompDefault: true}",
    "configure: {kubelet.seccompDefault: false}",
    "configure: {kubelet.version: 1.24.17}",
    "configure: {kubelet.version: 1.31.13}",
    "configure: {host.kernel: '4.4'}",
]
_FAMILIES = {
    "{name: containerd, version: 1.7.24}": ["1.5.18", "1.6.20", "1.7.24", "2.0.9"],
    "{name: cri-o, version: 1.30.14}": ["1.24.6", "1.25.5", "1.29.8", "1.30.14", "1.36.3"],
}


@st.composite
def _sequences(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a runtime, and steps that may change its release."""
    runtime = draw(st.sampled_from(list(_FAMILIES)))
    releases = [f"configure: {{runtime.version: {release}}}" for release in _FAMILIES[runtime]]
    return runtime, draw(st.lists(st.sampled_from(_STEPS) | st.sampled_from(releases), max_size=8))


_SEQUENCES = _sequences()


def sequence(runtime: str, steps: list[str]) -> Experiment:
    listed = "".join(f"  - {step}\n" for step in steps)
    return experiment(f"{text(runtime=runtime)}steps:\n{listed}" if steps else text(runtime=runtime))


def quietly(asked: Experiment, **more: Any) -> Played | None:
    """Play an experiment; None where it does something that no node could do."""
    try:
        return played(asked, **more)
    except BadInput:
        return None


@given(_SEQUENCES)
@settings(max_examples=60)
def test_a_container_that_is_the_same_one_keeps_its_section(drawn: tuple[str, list[str]]) -> None:
    found = quietly(sequence(*drawn))
    if found is None:
        return
    has: dict[str, Any] = {}
    for moment in found.stories["node-1"]:
        for each in moment.seen if moment else ():
            if each.id:
                first = has.setdefault(each.id, each.posture)
                assert each.state != RUNNING or each.posture == first


@given(_SEQUENCES, st.sampled_from(["{pod: shop}", "{container: web}", "{container: cache}"]))
@settings(max_examples=60)
def test_what_a_restart_gives_is_what_was_promised(drawn: tuple[str, list[str]], restarted: str) -> None:
    """Provided that nothing else happens to the node, it is restarted at once, and the pod is the same."""
    runtime, steps = drawn
    found = quietly(sequence(runtime, [*steps, "wait: 11m", f"restart: {restarted}"]))
    if found is None or "web" not in ids(found.moment(-2)):
        return
    before, after = found.moment(-2), found.moment(-1)
    if after.kubelet != UP or after.runtime != UP:
        return
    for old, new in zip(before.seen, after.seen, strict=True):
        if new.id != old.id and old.kind == "container" and new.state == RUNNING:
            assert (new.posture.kind, new.posture.digest) == (old.next.kind, old.next.digest)


@given(_SEQUENCES)
@settings(max_examples=30)
def test_playing_it_twice_gives_the_same(drawn: tuple[str, list[str]]) -> None:
    first, second = quietly(sequence(*drawn)), quietly(sequence(*drawn))
    assert (first and first.json) == (second and second.json)


@given(st.lists(_SEQUENCES, min_size=5, max_size=5))
@settings(max_examples=3)
def test_a_socket_makes_no_difference(sequences: list[tuple[str, list[str]]]) -> None:
    with short_directory() as directory, running(directory / "a.sock"):
        for drawn in sequences:
            asked = sequence(*drawn)
            here, there = quietly(asked), quietly(asked, sockets={"": str(directory / "a.sock")})
            assert (here and here.json) == (there and there.json)


# Servers


def test_a_server_is_given_back_with_its_own_node() -> None:
    with short_directory() as directory, running(directory / "a.sock", "kubelet: {version: 1.24.17}\n"):
        admin, asked = Admin(directory / "a.sock"), experiment(text())
        before = admin("Show")
        played(asked, {"node-1": str(directory / "a.sock")})
        assert admin("Show").node_yaml == before.node_yaml
        admin.channel.close()


def test_a_server_that_has_pods_is_left_alone() -> None:
    with short_directory() as directory, running(directory / "a.sock"):
        client = V1(directory / "a.sock")
        client("RunPodSandbox", config=pod("mine"))
        with pytest.raises(CrishimError, match=r"pods run at unix:///tmp/.*: an experiment needs a server to itself"):
            played(experiment(text()), {"": str(directory / "a.sock")})
        assert [each.metadata.name for each in client("ListPodSandbox").items] == ["mine"]
        client.channel.close()


def test_a_socket_where_nobody_listens() -> None:
    with pytest.raises(CrishimError, match=r"no crishim answers at unix:///tmp/none\.sock: .* \(start one with"):
        played(experiment(text()), {"": "/tmp/none.sock"})  # noqa: S108  nobody makes it


def test_a_node_for_which_no_server_is_named() -> None:
    with pytest.raises(BadInput, match="no server is named for node node-1"):
        played(experiment(text()), {"node-2": "/none.sock"})


def test_it_is_told_of_each_step_while_everything_is_there() -> None:
    told: list[tuple[str, int]] = []
    with short_directory() as directory, running(directory / "a.sock"):

        def look(node: str, step: int) -> None:
            client = V1(directory / "a.sock")
            assert client("ListPodSandbox").items
            client.channel.close()
            told.append((node, step))

        played(experiment(f"{text()}steps: [wait: 1, wait: 1]\n"), {"": str(directory / "a.sock")}, look)
    assert told == [("node-1", 0), ("node-1", 1), ("node-1", 2)]
